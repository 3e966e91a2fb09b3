#include "engine/tiles.h"

#define PROCESSORS 64    // of a device that does not say
#define LARGEST_ROWS 128 // of TABLES
#define LARGEST_OUTPUTS 256
#define COLUMN 64         // outputs of most tiles
#define MOST_RESULTS 32   // of a lane that has two sums for each: more need more registers than AMD's compiler has
#define LANE_RESULTS 64   // of a lane at most, in subgroups of less than 64
#define LEAST_SEGMENT 256 // of the width: a shorter one is done before its sum is in memory

#define LANE_REGISTERS 128 // of a lane of plain tiles at most, for its results and what it fetches
#define INTEL_REGISTERS 64 // the same on Intel, whose compiler spills with more (docs/results/plain-tiles.md)

// Lanes have 16 to 64 results each: as many as keep their registers full, or fewer where rows are few. The tile with
// 128 is for subgroups of 64 lanes (docs/results/coopmat.md).
static const struct Tile TABLES[TILE_KINDS][TILES] = {
    [IN_FP32] =
        {
            {.rows = 16, .outputs = 64, .depth = 32, .size = 64, .buffered = 1},
            {.rows = 32, .outputs = 64, .depth = 32, .size = 64, .buffered = 1},
            {.rows = 64, .outputs = 64, .depth = 32, .size = 128, .buffered = 1},
            {.rows = 128, .outputs = 64, .depth = 32, .size = 256, .buffered = 1},
            {.rows = 128, .outputs = 64, .depth = 32, .size = 128, .buffered = 1},
            {.rows = 128, .outputs = 128, .depth = 32, .size = 256, .buffered = 1},
        },
    [BY_MATRICES] =
        {
            {.rows = 16, .outputs = 64, .depth = 64, .size = 128, .buffered = 1},
            {.rows = 32, .outputs = 64, .depth = 64, .size = 128, .buffered = 1},
            {.rows = 64, .outputs = 64, .depth = 64, .size = 128, .buffered = 1},
            {.rows = 128, .outputs = 64, .depth = 32, .size = 256, .buffered = 2},
            {.rows = 128, .outputs = 64, .depth = 32, .size = 128, .buffered = 2},
            {.rows = 128, .outputs = 128, .depth = 32, .size = 256, .buffered = 2},
            {.rows = 128, .outputs = 256, .depth = 32, .size = 256, .buffered = 2},
        },
};

static uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

static uint32_t processors_of(const vkgpt_device *device)
{
    return device->processors ? device->processors : PROCESSORS;
}

// ---------------------------------------------------------------------------------------------- matrices

// Bytes of shared memory. The kernel has the same: rows of halves with a gap of 16 bytes; common.glsl's scratch, which
// is not used, but counts; and the segments that were there before.
static uint32_t matrix_shared(const struct Tile *t)
{
    return t->buffered * (t->rows + t->outputs) * (t->depth + 8) * 2 + t->size * 8 + 16;
}

// Whether `down` subgroups can share the rows, and the others the outputs; and whether the results of the rows that all
// of them compute at a time fit into the place of W's tile.
static bool can_share(const struct Tile *t, const struct MatrixShape *matrix, uint32_t subgroups, uint32_t down)
{
    uint32_t across = subgroups / down, tall = t->rows / matrix->m, wide = t->outputs / matrix->n;
    return tall >= down && wide >= across && down * matrix->m * 2 <= t->buffered * (t->depth + 8);
}

// The shares that are nearest to a square read the least shared memory. Of two that are equally near, the wider one is
// taken: a subgroup holds the matrices of its rows, and not those of its outputs. 0: there are none.
static uint32_t best_down(const struct Tile *t, const struct MatrixShape *matrix, uint32_t subgroups)
{
    uint32_t best = 0, least = UINT32_MAX;
    for (uint32_t down = 1; down <= subgroups; down *= 2) {
        uint32_t sides = t->rows / down + t->outputs * down / subgroups;
        if (!can_share(t, matrix, subgroups, down) || sides > least) continue;
        best = down, least = sides;
    }
    return best;
}

static bool matrix_tile(const vkgpt_device *device, struct Tile *tile)
{
    const struct MatrixShape *matrix = &device->matrix;
    uint32_t lanes = device->matrix_lanes, results = tile->rows * tile->outputs / tile->size;
    if (!matrix->m || tile->depth % matrix->k || tile->size % lanes || tile->size > device->info.max_workgroup)
        return false;
    if (results > LANE_RESULTS && lanes < 64) return false;
    if (matrix_shared(tile) > device->info.shared_bytes) tile->buffered = 1;
    tile->down = best_down(tile, matrix, tile->size / lanes);
    tile->whole_rows = matrix->m, tile->whole_outputs = matrix->n;
    return tile->down && matrix_shared(tile) <= device->info.shared_bytes;
}

// ------------------------------------------------------------------------------------------------- lanes

// Bytes of shared memory, as in the kernel: floats with gaps, and common.glsl's scratch.
static uint32_t plain_shared(const struct Tile *t)
{
    uint32_t gap = (t->depth / 8 - 1) * (t->rows < 32 ? 1 : 2); // in quads
    return t->depth * ((t->rows + t->outputs) * 4 + 2 * 16 * gap) + t->size * 8;
}

// Words that a lane has in registers: its results, and x and W that are on their way.
static uint32_t lane_registers(const struct Tile *t)
{
    return (t->rows * t->outputs + (t->rows + t->outputs) * t->depth) / t->size;
}

static bool plain_fits(const vkgpt_device *device, const struct Tile *tile)
{
    uint32_t registers = device->info.vendor_id == VENDOR_INTEL ? INTEL_REGISTERS : LANE_REGISTERS;
    return plain_shared(tile) <= device->info.shared_bytes && lane_registers(tile) <= registers;
}

static bool plain_tile(const vkgpt_device *device, struct Tile *tile)
{
    uint32_t results = tile->rows * tile->outputs / tile->size, lanes = device->info.subgroup_size;
    uint32_t across = tile->outputs / (results >= 32 ? 8 : 4), down = lanes > across ? lanes / across : 1; // as there
    tile->whole_rows = 4 * down < tile->rows ? 4 * down : tile->rows, tile->whole_outputs = tile->outputs;
    return tile->size <= device->info.max_workgroup && plain_fits(device, tile);
}

// ------------------------------------------------------------------------------------------------- the list

bool tile_get(const vkgpt_device *device, enum TileKind kind, uint32_t n, struct Tile *tile)
{
    *tile = TABLES[kind][n];
    if (!tile->size) return false; // the end of a shorter list
    return kind == BY_MATRICES ? matrix_tile(device, tile) : plain_tile(device, tile);
}

struct Tile tile_listed(enum TileKind kind, uint32_t n) { return TABLES[kind][n - 1]; }

uint32_t tile_find(enum TileKind kind, const struct Tile *like)
{
    for (uint32_t n = 0; n < TILES; n++) {
        const struct Tile *tile = &TABLES[kind][n];
        if (tile->rows == like->rows && tile->outputs == like->outputs && tile->size == like->size) return n + 1;
    }
    return 0;
}

bool tiles_exist(const vkgpt_device *device, enum TileKind kind)
{
    struct Tile tile;
    for (uint32_t n = 0; n < TILES; n++)
        if (tile_get(device, kind, n, &tile)) return true;
    return false;
}

// ----------------------------------------------------------------------------------------------- the choice

// At least one: the number of outputs of a head may not be known.
static uint32_t columns_of(const struct TileAsk *ask, uint32_t outputs)
{
    return ask->outputs ? ceil_div(ask->outputs, outputs) : 1;
}

// As many segments as tiles of 64 x 64 need, in a block of 128 rows, to occupy three quarters of the processors.
uint32_t tile_segment(const vkgpt_device *device, const struct TileAsk *ask)
{
    uint32_t columns = columns_of(ask, COLUMN), count = processors_of(device) * 3 / (8 * columns);
    if (count > MOST_SEGMENTS) count = MOST_SEGMENTS;
    if (count > ask->width / LEAST_SEGMENT) count = ask->width / LEAST_SEGMENT;
    if (!ask->segments || ask->kind != BY_MATRICES || count < 2) return ask->width;
    return ceil_div(ceil_div(ask->width, count), SEGMENT_STEP) * SEGMENT_STEP;
}

uint32_t tile_segments(const vkgpt_device *device, const struct TileAsk *ask)
{
    return ceil_div(ask->width, tile_segment(device, ask));
}

static uint32_t tiles_of(const struct TileAsk *ask, const struct Tile *tile)
{
    return ceil_div(ask->rows, tile->rows) * columns_of(ask, tile->outputs);
}

bool tile_splits(const vkgpt_device *device, const struct TileAsk *ask, const struct Tile *tile)
{
    uint32_t segments = tile_segments(device, ask), tiles = tiles_of(ask, tile);
    return segments > 1 && tiles <= SPLIT_TILES &&
           (uint64_t)tiles * tile->rows * tile->outputs * segments * 4 <= SUM_BYTES;
}

uint64_t tile_sum_bytes(uint32_t rows, uint32_t outputs)
{
    uint64_t bytes = 4 * MOST_SEGMENTS;
    bytes *= (uint64_t)ceil_div(rows, LARGEST_ROWS) * LARGEST_ROWS;
    bytes *= (uint64_t)ceil_div(outputs, LARGEST_OUTPUTS) * LARGEST_OUTPUTS;
    return bytes < SUM_BYTES ? bytes : SUM_BYTES;
}

bool tile_suits(const vkgpt_device *device, const struct TileAsk *ask, uint32_t n)
{
    struct Tile tile, smaller;
    bool smallest = true;
    for (uint32_t i = 0; i < n; i++) smallest = smallest && !tile_get(device, ask->kind, i, &smaller);
    return tile_get(device, ask->kind, n, &tile) && (smallest || tile.rows < 2 * ask->rows);
}

// Workgroups of a tile; 0: it does not suit, or cannot be split.
static uint32_t groups_of(const vkgpt_device *device, const struct TileAsk *ask, struct TileChoice choice)
{
    struct Tile tile;
    if (!tile_suits(device, ask, choice.number) || !tile_get(device, ask->kind, choice.number, &tile)) return 0;
    if (choice.split) return tile_splits(device, ask, &tile) ? tiles_of(ask, &tile) * tile_segments(device, ask) : 0;
    bool two_sums = tile_segments(device, ask) > 1; // of this segment, and of those before
    return two_sums && tile.rows * tile.outputs > MOST_RESULTS * tile.size ? 0 : tiles_of(ask, &tile);
}

uint32_t tile_groups(const vkgpt_device *device, const struct TileAsk *ask, struct TileChoice choice)
{
    return groups_of(device, ask, choice);
}

// The largest tile with enough workgroups, or else the smallest: `enough` says which. `results`: of one tile; 0: there
// is none.
static struct TileChoice largest(const vkgpt_device *device, const struct TileAsk *ask, bool split, bool *enough,
                                 uint32_t *results)
{
    struct TileChoice best = {0, split};
    *enough = false, *results = 0;
    for (uint32_t n = 0; n < TILES; n++) {
        uint32_t groups = groups_of(device, ask, (struct TileChoice){n, split});
        bool fills = groups >= processors_of(device) * 2 / 3;
        if (!groups || (*results && !fills)) continue;
        best.number = n, *enough = fills, *results = TABLES[ask->kind][n].rows * TABLES[ask->kind][n].outputs;
    }
    return best;
}

struct TileChoice tile_for(const vkgpt_device *device, const struct TileAsk *ask)
{
    bool enough, enough_split;
    uint32_t results, results_split;
    struct TileChoice whole = largest(device, ask, false, &enough, &results);
    struct TileChoice split = largest(device, ask, true, &enough_split, &results_split);
    if (!results_split) return whole;
    return !enough || (enough_split && results_split >= 2 * results) ? split : whole;
}
