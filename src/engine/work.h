// The FLOPs of a block of prefill: those that it needs, and those that its kernels do.
#ifndef VKGPT_ENGINE_WORK_H
#define VKGPT_ENGINE_WORK_H

#include "gpu/recording.h"

// Of a product of so many rows, made in whole tiles.
struct Work product_work(uint32_t rows, uint32_t outputs, uint32_t width, uint32_t tile_rows, uint32_t tile_outputs);
// Of attention over all heads, `width` in all, of the queries at `position` and behind it: so many queries at a time,
// against whole tiles of keys, from that of the first key of the first query to that of the last one's own.
struct Work attention_work(uint32_t position, uint32_t rows, uint32_t width, uint32_t window, uint32_t queries,
                           uint32_t keys);

#endif
