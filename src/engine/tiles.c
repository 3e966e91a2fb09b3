#include "engine/tiles.h"

#define PROCESSORS 64 // of a device that does not say

static const struct Tile TABLE[TILES] = {
    {.rows = 16, .outputs = 64, .depth = 64, .size = 128, .buffered = 1},
    {.rows = 32, .outputs = 64, .depth = 64, .size = 128, .buffered = 1},
    {.rows = 64, .outputs = 64, .depth = 64, .size = 128, .buffered = 1},
    {.rows = 128, .outputs = 64, .depth = 32, .size = 128, .buffered = 2},
    {.rows = 128, .outputs = 128, .depth = 32, .size = 256, .buffered = 2},
};

static uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// Bytes of shared memory. The kernel has the same: rows of halves with a gap of 16 bytes.
static uint32_t tile_shared(const struct Tile *t) { return t->buffered * (t->rows + t->outputs) * (t->depth + 8) * 2; }

// Whether so many subgroups can share the rows, and the others the outputs; and the results of the rows that all of them
// make at a time fit into the place of W's tile.
static bool can_share(const struct Tile *t, const struct MatrixShape *matrix, uint32_t subgroups, uint32_t down)
{
    uint32_t across = subgroups / down, tall = t->rows / matrix->m, wide = t->outputs / matrix->n;
    return tall >= down && wide >= across && down * matrix->m * 2 <= t->buffered * (t->depth + 8);
}

// The shares that are nearest to a square read least of shared memory: 0 where there are none.
static uint32_t best_down(const struct Tile *t, const struct MatrixShape *matrix, uint32_t subgroups)
{
    uint32_t best = 0, least = UINT32_MAX;
    for (uint32_t down = 1; down <= subgroups; down *= 2) {
        uint32_t sides = t->rows / down + t->outputs * down / subgroups;
        if (!can_share(t, matrix, subgroups, down) || sides >= least) continue;
        best = down, least = sides;
    }
    return best;
}

bool tile_get(const vkgpt_device *device, uint32_t n, struct Tile *tile)
{
    const struct MatrixShape *matrix = &device->matrix;
    uint32_t lanes = device->info.subgroup_size;
    *tile = TABLE[n];
    if (!matrix->m || tile->depth % matrix->k || tile->size % lanes || tile->size > device->info.max_workgroup) return false;
    if (tile_shared(tile) > device->info.shared_bytes) tile->buffered = 1;
    tile->down = best_down(tile, matrix, tile->size / lanes);
    return tile->down && tile_shared(tile) <= device->info.shared_bytes;
}

bool tiles_exist(const vkgpt_device *device)
{
    struct Tile tile;
    for (uint32_t n = 0; n < TILES; n++)
        if (tile_get(device, n, &tile)) return true;
    return false;
}

struct Tile tile_for(const vkgpt_device *device, uint32_t rows, uint32_t outputs)
{
    uint32_t processors = device->processors ? device->processors : PROCESSORS;
    struct Tile tile, best = {0};
    for (uint32_t n = 0; n < TILES; n++) {
        if (!tile_get(device, n, &tile)) continue;
        uint32_t groups = ceil_div(rows, tile.rows) * ceil_div(outputs, tile.outputs);
        if (!best.rows || (tile.rows < 2 * rows && groups >= processors * 3 / 4)) best = tile;
    }
    return best;
}
