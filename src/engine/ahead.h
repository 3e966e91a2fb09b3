// The sizes that a model gives the kernels, and compiling kernels before there is a session.
#ifndef VKGPT_ENGINE_AHEAD_H
#define VKGPT_ENGINE_AHEAD_H

#include "engine/kernels.h"
#include "engine/model.h"

struct Shape kernels_shape(const struct vkgpt_model *model, uint32_t kv); // without the formats that occur
uint32_t session_step_rows(const vkgpt_session_options *options);         // of a decode step, over all sequences
// Asks for all kernels of a session of a model whose matrices will be in these formats.
void kernels_ahead(const struct vkgpt_model *model, const bool formats[FORMATS], const vkgpt_session_options *options);

#endif
