// Which layers each device of a chain gets: the split whose slowest stage is fastest.
#ifndef VKGPT_ENGINE_SPLIT_H
#define VKGPT_ENGINE_SPLIT_H

#include <stdint.h>

#include "base/error.h"

// The seconds that a stage needs for a step with the layers [first, end), at least one of them; INFINITY: they do not
// fit its device. Stage 0 embeds and the last stage has the head. More layers at either end never need less time.
typedef double StageTime(void *user, uint32_t stage, uint32_t first, uint32_t end);

// Cuts `layers` into `stages` ranges, each of at least one layer: stage i gets the layers from ends[i - 1] (0 for the
// first) up to ends[i]. Where several splits have the least slowest stage, a balanced one is taken.
// `slowest`: the seconds of that stage; INFINITY: no split fits, and ends has no values.
// Errors: VKGPT_BAD_ARGUMENT: no stage, or more stages than layers; VKGPT_OUT_OF_MEMORY: of the host.
int split_find(uint32_t layers, uint32_t stages, StageTime *time, void *user, uint32_t *ends, double *slowest,
               vkgpt_error *err);

#endif
