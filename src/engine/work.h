// The FLOPs of a block of prefill: those that it needs, and those that its kernels do.
#ifndef VKGPT_ENGINE_WORK_H
#define VKGPT_ENGINE_WORK_H

#include "gpu/recording.h"

// What attention multiplies together, needed or not.
struct AttendTile {
    uint32_t alike;         // queries that are multiplied with the same keys
    uint32_t queries, keys; // of these and of positions
};

// Of a product of `rows` rows, computed in whole tiles.
struct Work product_work(uint32_t rows, uint32_t outputs, uint32_t width, uint32_t tile_rows, uint32_t tile_outputs);
// Of attention over all heads, `width` elements together, for `rows` queries from `position` on. The kernel takes
// `tile.alike` of them at a time, and whole groups of `tile.keys` keys: from the group with the first key of the first
// query to the group with the last query's own key.
struct Work attention_work(uint32_t position, uint32_t rows, uint32_t width, uint32_t window, struct AttendTile tile);

#endif
