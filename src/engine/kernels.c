#include "engine/kernels.h"

#include <stdio.h>
#include <string.h>

#include "engine/tiles.h"
#include "engine/tuning.h"

// The specialization constants of the product kernels, by constant_id (shaders/common.glsl, product.glsl).
struct ProductConstants {
    uint32_t size, weights, kv, width, rows, staged, subgroup, tokens, activation;
    struct MatrixShape matrix;                                      // only COOPMAT has these
    uint32_t loads, early, most_held;                               // only decode on a GPU has these
    uint32_t halves_in, halves_out, tile_rows, tile_outputs, depth; // prefill on a GPU; norm: halves_out
    uint32_t down, buffered;                                        // COOPMAT
    uint32_t segment, split;                                        // COOPMAT
};

struct AttendConstants { // attend: span, ahead; attend_block: queries, shares
    uint32_t size, weights, kv, head_dim, span_or_queries, ahead_or_shares, halves_out;
};

// attend_block_coopmat (shaders/attend_block_coopmat.glsl).
struct AttendMatrixConstants {
    uint32_t size, weights, kv, head_dim, tile, subgroup;
    struct MatrixShape matrix;
    uint32_t down, depth, scratch, turned, lockstep, halves_out;
};

#define COUNT(type) (sizeof(type) / sizeof(uint32_t))

static const uint32_t ROW_KERNEL_SIZE = 128; // embed, norm, merge, attend, admit
static const uint32_t BEST_SIZE = 32;
static const uint32_t SCAN_SIZE = 256;                             // lookup, score
static const uint32_t SAMPLE_SIZE = 1024, SAMPLE_LANES_SIZE = 128; // at most; on a software driver
static const uint32_t CACHE_SIZE = 32;
static const uint32_t COOPMAT_QUERIES = 64;   // rows of a block in a workgroup of attend_block_coopmat
static const uint32_t COOPMAT_HEAD_DIM = 128; // at most: a subgroup holds a sum for every element of a head
static const uint32_t SAMPLE_SHARED = 8704;   // bytes of shared memory that sample needs besides 8 per lane

// Whether a product can compute its own input, merged attention or a norm, in shared memory. On a software driver that
// does not pay for a wide norm: one more dispatch costs 0.1 ms, but the products of 124M compile in a fifth of the time
// without it (50 against 270 ms on lavapipe).
static bool can_stage(const vkgpt_device *device, uint32_t width, uint32_t size, bool is_norm)
{
    if (device->lanes && is_norm && width > 512) return false;
    uint32_t gaps = device->lanes ? 0 : width / 8 * 4; // product_common.glsl
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
static bool has_tiles(const struct Making *making) { return making->mode == PREFILL && !making->device->lanes; }

// Whether what products read and hand on is in halves.
static bool has_halves(const struct Making *making) { return has_tiles(making) && making->kind != IN_FP32; }

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
    return (struct ProductKey){product, device->lanes, format, width, outputs, step_tokens(device, rows), 0, IN_FP32};
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
    return (struct ProductKey){product, making->device->lanes, format, width, outputs, tokens_for(making), 0, IN_FP32};
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
    if (device->lanes || fp32) return IN_FP32;
    if (tiles_exist(device, BY_MATRICES) && kernel_exists("qkv_prefill_coopmat"))
        return BY_MATRICES; // all or none: Shaders.cmake
    return IN_FP32;
}

static const char *product_name(const struct Making *making, enum ProductKernel kernel)
{
#define PRODUCT_NAMES(name)                                                                                            \
    {                                                                                                                  \
        name, name "_lanes", name "_batch_lanes", name "_prefill_lanes", name "_prefill", name "_prefill_coopmat"      \
    }
    static const char *const names[][6] = {
        [QKV] = PRODUCT_NAMES("qkv"),       [PROJECT] = {"project", "project_lanes"},
        [EXPAND] = PRODUCT_NAMES("expand"), [CONTRACT] = PRODUCT_NAMES("contract"),
        [HEAD] = PRODUCT_NAMES("head"),
    };
    static const int variants[][2] = {[DECODE] = {0, 1}, [BATCH] = {0, 2}, [PREFILL] = {4, 3}}; // on a GPU, with lanes
    if (kernel == PROJECT && making->mode != DECODE) kernel = CONTRACT; // the parts of attend are already merged
    return names[kernel][variants[making->mode][making->device->lanes] + (has_tiles(making) ? making->kind : 0)];
}

// Whether decode of one row may compute a norm inside its products.
static bool stages_norm(const struct Making *making)
{
    return can_stage(making->device, making->shape->dim, built_in_size(making->device), true);
}

// Sets the tile of a product of prefill.
static void choose_tile(const vkgpt_device *device, const struct TileAsk *ask, struct Variant v,
                        struct ProductConstants *c, struct Tile *tile)
{
    tile_get(device, ask->kind, v.tile - 1, tile);
    if (ask->kind == BY_MATRICES) c->matrix = device->matrix;
    c->size = tile->size, c->tile_rows = tile->rows, c->tile_outputs = tile->outputs;
    c->depth = tile->depth, c->down = tile->down, c->buffered = tile->buffered;
    c->segment = tile_segment(device, ask), c->split = v.split;
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
    bool lanes = making->device->lanes, decode = making->mode == DECODE;
    struct ProductConstants c = {
        .kv = making->shape->kv,
        .width = lanes && !decode ? 0 : width, // one pipeline serves every width
        .subgroup = making->device->info.subgroup_size,
        .tokens = tokens_for(making),
        .activation = activation,
        .early = !making->shape->state_first,
        .most_held = built_in_held(making->device),
        .halves_in = product->halves,
        .halves_out = has_halves(making) && kernel == EXPAND && activation != ACTIVATE_NONE,
    };
    struct Tile tile = {0};
    for (uint32_t format = 0; format < FORMATS; format++) {
        if (!making->shape->formats[format]) continue;
        const struct ProductKey key = key_for(making, kernel, format, width, outputs);
        const struct Variant v = variant_for(making, &key);
        const struct TileAsk ask = variant_ask(&key);
        c.weights = format, c.rows = v.rows, c.loads = v.loads, c.size = v.size;
        if (has_tiles(making)) choose_tile(making->device, &ask, v, &c, &tile);
        c.staged = product->staged[format] =
            may_stage && v.staged && can_stage(making->device, width, v.size, kernel != PROJECT);
        note_groups(making, &ask, v, &tile, format, product);
        int status = pipeline_get(making->device, product_name(making, kernel), (uint32_t *)&c, COUNT(c),
                                  &product->pipelines[format], err);
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
    k->qkv.halves = k->expand.halves = has_halves(making) && !s->post_norm;
    k->project.halves = k->contract.halves = has_halves(making);
    int status = product_get(making, QKV, s->dim, 3 * s->width, !s->post_norm, act, &k->qkv, err);
    if (!status) status = product_get(making, PROJECT, s->width, s->dim, true, act, &k->project, err);
    if (!status) status = product_get(making, EXPAND, s->dim, s->inner, !s->post_norm, act, &k->expand, err);
    if (!status) status = product_get(making, CONTRACT, s->inner, s->dim, false, act, &k->contract, err);
    if (!status) status = product_get(making, HEAD, head_width, s->vocab, norm_in_head, act, &k->head, err);
    if (status || !projected) return status;
    status = product_get(making, CONTRACT, s->embed_dim, s->dim, false, act, &k->project_in, err);
    return status ? status
                  : product_get(making, EXPAND, s->dim, s->embed_dim, !s->no_final_norm, ACTIVATE_NONE, &k->project_out,
                                err);
}

static int simple_get(vkgpt_device *device, const char *kernel, uint32_t size, uint32_t format,
                      const struct Pipeline **pipeline, vkgpt_error *err)
{
    uint32_t constants[2] = {size, format};
    return pipeline_get(device, kernel, constants, 2, pipeline, err);
}

// One workgroup chooses the next token of a sequence. It is as large as the device allows with subgroups of the size
// in use.
static uint32_t sample_size(const vkgpt_device *device)
{
    uint32_t size = device->lanes ? SAMPLE_LANES_SIZE : SAMPLE_SIZE, most = device->info.max_workgroup;
    if (device->info.max_subgroups && device->info.max_subgroups < most / device->info.subgroup_size)
        most = device->info.max_subgroups * device->info.subgroup_size;
    while (size > most || (size > 64 && size * 8 + SAMPLE_SHARED > device->info.shared_bytes)) size /= 2;
    return size;
}

static int sample_get(vkgpt_device *device, struct Kernels *k, vkgpt_error *err)
{
    const uint32_t constants[4] = {sample_size(device), 0, 0, built_in_sample_ahead(device)};
    return pipeline_get(device, "sample", constants, 4, &k->sample, err);
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

static int attend_get(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    struct AttendConstants c = {.size = ROW_KERNEL_SIZE,
                                .kv = shape->kv,
                                .head_dim = shape->head_dim,
                                .span_or_queries = shape->span,
                                .ahead_or_shares = built_in_ahead(device)};
    k->span = shape->span;
    return pipeline_get(device, "attend", (uint32_t *)&c, COUNT(c), &k->attend, err);
}

static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

// Bytes of shared memory that attend_block_coopmat takes: tiles of keys and values, the subgroups' scratch, the bases.
static uint32_t attend_shared(const struct AttendMatrixConstants *c)
{
    uint32_t row = c->depth / 8 + 1, column = c->tile / 8 + 1;
    uint32_t values = c->turned ? c->depth * column : c->tile * row, subgroups = c->size / c->subgroup;
    return 16 * (c->tile * row + values + subgroups * c->scratch) + 4 * COOPMAT_QUERIES;
}

// Whether a block's attention uses cooperative matrices, and with which constants. They multiply halves, so a model
// that is all in fp32 does not use them.
static bool attend_by_matrices(const vkgpt_device *device, const struct Shape *shape, struct AttendMatrixConstants *c)
{
    const struct MatrixShape m = device->matrix;
    bool rounds = false;
    for (uint32_t format = 0; format < FORMATS; format++) rounds |= format != WEIGHTS_F32 && shape->formats[format];
    bool fits = m.m && m.m <= GROUP_ROWS && m.n >= 8 && m.k >= 8 && shape->head_dim <= COOPMAT_HEAD_DIM;
    if (!rounds || !fits || device->lanes || !device->matrix_halves) return false;
    if (!kernel_exists("attend_block_coopmat")) return false;
    uint32_t lanes = device->info.subgroup_size, whole = max_u32(16, max_u32(m.n, m.k));
    *c = (struct AttendMatrixConstants){
        .size = COOPMAT_QUERIES / m.m * lanes,
        .kv = shape->kv,
        .head_dim = shape->head_dim,
        .subgroup = lanes,
        .matrix = m,
        .down = 1,
        .depth = (shape->head_dim + whole - 1) / whole * whole,
        .turned =
            device->info.vendor_id != VENDOR_NVIDIA, // only NVIDIA transposes a matrix on its way out of shared memory
        .lockstep = device->lockstep,
    };
    if (c->size > device->info.max_workgroup || c->size / lanes > device->info.max_subgroups) return false;
    uint32_t least = max_u32(m.n, m.k);
    for (c->tile = max_u32(least, (c->depth > 96 ? 2 : 4) * m.n); c->tile >= least;
         c->tile /= 2) { // as registers allow
        c->scratch = max_u32(m.m * (c->tile / 8 + 1), max_u32(m.m * m.n / 4, m.m * m.k / 8));
        if (attend_shared(c) <= device->info.shared_bytes) return true;
    }
    return false;
}

static int attend_block_get(vkgpt_device *device, const struct Shape *shape, bool halves, struct Kernels *k,
                            vkgpt_error *err)
{
    struct AttendMatrixConstants m;
    if (attend_by_matrices(device, shape, &m)) {
        m.halves_out = halves;
        k->block_queries = COOPMAT_QUERIES;
        k->attend_tile = (struct AttendTile){m.matrix.m, m.matrix.m, max_u32(m.matrix.n, m.matrix.k)};
        return pipeline_get(device, "attend_block_coopmat", (uint32_t *)&m, COUNT(m), &k->attend, err);
    }
    if (device->lanes) { // one subgroup, a query per lane
        uint32_t lanes = device->info.subgroup_size, chunks = shape->head_dim / 8;
        struct AttendConstants c = {lanes, 0, shape->kv, shape->head_dim, lanes, (chunks + lanes - 1) / lanes, 0};
        k->block_queries = lanes;
        k->attend_tile = (struct AttendTile){lanes, lanes, 4 * lanes}; // KEYS of attend_block_lanes
        return pipeline_get(device, "attend_block_lanes", (uint32_t *)&c, COUNT(c), &k->attend, err);
    }
    struct AttendConstants c = {.size = ROW_KERNEL_SIZE,
                                .kv = shape->kv,
                                .head_dim = shape->head_dim,
                                .span_or_queries = 16,
                                .halves_out = halves};
    uint32_t per_query = shape->head_dim * 4 + c.size * 4 + 12;
    while (c.span_or_queries > 1 && c.span_or_queries * per_query + c.size * 8 > device->info.shared_bytes)
        c.span_or_queries /= 2;
    uint32_t groups = c.size / (shape->head_dim / 8);
    c.ahead_or_shares = (c.span_or_queries + groups - 1) / groups;
    k->block_queries = c.span_or_queries;
    k->attend_tile = (struct AttendTile){c.span_or_queries, (c.span_or_queries + 1) / 2, device->info.subgroup_size};
    return pipeline_get(device, "attend_block", (uint32_t *)&c, COUNT(c), &k->attend, err);
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
    const char *kernel = making->mode == PREFILL ? "norm_prefill" : making->device->lanes ? "norm_lanes" : "norm";
    const struct ProductConstants c = {.size = size,
                                       .width = making->shape->dim,
                                       .subgroup = making->device->info.subgroup_size,
                                       .most_held = built_in_held(making->device),
                                       .halves_out = halves};
    return pipeline_get(making->device, kernel, (const uint32_t *)&c, COUNT(c), pipeline, err);
}

// On a software driver the size of the workgroup sets the order in which a norm adds up. Decode of one row may compute
// the norm inside a product. Then a norm dispatched before a product, for several rows or because tuning found it
// quicker, has the size of that product's workgroup, so that the bits are the same.
static int norms_get(const struct Making *making, struct Kernels *k, vkgpt_error *err)
{
    bool alike = making->mode != PREFILL && making->device->lanes && stages_norm(making) && !all_staged(k);
    uint32_t size = alike ? built_in_size(making->device) : ROW_KERNEL_SIZE;
    int status = norm_get(making, ROW_KERNEL_SIZE, false, &k->norm, err);
    if (!status) status = norm_get(making, size, false, &k->norm_input, err);
    if (!status && has_halves(making)) status = norm_get(making, ROW_KERNEL_SIZE, true, &k->norm_halves, err);
    return status;
}

static int merge_get(vkgpt_device *device, struct Kernels *k, vkgpt_error *err)
{
    uint32_t constants[4] = {ROW_KERNEL_SIZE, 0, 0, built_in_ahead(device)};
    return pipeline_get(device, "merge", constants, 4, &k->merge, err);
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
    if (!status) status = merge_get(device, k, err);
    if (!status) status = sample_get(device, k, err);
    if (!status) status = cache_get(device, shape, "cache", k, err);
    if (!status) status = attend_get(device, shape, k, err);
    if (!status) status = simple_get(device, "admit", ROW_KERNEL_SIZE, 0, &k->admit, err);
    if (!status && rows > 1) status = simple_get(device, "lookup", SCAN_SIZE, 0, &k->lookup, err);
    if (!status && rows > 1) status = simple_get(device, "best", BEST_SIZE, 0, &k->best, err);
    return status;
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
    k->splits = is_split(&k->project) || is_split(&k->contract) || is_split(&k->project_in);
    return status;
}
