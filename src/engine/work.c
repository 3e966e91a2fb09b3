// What a block of prefill computes: the FLOPs that it needs, a multiplication and an addition each, and those that its
// kernels do, which work in whole tiles. Norms, the softmax and what is added to a product are left out: they are less
// than a hundredth. A matrix counts with its size on the device, where its sides are padded to 8.
#include "engine/work.h"

static double whole(uint32_t n, uint32_t tile) { return (double)((n + tile - 1) / tile) * tile; }

struct Work product_work(uint32_t rows, uint32_t outputs, uint32_t width, uint32_t tile_rows, uint32_t tile_outputs)
{
    return (struct Work){2.0 * rows * outputs * width,
                         2.0 * whole(rows, tile_rows) * whole(outputs, tile_outputs) * width};
}

struct Work attention_work(uint32_t position, uint32_t rows, uint32_t width, uint32_t window, struct AttendTile tile)
{
    struct Work work = {0};
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t at = position + r, seen = window && window <= at ? window : at + 1;
        work.needed += 4.0 * width * seen;
        if (r % tile.alike) continue;
        uint32_t queries = rows - r < tile.alike ? rows - r : tile.alike;
        uint32_t start = window && window <= at ? (at + 1 - window) / tile.keys * tile.keys : 0;
        work.done += 4.0 * width * whole(queries, tile.queries) * whole(at + queries - start, tile.keys);
    }
    return work;
}
