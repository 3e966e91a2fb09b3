// How much one submission may ask of a device whose speed is not known yet.
#ifndef VKGPT_ENGINE_BOUNDS_H
#define VKGPT_ENGINE_BOUNDS_H

#include "engine/session.h"

#define FIRST_FLOPS 20e9   // 100 ms on a device of 200 GFLOP/s
#define FIRST_ROWS 128     // of a block before anything was measured that is cut, where it takes more
#define BLOCK_SECONDS 0.1  // of a GPU's time that a block takes, about
#define LAYER_DISPATCHES 5 // at least: qkv, attend, project, expand, contract
// Of one row through the layers, with attention over so many positions, and through the head.
double bounds_row_flops(const struct Config *config, uint32_t context, bool head);
// After how many dispatches a recording of so many FLOPs is cut, for parts of at most `most` each; 0: not at all.
uint32_t bounds_cut(double flops, double most, uint32_t dispatches);
// For a block of prefill, and for decode steps: 0 as soon as one was measured.
uint32_t bounds_block_cut(const struct vkgpt_session *s, uint32_t rows, bool head);
uint32_t bounds_steps_cut(const struct vkgpt_session *s, uint32_t steps);
// Whether a block of so many rows is no longer than a submission may be, by the speed of those before it. Before the
// first one: whether it takes at most FIRST_FLOPS, or has at most FIRST_ROWS and is cut.
bool bounds_block_is_short(const struct vkgpt_session *s, uint32_t rows);

#endif
