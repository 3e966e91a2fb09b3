// The stages of a model that is cut over several devices of this process: each but the last has a thread, which runs
// its session (engine/upstream.h).
#ifndef VKGPT_ENGINE_STAGES_H
#define VKGPT_ENGINE_STAGES_H

#include "engine/upstream.h"

// Opens the sessions of all stages before a model. It is model->open_upstream of a model in this process.
int stages_open(const struct vkgpt_model *model, const struct StageOptions *options, struct Upstream **upstream,
                vkgpt_error *err);
// The same for what comes after a model, wherever that is: its own session, and those of all stages before it.
int stages_open_before(vkgpt_model *model, const struct StageOptions *options, struct Upstream **upstream,
                       vkgpt_error *err);
// Sets most_rows of a chain of models in this process: what fits the memory of each device.
void stages_most_rows(vkgpt_model *last);

#endif
