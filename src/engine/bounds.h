// How much work one submission may hold for a device whose speed is not known yet.
#ifndef VKGPT_ENGINE_BOUNDS_H
#define VKGPT_ENGINE_BOUNDS_H

#include "engine/session.h"

#define FIRST_FLOPS 20e9   // 100 ms on a device of 200 GFLOP/s
#define FIRST_ROWS 128     // of a first block that may take more than FIRST_FLOPS: it is cut then
#define BLOCK_SECONDS 0.1  // of GPU time that a block takes, about
#define LAYER_DISPATCHES 5 // at least: qkv, attend, project, expand, contract
// FLOPs of one row through the layers, with attention over `context` positions, and through the head if asked.
double bounds_row_flops(const struct Config *config, uint32_t context, bool head);
// The number of dispatches after which a recording of `flops` is cut, into parts of at most `most`; 0: it is not cut.
uint32_t bounds_cut(double flops, double most, uint32_t dispatches);
// The same for a block of prefill, and for decode steps: 0 as soon as one was measured.
uint32_t bounds_block_cut(const struct vkgpt_session *s, uint32_t rows, bool head);
uint32_t bounds_steps_cut(const struct vkgpt_session *s, struct Range range, uint32_t steps);
// Whether a block is short beside steps of other sequences, which wait for it.
bool bounds_block_lets_steps(const struct vkgpt_session *s, uint32_t rows);
// Whether a block of `rows` rows is short enough for one submission, by the speed of the blocks before it. Before the
// first one: whether it takes at most FIRST_FLOPS, or has at most FIRST_ROWS and is cut.
bool bounds_block_is_short(const struct vkgpt_session *s, uint32_t rows);

#endif
