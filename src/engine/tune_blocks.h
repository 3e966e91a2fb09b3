// The tiles of prefill's products by matrices, timed over a model's own matrices, in blocks of 16, 32, ... 1,024 rows.
#ifndef VKGPT_ENGINE_TUNE_BLOCKS_H
#define VKGPT_ENGINE_TUNE_BLOCKS_H

#include "engine/tuning.h"

// Whether a choice is missing that could be one.
bool blocks_untuned(const vkgpt_model *model);
// Chooses for every product and block that has no thorough choice, or, of FOUND_THOROUGH, for all; hands out each
// result where on_result is there. What has not been timed after `seconds` keeps its built-in tile, and that is kept
// like the others.
int tune_blocks(vkgpt_model *model, enum FoundBy by, double seconds,
                void (*on_result)(void *user, const vkgpt_tuned *tuned), void *user, vkgpt_error *err);

#endif
