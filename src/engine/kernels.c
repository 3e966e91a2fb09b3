#include "engine/kernels.h"

#include <stdio.h>
#include <string.h>

#include "base/minimum.h"
#include "engine/tiles.h"
#include "engine/tuning.h"

#define COUNT(constants) (uint32_t)(sizeof(constants) / sizeof *(constants))

static const uint32_t ROW_KERNEL_SIZE = 128; // embed, norm, merge, attend, admit, share
static const uint32_t BEST_SIZE = 32;
static const uint32_t SCAN_SIZE = 256;                                // lookup, score, report
static const uint32_t SAMPLE_SIZE = 1024, SAMPLE_SOFTWARE_SIZE = 128; // at most; on a software driver
static const uint32_t CACHE_SIZE = 32;
static const uint32_t COOPMAT_QUERIES = 64;   // rows of a block in a workgroup of attend_block_coopmat
static const uint32_t COOPMAT_HEAD_DIM = 128; // at most: a subgroup holds a sum for every element of a head
static const uint32_t SAMPLE_SHARED = 8704;   // bytes of shared memory that sample needs besides 8 per lane

// Whether a product can compute its own input, merged attention or a norm, in shared memory. On a software driver that
// does not pay for a wide norm: one more dispatch costs 0.1 ms, but the products of 124M compile in a fifth of the time
// without it (50 against 270 ms on lavapipe).
static bool can_stage(const vkgpt_device *device, uint32_t width, uint32_t size, bool is_norm)
{
    if (device->software_kernels && is_norm && width > 512) return false;
    uint32_t gaps = device->software_kernels ? 0 : width / 8 * 4; // product_common.glsl
    return width * 4 + gaps + size * 8 + 64 <= device->info.shared_bytes;
}

// DECODE runs one row at a time, BATCH several; PREFILL is for blocks.
enum Mode { DECODE, BATCH, PREFILL };

// What products are made for: a mode of a model on a device.
struct Making {
    vkgpt_device *device;
    const struct Shape *shape;
    enum Mode mode;
    uint32_t tokens;    // BATCH: rows of x of a workgroup
    uint32_t rows;      // PREFILL: of a block
    enum TileKind kind; // PREFILL on a GPU
};

// Whether products are made in tiles (engine/tiles.h).
static bool has_tiles(const struct Making *making)
{
    return making->mode == PREFILL && !making->device->software_kernels;
}

// Whether what products read and hand on is in halves.
static bool has_halves(const struct Making *making) { return has_tiles(making) && making->kind != IN_FP32; }

// Lanes of a subgroup.
static uint32_t product_lanes(const struct Making *making)
{
    return has_halves(making) ? making->device->matrix_lanes : making->device->info.subgroup_size;
}

// Rows of x of a workgroup.
static uint32_t tokens_for(const struct Making *making)
{
    return making->mode == DECODE ? 1 : making->mode == BATCH ? making->tokens : PREFILL_TOKENS;
}

// Rows of x of a workgroup, for a step of `rows` rows.
static uint32_t step_tokens(const vkgpt_device *device, uint32_t rows)
{
    uint32_t tokens = rows == 1 ? 1 : 2;
    while (tokens < built_in_step_tokens(device) && tokens < rows) tokens *= 2;
    return tokens;
}

struct ProductKey product_key(const vkgpt_device *device, enum ProductKernel product, uint32_t format, uint32_t width,
                              uint32_t outputs, uint32_t rows)
{
    return (struct ProductKey){product, device->software_kernels,  format, width,
                               outputs, step_tokens(device, rows), 0,      IN_FP32};
}

struct ProductKey block_key(enum TileKind kind, enum ProductKernel product, uint32_t format, uint32_t width,
                            uint32_t outputs, uint32_t rows)
{
    uint32_t block = GROUP_ROWS;
    while (block < rows) block *= 2;
    return (struct ProductKey){product, false, format, width, outputs, PREFILL_TOKENS, block, kind};
}

// The tile that the shape asks for, split where it can be.
static struct Variant forced_tile(const vkgpt_device *device, const struct ProductKey *key, struct Variant forced)
{
    const struct TileAsk ask = variant_ask(key);
    struct Tile tile;
    tile_get(device, key->kind, forced.tile - 1, &tile);
    forced.split = forced.split && tile_splits(device, &ask, &tile);
    return forced;
}

static struct ProductKey key_for(const struct Making *making, enum ProductKernel product, uint32_t format,
                                 uint32_t width, uint32_t outputs)
{
    if (has_tiles(making)) return block_key(making->kind, product, format, width, outputs, making->rows);
    return (struct ProductKey){product, making->device->software_kernels, format, width, outputs, tokens_for(making), 0,
                               IN_FP32};
}

// The choice that was measured, or else the built-in one.
static struct Variant variant_for(const struct Making *making, const struct ProductKey *key)
{
    if (key->block && making->shape->tile.tile) return forced_tile(making->device, key, making->shape->tile);
    const struct Variant *tuned = tuning_find(making->device, key);
    return tuned ? *tuned : variant_built_in(making->device, key);
}

enum TileKind products_kind(const vkgpt_device *device, bool fp32)
{
    if (device->software_kernels || fp32) return IN_FP32;
    if (tiles_exist(device, BY_MATRICES) && kernel_exists("qkv_prefill_coopmat"))
        return BY_MATRICES; // all or none: Shaders.cmake
    return IN_FP32;
}

static const char *product_name(const struct Making *making, enum ProductKernel kernel)
{
#define PRODUCT_NAMES(name)                                                                                            \
    {                                                                                                                  \
        name, name "_software", name "_batch_software", name "_prefill_software", name "_prefill",                     \
            name "_prefill_coopmat"                                                                                    \
    }
    static const char *const names[][6] = {
        [QKV] = PRODUCT_NAMES("qkv"),           [PROJECT] = {"project"},        [EXPAND] = PRODUCT_NAMES("expand"),
        [CONTRACT] = PRODUCT_NAMES("contract"), [HEAD] = PRODUCT_NAMES("head"),
    };
    // on a GPU, on a software driver
    static const int variants[][2] = {[DECODE] = {0, 1}, [BATCH] = {0, 2}, [PREFILL] = {4, 3}};
    // where the parts of attend are already merged
    if (kernel == PROJECT && (making->mode != DECODE || making->device->software_kernels)) kernel = CONTRACT;
    int variant = variants[making->mode][making->device->software_kernels] + (has_tiles(making) ? making->kind : 0);
    return names[kernel][variant];
}

// Whether decode of one row may compute a norm inside its products.
static bool stages_norm(const struct Making *making)
{
    return can_stage(making->device, making->shape->dim, built_in_size(making->device), true);
}

// Sets the tile of a product of prefill.
static void choose_tile(const vkgpt_device *device, const struct TileAsk *ask, struct Variant v, uint32_t *constants,
                        struct Tile *tile)
{
    const struct MatrixShape matrix = device->matrix;
    tile_get(device, ask->kind, v.tile - 1, tile);
    if (ask->kind == BY_MATRICES) {
        constants[CONSTANT_PRODUCT_MATRIX_M] = matrix.m;
        constants[CONSTANT_PRODUCT_MATRIX_N] = matrix.n;
        constants[CONSTANT_PRODUCT_MATRIX_K] = matrix.k;
    }
    constants[CONSTANT_SIZE] = tile->size;
    constants[CONSTANT_PRODUCT_TILE_ROWS] = tile->rows;
    constants[CONSTANT_PRODUCT_TILE_OUTPUTS] = tile->outputs;
    constants[CONSTANT_PRODUCT_DEPTH] = tile->depth;
    constants[CONSTANT_PRODUCT_SUBGROUPS_DOWN] = tile->down;
    constants[CONSTANT_PRODUCT_BUFFERED] = tile->buffered;
    constants[CONSTANT_PRODUCT_SEGMENT] = tile_segment(device, ask);
    constants[CONSTANT_PRODUCT_SPLIT] = v.split;
}

// Notes what a workgroup computes, for one format.
static void note_groups(const struct Making *making, const struct TileAsk *ask, struct Variant v,
                        const struct Tile *tile, uint32_t format, struct Product *product)
{
    bool tiles = has_tiles(making);
    product->group_rows[format] = tiles ? tile->rows : tokens_for(making);
    product->group_outputs[format] = tiles ? tile->outputs : variant_outputs(making->device, v);
    product->whole_rows[format] = tiles ? tile->whole_rows : product->group_rows[format];
    product->whole_outputs[format] = tiles ? tile->whole_outputs : product->group_outputs[format];
    product->segments[format] = v.split ? tile_segments(making->device, ask) : 1;
}

static int product_get(const struct Making *making, enum ProductKernel kernel, uint32_t width, uint32_t outputs,
                       bool may_stage, uint32_t activation, struct Product *product, vkgpt_error *err)
{
    bool software = making->device->software_kernels, decode = making->mode == DECODE;
    uint32_t constants[PRODUCT_CONSTANTS] = {
        [CONSTANT_KV] = making->shape->kv,
        [CONSTANT_PRODUCT_WIDTH] = software && !decode ? 0 : width, // one pipeline serves every width
        [CONSTANT_PRODUCT_SUBGROUP] = product_lanes(making),
        [CONSTANT_PRODUCT_TOKENS] = tokens_for(making),
        [CONSTANT_PRODUCT_ACTIVATION] = activation,
        [CONSTANT_PRODUCT_EARLY] = !making->shape->state_first,
        [CONSTANT_PRODUCT_MOST_HELD] = built_in_held(making->device),
        [CONSTANT_PRODUCT_HALVES_IN] = product->halves,
        [CONSTANT_PRODUCT_HALVES_OUT] = has_halves(making) && kernel == EXPAND && activation != ACTIVATE_NONE,
    };
    struct Tile tile = {0};
    for (uint32_t format = 0; format < FORMATS; format++) {
        if (!making->shape->formats[format]) continue;
        const struct ProductKey key = key_for(making, kernel, format, width, outputs);
        const struct Variant v = variant_for(making, &key);
        const struct TileAsk ask = variant_ask(&key);
        product->staged[format] = may_stage && v.staged && can_stage(making->device, width, v.size, kernel != PROJECT);
        constants[CONSTANT_SIZE] = v.size;
        constants[CONSTANT_WEIGHTS] = format;
        constants[CONSTANT_PRODUCT_ROWS] = v.rows;
        constants[CONSTANT_PRODUCT_LOADS] = v.loads;
        constants[CONSTANT_PRODUCT_STAGED] = product->staged[format];
        if (has_tiles(making)) choose_tile(making->device, &ask, v, constants, &tile);
        note_groups(making, &ask, v, &tile, format, product);
        int status =
            pipeline_get_lanes(making->device, product_name(making, kernel), constants[CONSTANT_PRODUCT_SUBGROUP],
                               constants, COUNT(constants), &product->pipelines[format], err);
        if (status) return status;
    }
    return VKGPT_OK;
}

uint32_t activation_constant(enum Activation activation)
{
    static const uint32_t constants[] = {
        [ACTIVATION_GELU_TANH] = ACTIVATE_GELU_TANH,
        [ACTIVATION_GELU_ERF] = ACTIVATE_GELU_ERF,
        [ACTIVATION_RELU] = ACTIVATE_RELU,
        [ACTIVATION_SILU] = ACTIVATE_SILU,
        [ACTIVATION_QUICK_GELU] = ACTIVATE_QUICK_GELU,
    };
    return constants[activation];
}

static bool is_split(const struct Product *product)
{
    bool split = false;
    for (uint32_t format = 0; format < FORMATS; format++) split = split || product->segments[format] > 1;
    return split;
}

static int products_get(const struct Making *making, struct Kernels *k, vkgpt_error *err)
{
    const struct Shape *s = making->shape;
    bool projected = s->embed_dim != 0, norm_in_head = !s->no_final_norm && !projected;
    uint32_t head_width = projected ? s->embed_dim : s->dim, act = activation_constant(s->activation);
    bool norm_in_layer = !s->post_norm, halves = has_halves(making);
    const struct {
        uint32_t width, outputs;
        bool may_stage, halves;
    } asked[PRODUCT_KERNELS] = {
        [QKV] = {s->dim, 3 * s->width, norm_in_layer, halves && norm_in_layer},
        [PROJECT] = {s->width, s->dim, true, halves},
        [EXPAND] = {s->dim, s->inner, norm_in_layer, halves && norm_in_layer},
        [CONTRACT] = {s->inner, s->dim, false, halves},
        [HEAD] = {head_width, s->vocab, norm_in_head, false},
    };
    int status = VKGPT_OK;
    for (enum ProductKernel p = QKV; !status && p < PRODUCT_KERNELS; p++) {
        k->products[p].halves = asked[p].halves;
        status =
            product_get(making, p, asked[p].width, asked[p].outputs, asked[p].may_stage, act, &k->products[p], err);
    }
    if (status || !projected) return status;
    status = product_get(making, CONTRACT, s->embed_dim, s->dim, false, act, &k->embed_up, err);
    return status ? status
                  : product_get(making, EXPAND, s->dim, s->embed_dim, !s->no_final_norm, ACTIVATE_NONE, &k->embed_down,
                                err);
}

static int simple_get(vkgpt_device *device, const char *kernel, uint32_t size, uint32_t format,
                      const struct Pipeline **pipeline, vkgpt_error *err)
{
    const uint32_t constants[] = {[CONSTANT_SIZE] = size, [CONSTANT_WEIGHTS] = format};
    return pipeline_get(device, kernel, constants, COUNT(constants), pipeline, err);
}

// One workgroup chooses the next token of a sequence. It is as large as the device allows with subgroups of the size
// in use.
static uint32_t sample_size(const vkgpt_device *device)
{
    uint32_t size = device->software_kernels ? SAMPLE_SOFTWARE_SIZE : SAMPLE_SIZE, most = device->info.max_workgroup;
    if (device->info.max_subgroups && device->info.max_subgroups < most / device->info.subgroup_size)
        most = device->info.max_subgroups * device->info.subgroup_size;
    while (size > most || (size > 64 && size * 8 + SAMPLE_SHARED > device->info.shared_bytes)) size /= 2;
    return size;
}

int kernels_around(vkgpt_device *device, const char *sample, uint32_t rows, bool leaves_parts, struct Kernels *k,
                   vkgpt_error *err)
{
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = sample_size(device), [CONSTANT_SAMPLE_AHEAD] = built_in_sample_ahead(device)};
    int status = pipeline_get(device, sample, constants, COUNT(constants), &k->sample, err);
    if (!status) status = simple_get(device, "admit", ROW_KERNEL_SIZE, 0, &k->admit, err);
    if (!status) status = simple_get(device, "share", ROW_KERNEL_SIZE, 0, &k->share, err);
    if (!status && rows > 1) status = simple_get(device, "lookup", SCAN_SIZE, 0, &k->lookup, err);
    if (!status && (rows > 1 || !leaves_parts)) status = simple_get(device, "best", BEST_SIZE, 0, &k->best, err);
    return status;
}

int kernel_for_reports(vkgpt_device *device, bool deterministic, const struct Pipeline **report, vkgpt_error *err)
{
    const uint32_t constants[] = {[CONSTANT_SIZE] = SCAN_SIZE};
    return pipeline_get(device, deterministic ? "report_deterministic" : "report", constants, COUNT(constants), report,
                        err);
}

static int embed_get(vkgpt_device *device, const struct Shape *shape, const char *kernel, struct Kernels *k,
                     vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t format = 0; !status && format < FORMATS; format++)
        if (shape->formats[format])
            status = simple_get(device, kernel, ROW_KERNEL_SIZE, format, &k->embed[format], err);
    return status;
}

static int cache_get(vkgpt_device *device, const struct Shape *shape, const char *kernel, struct Kernels *k,
                     vkgpt_error *err)
{
    k->cache_lanes = CACHE_SIZE;
    return shape->kv == KV_Q8_0 ? simple_get(device, kernel, CACHE_SIZE, 0, &k->cache, err) : VKGPT_OK;
}

// A workgroup is one subgroup, with one query or in a block with one for each lane. In decode too it reads the whole
// cache: as much is in flight as a processor has cores for.
static int attend_software_get(vkgpt_device *device, const struct Shape *shape, bool block, struct Kernels *k,
                               vkgpt_error *err)
{
    uint32_t lanes = device->info.subgroup_size;
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = lanes,
        [CONSTANT_KV] = shape->kv,
        [CONSTANT_ATTEND_HEAD_DIM] = shape->head_dim,
    };
    k->block_queries = block ? lanes : 1;
    k->span = UINT32_MAX;
    k->attend_tile = (struct AttendTile){k->block_queries, k->block_queries, (block ? 4 : 1) * lanes}; // TILE
    const char *kernel = block ? "attend_software_prefill" : "attend_software";
    return pipeline_get(device, kernel, constants, COUNT(constants), &k->attend, err);
}

static int attend_get(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    if (device->software_kernels) return attend_software_get(device, shape, false, k, err);
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = ROW_KERNEL_SIZE,
        [CONSTANT_KV] = shape->kv,
        [CONSTANT_ATTEND_HEAD_DIM] = shape->head_dim,
        [CONSTANT_ATTEND_SPAN] = shape->span,
        [CONSTANT_ATTEND_AHEAD] = built_in_ahead(device),
    };
    k->span = shape->span;
    return pipeline_get(device, "attend", constants, COUNT(constants), &k->attend, err);
}

// Bytes of shared memory that attend_block_coopmat takes: tiles of keys and values, the subgroups' scratch, the bases.
static uint32_t attend_shared(const uint32_t constants[ATTEND_COOPMAT_CONSTANTS])
{
    uint32_t depth = constants[CONSTANT_ATTEND_COOPMAT_DEPTH], tile = constants[CONSTANT_ATTEND_COOPMAT_TILE];
    uint32_t row = depth / 8 + 1, column = tile / 8 + 1;
    uint32_t values = constants[CONSTANT_ATTEND_COOPMAT_TURNED] ? depth * column : tile * row;
    uint32_t subgroups = constants[CONSTANT_SIZE] / constants[CONSTANT_ATTEND_COOPMAT_SUBGROUP];
    return 16 * (tile * row + values + subgroups * constants[CONSTANT_ATTEND_COOPMAT_SCRATCH]) + 4 * COOPMAT_QUERIES;
}

// The constants of attend_block_coopmat, all but the size of its tiles.
static void attend_constants(const vkgpt_device *device, const struct Shape *shape,
                             uint32_t constants[ATTEND_COOPMAT_CONSTANTS])
{
    const struct MatrixShape m = device->matrix;
    uint32_t lanes = device->matrix_lanes, whole = max_u32(16, max_u32(m.n, m.k));
    const uint32_t values[ATTEND_COOPMAT_CONSTANTS] = {
        [CONSTANT_SIZE] = COOPMAT_QUERIES / m.m * lanes,
        [CONSTANT_KV] = shape->kv,
        [CONSTANT_ATTEND_HEAD_DIM] = shape->head_dim,
        [CONSTANT_ATTEND_COOPMAT_SUBGROUP] = lanes,
        [CONSTANT_ATTEND_COOPMAT_MATRIX_M] = m.m,
        [CONSTANT_ATTEND_COOPMAT_MATRIX_N] = m.n,
        [CONSTANT_ATTEND_COOPMAT_MATRIX_K] = m.k,
        [CONSTANT_ATTEND_COOPMAT_DOWN] = 1,
        [CONSTANT_ATTEND_COOPMAT_DEPTH] = (shape->head_dim + whole - 1) / whole * whole,
        // only NVIDIA transposes a matrix on its way out of shared memory
        [CONSTANT_ATTEND_COOPMAT_TURNED] = device->info.vendor_id != VENDOR_NVIDIA,
        [CONSTANT_ATTEND_COOPMAT_LOCKSTEP] = device->lockstep,
    };
    memcpy(constants, values, sizeof values);
}

// Sets the largest tile that fits into shared memory; false: none does.
static bool choose_attend_tile(const vkgpt_device *device, uint32_t constants[ATTEND_COOPMAT_CONSTANTS])
{
    const struct MatrixShape m = device->matrix;
    uint32_t least = max_u32(m.n, m.k);
    uint32_t most = (constants[CONSTANT_ATTEND_COOPMAT_DEPTH] > 96 ? 2 : 4) * m.n; // as registers allow
    for (uint32_t tile = max_u32(least, most); tile >= least; tile /= 2) {
        constants[CONSTANT_ATTEND_COOPMAT_TILE] = tile;
        constants[CONSTANT_ATTEND_COOPMAT_SCRATCH] =
            max_u32(m.m * (tile / 8 + 1), max_u32(m.m * m.n / 4, m.m * m.k / 8));
        if (attend_shared(constants) <= device->info.shared_bytes) return true;
    }
    return false;
}

// Whether a block's attention uses cooperative matrices, and with which constants. They multiply halves, so a model
// that is all in fp32 does not use them.
static bool attend_by_matrices(const vkgpt_device *device, const struct Shape *shape,
                               uint32_t constants[ATTEND_COOPMAT_CONSTANTS])
{
    const struct MatrixShape m = device->matrix;
    bool rounds = false;
    for (uint32_t format = 0; format < FORMATS; format++) rounds |= format != WEIGHTS_F32 && shape->formats[format];
    bool fits = m.m && m.m <= GROUP_ROWS && m.n >= 8 && m.k >= 8 && shape->head_dim <= COOPMAT_HEAD_DIM;
    if (!rounds || !fits || device->software_kernels || !device->matrix_halves) return false;
    if (!kernel_exists("attend_block_coopmat")) return false;
    attend_constants(device, shape, constants);
    uint32_t size = constants[CONSTANT_SIZE];
    if (size > device->info.max_workgroup || size / device->matrix_lanes > device->info.max_subgroups) return false;
    return choose_attend_tile(device, constants);
}

static int attend_block_get(vkgpt_device *device, const struct Shape *shape, bool halves, struct Kernels *k,
                            vkgpt_error *err)
{
    uint32_t by_matrices[ATTEND_COOPMAT_CONSTANTS];
    if (attend_by_matrices(device, shape, by_matrices)) {
        const struct MatrixShape m = device->matrix;
        by_matrices[CONSTANT_ATTEND_COOPMAT_HALVES_OUT] = halves;
        k->block_queries = COOPMAT_QUERIES;
        k->attend_tile = (struct AttendTile){m.m, m.m, max_u32(m.n, m.k)};
        return pipeline_get_lanes(device, "attend_block_coopmat", device->matrix_lanes, by_matrices, COUNT(by_matrices),
                                  &k->attend, err);
    }
    if (device->software_kernels) return attend_software_get(device, shape, true, k, err);
    uint32_t size = ROW_KERNEL_SIZE, queries = 16, groups = size / (shape->head_dim / 8);
    uint32_t per_query = shape->head_dim * 4 + size * 4 + 12;
    while (queries > 1 && queries * per_query + size * 8 > device->info.shared_bytes) queries /= 2;
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = size,
        [CONSTANT_KV] = shape->kv,
        [CONSTANT_ATTEND_HEAD_DIM] = shape->head_dim,
        [CONSTANT_ATTEND_BLOCK_QUERIES] = queries,
        [CONSTANT_ATTEND_BLOCK_SHARES] = (queries + groups - 1) / groups,
        [CONSTANT_ATTEND_BLOCK_HALVES_OUT] = halves,
    };
    k->block_queries = queries;
    k->attend_tile = (struct AttendTile){queries, (queries + 1) / 2, device->info.subgroup_size};
    return pipeline_get(device, "attend_block", constants, COUNT(constants), &k->attend, err);
}

static int check_shape(const vkgpt_device *device, const struct Shape *shape, vkgpt_error *err)
{
    uint32_t most = 8 * ROW_KERNEL_SIZE, fits = (device->info.shared_bytes - 8192) / 8;
    if (fits < most) most = fits;
    if (shape->head_dim > most)
        return fail(err, VKGPT_BAD_MODEL, "heads of %u elements: %s runs %u at most", shape->head_dim,
                    device->info.name, most);
    return VKGPT_OK;
}

static bool all_staged(const struct Kernels *k)
{
    for (uint32_t format = 0; format < FORMATS; format++)
        if (k->qkv.pipelines[format] && !(k->qkv.staged[format] && k->expand.staged[format] && k->head.staged[format]))
            return false;
    return true;
}

// In decode on a GPU every subgroup adds up the whole row, so a workgroup may have any size (norm_subgroup.glsl).
static int norm_get(const struct Making *making, uint32_t size, bool halves, const struct Pipeline **pipeline,
                    vkgpt_error *err)
{
    const char *kernel = making->mode == PREFILL            ? "norm_prefill"
                         : making->device->software_kernels ? "norm_software"
                                                            : "norm";
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = size,
        [CONSTANT_PRODUCT_WIDTH] = making->shape->dim,
        [CONSTANT_PRODUCT_SUBGROUP] = making->device->info.subgroup_size,
        [CONSTANT_PRODUCT_MOST_HELD] = built_in_held(making->device),
        [CONSTANT_PRODUCT_HALVES_OUT] = halves,
    };
    return pipeline_get(making->device, kernel, constants, COUNT(constants), pipeline, err);
}

// On a software driver the size of the workgroup sets the order in which a norm adds up. Decode of one row may compute
// the norm inside a product. Then a norm dispatched before a product, for several rows or because tuning found it
// quicker, has the size of that product's workgroup, so that the bits are the same.
static int norms_get(const struct Making *making, struct Kernels *k, vkgpt_error *err)
{
    bool alike = making->mode != PREFILL && making->device->software_kernels && stages_norm(making) && !all_staged(k);
    uint32_t size = alike ? built_in_size(making->device) : ROW_KERNEL_SIZE;
    int status = norm_get(making, ROW_KERNEL_SIZE, false, &k->norm, err);
    if (!status) status = norm_get(making, size, false, &k->norm_input, err);
    if (!status && has_halves(making)) status = norm_get(making, ROW_KERNEL_SIZE, true, &k->norm_halves, err);
    return status;
}

static int merge_get(vkgpt_device *device, struct Kernels *k, vkgpt_error *err)
{
    const uint32_t constants[] = {[CONSTANT_SIZE] = ROW_KERNEL_SIZE, [CONSTANT_MERGE_AHEAD] = built_in_ahead(device)};
    return pipeline_get(device, "merge", constants, COUNT(constants), &k->merge, err);
}

int kernel_for_blocks(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    return attend_block_get(device, shape, false, k, err);
}

int kernels_for_decode(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *k,
                       vkgpt_error *err)
{
    struct Making making = {
        .device = device, .shape = shape, .mode = rows == 1 ? DECODE : BATCH, .tokens = step_tokens(device, rows)};
    *k = (struct Kernels){0};
    int status = tuning_open(device, err);
    if (!status) status = check_shape(device, shape, err);
    if (!status) status = embed_get(device, shape, "embed", k, err);
    if (!status) status = products_get(&making, k, err);
    if (!status) status = norms_get(&making, k, err);
    if (!status && !device->software_kernels) status = merge_get(device, k, err);
    if (!status) status = kernels_around(device, "sample", rows, true, k, err);
    if (!status) status = cache_get(device, shape, "cache", k, err);
    return status ? status : attend_get(device, shape, k, err);
}

int kernels_for_prefill(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *k,
                        vkgpt_error *err)
{
    const struct Making making = {.device = device,
                                  .shape = shape,
                                  .mode = PREFILL,
                                  .rows = rows,
                                  .kind = products_kind(device, shape->formats[WEIGHTS_F32])};
    *k = (struct Kernels){0};
    int status = tuning_open(device, err);
    if (!status) status = check_shape(device, shape, err);
    if (!status) status = embed_get(device, shape, "embed_prefill", k, err);
    if (!status) status = norms_get(&making, k, err);
    if (!status) status = cache_get(device, shape, "cache_prefill", k, err);
    if (!status) status = attend_block_get(device, shape, has_halves(&making), k, err);
    if (!status) status = simple_get(device, "score", SCAN_SIZE, 0, &k->score, err);
    if (!status) status = products_get(&making, k, err);
    k->splits = is_split(&k->project) || is_split(&k->contract) || is_split(&k->embed_up);
    return status;
}
