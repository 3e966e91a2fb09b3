// Times the tiles of prefill's products on a GPU over a model's own matrices, in blocks of 16, 32, ... 1,024 rows.
#ifndef VKGPT_ENGINE_TUNE_BLOCKS_H
#define VKGPT_ENGINE_TUNE_BLOCKS_H

#include "engine/tuning.h"

// Whether a product that has several variants has no choice yet.
bool blocks_untuned(const vkgpt_model *model);
// Chooses for every product and block that has no thorough choice, or with FOUND_THOROUGH for all. Passes each result
// to on_result, if there is one. Those that are not timed after `seconds` have their built-in tile, which is kept like
// the others.
int tune_blocks(vkgpt_model *model, enum FoundBy by, double seconds,
                void (*on_result)(void *user, const vkgpt_tuned *tuned), void *user, vkgpt_error *err);

#endif
