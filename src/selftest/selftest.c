// The selftest: every kernel of the library, in every variant that the device can run, on a list of awkward sizes.
#include "selftest/selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/deterministic.h"
#include "engine/kernels_deterministic.h"
#include "engine/tiles.h"

// Awkward widths and widths of GPT-2; heads of 1 to 128; blocks that start and end next to the boundaries of tiles and
// splits; matrices in one piece and in several. Neighbours with the same formats, activation and padded widths share
// their pipelines: software drivers take half a second to compile some of them.
// clang-format off
static const struct LayerSize SIZES[] = {
    {.dim = 1, .heads = 1, .head_dim = 1, .inner = 1, .vocab = 2, .context = 3, .span = 64, .rows = 1, .first = 1,
     .chunks = 1, .weights = WEIGHTS_F16, .kv = KV_F16, .foreign = true},
    {.dim = 7, .heads = 7, .head_dim = 1, .inner = 7, .vocab = 50257, .context = 96, .span = 64, .rows = 5,
     .first = 62, .chunks = 3, .weights = WEIGHTS_F16, .kv = KV_F16, .scale = 1.0f, .foreign = true},
    {.dim = 37, .heads = 3, .head_dim = 9, .inner = 77, .vocab = 307, .context = 576, .span = 64, .rows = 70,
     .first = 191, .chunks = 3, .weights = WEIGHTS_F32, .kv = KV_F32, .activation = ACTIVATION_GELU_ERF,
     .position_offset = 2, .foreign = true},
    {.dim = 255, .heads = 17, .head_dim = 15, .inner = 255, .vocab = 307, .context = 129, .span = 128, .rows = 65,
     .first = 64, .chunks = 2, .weights = WEIGHTS_F32, .kv = KV_F16, .activation = ACTIVATION_SILU, .mean = 1e5,
     .window = 50},
    {.dim = 256, .heads = 4, .head_dim = 64, .inner = 256, .vocab = 257, .context = 600, .span = 256, .rows = 33,
     .first = 511, .chunks = 1, .weights = WEIGHTS_F32, .kv = KV_F16, .activation = ACTIVATION_SILU, .window = 256},
    {.dim = 257, .heads = 2, .head_dim = 128, .inner = 37, .vocab = 308, .context = 200, .span = 64, .rows = 64,
     .first = 0, .chunks = 3, .weights = WEIGHTS_F16, .kv = KV_F32, .activation = ACTIVATION_QUICK_GELU,
     .mean = -10.0, .embed_dim = 75},
    {.dim = 768, .heads = 20, .head_dim = 80, .inner = 1600, .vocab = 999, .context = 160, .span = 128, .rows = 17,
     .first = 127, .chunks = 2, .weights = WEIGHTS_F16, .kv = KV_Q8_0, .activation = ACTIVATION_RELU,
     .mean = 1e5},
    {.dim = 45, .heads = 250, .head_dim = 8, .inner = 40, .vocab = 70, .context = 70, .span = 64, .rows = 4,
     .first = 62, .chunks = 2, .weights = WEIGHTS_F32, .kv = KV_F32, .window = 1, .post_norm = true,
     .small_shared = true},
    {.dim = 96, .heads = 6, .head_dim = 15, .inner = 160, .vocab = 307, .context = 160, .span = 64, .rows = 70,
     .first = 63, .chunks = 3, .weights = WEIGHTS_Q8_0, .kv = KV_Q8_0, .mean = -10.0, .foreign = true},
    {.dim = 32, .heads = 1, .head_dim = 32, .inner = 1600, .vocab = 70, .context = 70, .span = 64, .rows = 4,
     .first = 62, .chunks = 2, .weights = WEIGHTS_Q4_0, .kv = KV_F32, .embed_dim = 96, .foreign = true},
    {.dim = 768, .heads = 4, .head_dim = 64, .inner = 800, .vocab = 308, .context = 70, .span = 64, .rows = 17,
     .first = 15, .chunks = 2, .weights = WEIGHTS_Q4_K, .kv = KV_F32, .mean = 1e5, .foreign = true},
};
// clang-format on
static const struct Variant USUAL; // the tile of cooperative matrices: by the rows
#define MANY_PROCESSORS 2048       // of a device that splits all that it can
#define SIZE_COUNT (sizeof SIZES / sizeof *SIZES)

// For attend_block with cooperative matrices: prompts that end next to the edges of matrices, groups and tiles, prompts
// that go on, two sequences in a block, windows, heads that are a multiple of the matrices and heads that are not.
#define BLOCK(...)                                                                                                     \
    {                                                                                                                  \
        .dim = 8, .heads = 2, .inner = 8, .vocab = 2, .context = 600, .span = 64, .chunks = 1, .weights = WEIGHTS_F16, \
        __VA_ARGS__                                                                                                    \
    }
static const struct LayerSize BLOCKS[] = {
    BLOCK(.head_dim = 8, .kv = KV_F16, .first = 37, .rows = 63),
    BLOCK(.head_dim = 32, .kv = KV_F16, .rows = 63), // subgroups that see no key of a tile, and others that do
    BLOCK(.head_dim = 32, .kv = KV_Q8_0, .first = 37, .rows = 63, .more_first = 1, .more = 40),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 1),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 15),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 16),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 17),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 63),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 64),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 65),
    BLOCK(.head_dim = 64, .kv = KV_F16, .rows = 512),
    BLOCK(.head_dim = 64, .kv = KV_F16, .first = 512, .rows = 1, .scale = 1.0f),
    BLOCK(.head_dim = 64, .kv = KV_F16, .first = 11, .rows = 102, .more_first = 500, .more = 100),
    BLOCK(.head_dim = 64, .kv = KV_F16, .first = 100, .rows = 200, .scale = 4.0f), // maxima that grow
    BLOCK(.head_dim = 64, .kv = KV_F16, .first = 100, .rows = 70, .window = 7),
    BLOCK(.head_dim = 64, .kv = KV_F16, .first = 490, .rows = 110, .more_first = 3, .more = 40, .window = 256),
    BLOCK(.head_dim = 64, .kv = KV_Q8_0, .first = 1, .rows = 65, .more_first = 127, .more = 16),
    BLOCK(.head_dim = 64, .kv = KV_F32, .first = 15, .rows = 17, .more_first = 63, .more = 2, .scale = 1.0f),
    BLOCK(.head_dim = 72, .kv = KV_F16, .rows = 65, .more = 1),
    BLOCK(.head_dim = 80, .kv = KV_Q8_0, .first = 5, .rows = 65, .more_first = 100, .more = 17),
    BLOCK(.head_dim = 80, .kv = KV_Q8_0, .first = 31, .rows = 33, .window = 32),
    BLOCK(.head_dim = 96, .kv = KV_F32, .first = 63, .rows = 129, .more = 64),
    BLOCK(.head_dim = 96, .kv = KV_F32, .first = 62, .rows = 66, .window = 50),
    BLOCK(.head_dim = 128, .kv = KV_F16, .first = 33, .rows = 64, .more_first = 1, .more = 15),
    BLOCK(.head_dim = 128, .kv = KV_Q8_0, .first = 127, .rows = 130, .more_first = 64, .more = 33),
};
#define BLOCK_COUNT (sizeof BLOCKS / sizeof *BLOCKS)

void selftest_report(struct Selftest *test, const char *kernel, double error, double bound, const char *size, ...)
{
    vkgpt_selftest_result result = {.kernel = kernel, .error = error, .bound = bound, .pass = error <= bound};
    va_list args;
    va_start(args, size);
    vsnprintf(result.size, sizeof result.size, size, args);
    va_end(args);
    if (!result.pass) test->failures++;
    if (test->on_result) test->on_result(test->user, &result);
}

static struct Shape shape_of(const struct TestLayer *l)
{
    struct Shape shape = {
        .dim = l->dim,
        .head_dim = l->head_dim,
        .width = l->width,
        .inner = l->inner,
        .embed_dim = l->size->embed_dim ? padded(l->embed_dim) : 0,
        .post_norm = l->size->post_norm,
        .no_final_norm = l->size->post_norm,
        .span = l->size->span,
        .kv = l->size->kv,
        .activation = l->size->activation,
    };
    shape.formats[l->size->weights] = true;
    return shape;
}

typedef int KernelTest(const struct Stage *stage);

static int run_tests(const struct Stage *stage, KernelTest *const *tests)
{
    int status = VKGPT_OK;
    for (; *tests && !status; tests++) status = (*tests)(stage);
    return status;
}

static int deterministic_kernels(struct Selftest *test, const struct Shape *shape, uint32_t step_rows,
                                 struct Kernels *kernels)
{
    uint32_t rows = step_rows == 1 ? 1 : IN_RANGE * step_rows;
    return step_rows ? kernels_deterministic_decode(test->device, shape, rows, kernels, test->err)
                     : kernels_deterministic_prefill(test->device, shape, kernels, test->err);
}

// The kernels for a layer, chosen for as much shared memory as it asks for. `tile`: as in Shape.
static int kernels_for(struct Selftest *test, const struct TestLayer *layer, uint32_t step_rows, struct Variant tile,
                       struct Kernels *kernels)
{
    vkgpt_device *device = test->device;
    struct Shape shape = shape_of(layer);
    shape.tile = tile;
    if (test->deterministic) return deterministic_kernels(test, &shape, step_rows, kernels);
    uint32_t shared = device->info.shared_bytes, least = 8192 + 8 * layer->head_dim, processors = device->processors;
    if (layer->size->small_shared) device->info.shared_bytes = least;
    if (tile.tile) device->processors = MANY_PROCESSORS;
    int status =
        !step_rows ? kernels_for_prefill(device, &shape, layer->size->rows, kernels, test->err)
                   : kernels_for_decode(device, &shape, step_rows == 1 ? 1 : IN_RANGE * step_rows, kernels, test->err);
    device->info.shared_bytes = shared, device->processors = processors;
    return status;
}

static int decode_tests(struct Selftest *test, const struct TestLayer *layer, uint32_t step_rows)
{
    static KernelTest *const tests[] = {
        selftest_embed,
        selftest_norm,
        selftest_qkv,
        selftest_cache,
        selftest_attend,
        selftest_project,
        selftest_expand,
        selftest_contract,
        selftest_head,
        selftest_project_embedding,
        NULL,
    };
    struct Kernels kernels;
    int status = kernels_for(test, layer, step_rows, USUAL, &kernels);
    if (status) return status;
    struct Stage stage = stage_make(test, layer, &kernels, step_rows);
    status = run_tests(&stage, tests);
    if (!status && kernels.merge) status = selftest_merge(&stage);
    return status || !kernels.best ? status : selftest_best(&stage);
}

// Software drivers take long to compile products in tiles of lanes.
static bool is_slow_to_compile(const struct Selftest *test, const struct TestLayer *layer)
{
    return test->device->software && products_kind(test->device, layer->size->weights == WEIGHTS_F32) != BY_MATRICES;
}

// Tests products in one tile. A split tile only makes a difference to those with segments.
static int tile_test(struct Selftest *test, const struct TestLayer *layer, struct Variant tile)
{
    static KernelTest *const all[] = {selftest_qkv, selftest_project, selftest_expand, selftest_contract, NULL};
    static KernelTest *const segmented[] = {selftest_project, selftest_contract, NULL};
    static KernelTest *const few[] = {selftest_qkv, selftest_contract, NULL};
    struct Kernels kernels;
    int status = kernels_for(test, layer, 0, tile, &kernels);
    if (status || (tile.split && !kernels.splits)) return status;
    struct Stage stage = stage_make(test, layer, &kernels, 0);
    return run_tests(&stage, tile.split ? segmented : is_slow_to_compile(test, layer) ? few : all);
}

// Tests every tile that the device can run, whole and split; where these are slow to compile, with one size.
static int tile_tests(struct Selftest *test, const struct TestLayer *layer)
{
    const enum TileKind kind = products_kind(test->device, layer->size->weights == WEIGHTS_F32);
    int status = VKGPT_OK;
    if (test->device->software_kernels || (is_slow_to_compile(test, layer) && layer->size->weights != WEIGHTS_Q8_0))
        return status;
    for (uint32_t n = 0; n < 2 * TILES && !status; n++) {
        struct Tile tile;
        if (tile_get(test->device, kind, n / 2, &tile))
            status = tile_test(test, layer, (struct Variant){.tile = n / 2 + 1, .split = n % 2});
    }
    return status;
}

static int prefill_tests(struct Selftest *test, const struct TestLayer *layer)
{
    static KernelTest *const tests[] = {
        selftest_cache, selftest_attend_block,      selftest_embed,  selftest_norm,
        selftest_qkv,   selftest_project,           selftest_expand, selftest_contract,
        selftest_head,  selftest_project_embedding, selftest_score,  selftest_reports,
        NULL,
    };
    // shared memory and post_norm only make a difference to these
    static KernelTest *const few[] = {selftest_cache, selftest_attend_block, selftest_norm, NULL};
    struct Kernels kernels;
    int status = kernels_for(test, layer, 0, USUAL, &kernels);
    if (status) return status;
    struct Stage stage = stage_make(test, layer, &kernels, 0);
    status = run_tests(&stage, layer->size->small_shared ? few : tests);
    return status || !layer->size->foreign || test->deterministic ? status : tile_tests(test, layer);
}

static int phase_tests(struct Selftest *test, const struct TestLayer *layer, bool decodes)
{
    int status = decodes ? decode_tests(test, layer, 1) : VKGPT_OK;
    if (!status && decodes && layer->size->foreign) status = decode_tests(test, layer, DRAFT_ROWS);
    return status ? status : prefill_tests(test, layer);
}

// Asks for the kernels of phase_tests.
static int phase_kernels(struct Selftest *test, const struct TestLayer *layer, bool decodes)
{
    struct Kernels unused;
    int status = decodes ? kernels_for(test, layer, 1, USUAL, &unused) : VKGPT_OK;
    if (!status && decodes && layer->size->foreign) status = kernels_for(test, layer, DRAFT_ROWS, USUAL, &unused);
    return status ? status : kernels_for(test, layer, 0, USUAL, &unused);
}

// On a few sizes, a device that runs the variants of software drivers also tries those of GPUs, and a device with
// cooperative matrices also tries the variants without them; and every device tries those of a deterministic session.
static int each_variant(struct Selftest *test, const struct TestLayer *layer,
                        int (*run)(struct Selftest *, const struct TestLayer *, bool decodes))
{
    vkgpt_device *device = test->device;
    bool software = device->software_kernels, foreign = layer->size->foreign;
    struct MatrixShape matrix = device->matrix;
    int status = run(test, layer, true);
    device->software_kernels = false;
    if (!status && software && foreign) status = run(test, layer, true);
    device->matrix = (struct MatrixShape){0};
    if (!status && matrix.m && foreign) status = run(test, layer, false);
    device->software_kernels = software, device->matrix = matrix;
    test->deterministic = true;
    if (!status && !test->rest_only && (foreign || layer->size->window)) status = run(test, layer, true);
    test->deterministic = false;
    return status;
}

static bool share_pipelines(const struct LayerSize *a, const struct LayerSize *b)
{
    return a->weights == b->weights && a->kv == b->kv && a->activation == b->activation;
}

static int size_tests(struct Selftest *test, const struct LayerSize *size)
{
    struct TestLayer layer;
    int status = test_layer_open(test, size, &layer);
    if (!status) status = each_variant(test, &layer, phase_kernels); // all at once, so that all cores compile them
    if (!status) status = each_variant(test, &layer, phase_tests);
    test_layer_close(test, &layer);
    return status;
}

static int all_sizes(struct Selftest *test)
{
    uint32_t keep = test->device->pipeline_count;
    int status = VKGPT_OK;
    for (size_t i = 0; i < SIZE_COUNT && !status; i++) {
        if (!test->rest_only || !SIZES[i].foreign) status = size_tests(test, &SIZES[i]);
        if (i + 1 == SIZE_COUNT || !share_pipelines(&SIZES[i], &SIZES[i + 1])) pipelines_forget(test->device, keep);
    }
    return status;
}

static int block_tests(struct Selftest *test, const struct LayerSize *size)
{
    struct TestLayer layer;
    struct Kernels kernels = {0};
    int status = test_layer_open(test, size, &layer);
    if (!status) {
        const struct Shape shape = shape_of(&layer);
        status = kernel_for_blocks(test->device, &shape, &kernels, test->err);
    }
    if (!status) {
        struct Stage stage = stage_make(test, &layer, &kernels, 0);
        status = selftest_attend_block(&stage);
        if (!status && size->more) status = selftest_attend_block_spoiled(&stage);
    }
    test_layer_close(test, &layer);
    return status;
}

// Only on a device with cooperative matrices; elsewhere the sizes of layers are enough.
static int all_blocks(struct Selftest *test)
{
    vkgpt_device *device = test->device;
    bool software = device->software_kernels;
    uint32_t keep = device->pipeline_count;
    int status = VKGPT_OK;
    device->software_kernels = false;
    for (size_t i = 0; i < BLOCK_COUNT && device->matrix.m && !status; i++) status = block_tests(test, &BLOCKS[i]);
    pipelines_forget(device, keep);
    device->software_kernels = software;
    return status;
}

static int sample_tests(struct Selftest *test)
{
    const struct Shape shape = {.dim = 8, .head_dim = 8, .width = 8, .inner = 8, .span = 64, .formats = {true}};
    struct Kernels kernels;
    uint32_t keep = test->device->pipeline_count;
    int status = kernels_for_decode(test->device, &shape, 2, &kernels, test->err);
    if (!status) status = selftest_sample(test, kernels.sample);
    if (!status) status = selftest_lookup(test, kernels.lookup);
    if (!status) status = selftest_admit(test, kernels.admit);
    if (!status) status = selftest_share(test, kernels.share);
    if (!status && !test->rest_only)
        status = kernels_deterministic_decode(test->device, &shape, 2, &kernels, test->err);
    if (!status && !test->rest_only) status = selftest_sample(test, kernels.sample);
    pipelines_forget(test->device, keep);
    return status;
}

// Copies `count` pieces of 16 bytes; the bytes after them must stay as they are.
static int copy_test(struct Selftest *test, const struct Pipeline *copy, uint32_t count)
{
    struct Trial t;
    struct Measure m = {0};
    uint32_t group = copy->constants[CONSTANT_SIZE] * COPY_EACH;
    size_t bytes = ((size_t)count + 2 * group) * 16;
    trial_begin(&t, test->device, test->err);
    struct Array *from = trial_array(&t, bytes), *to = trial_array(&t, bytes);
    for (uint32_t i = 0; !t.status && i < bytes; i++) from->before[i] = (uint8_t)trial_hash(171, i);
    trial_start(&t);
    if (!t.status)
        dispatch(&t.rec, copy, (struct Grid){count / group + 1, 1, 1}, BUFFERS(&from->slice, &to->slice),
                 ARGS(CopyArgs, count));
    trial_finish(&t);
    if (t.status) return trial_end(&t);
    measure_untouched(&m, from);
    measure_true(&m, !memcmp(to->after, from->before, (size_t)count * 16));
    memcpy(to->after, to->before, (size_t)count * 16);
    measure_untouched(&m, to);
    selftest_report(test, copy->kernel, m.error, 0.0, "%u pieces of 16 bytes", count);
    return trial_end(&t);
}

static int copy_tests(struct Selftest *test)
{
    static const uint32_t counts[] = {0, 1, 127, 1023, 1024, 1025, 7000};
    const uint32_t size = 128;
    const struct Pipeline *copy;
    uint32_t keep = test->device->pipeline_count;
    int status = pipeline_get(test->device, "copy", &size, 1, &copy, test->err);
    for (size_t i = 0; !status && i < sizeof counts / sizeof *counts; i++) status = copy_test(test, copy, counts[i]);
    pipelines_forget(test->device, keep);
    return status;
}

// Whether the device rounds as a deterministic session needs it.
static int rounding_test(struct Selftest *test)
{
    uint32_t keep = test->device->pipeline_count;
    test->device->rounding_is_known = false;
    int status = deterministic_check(test->device, test->err);
    pipelines_forget(test->device, keep);
    if (status && status != VKGPT_NO_DEVICE) return status;
    selftest_report(test, "rounding_deterministic", status ? 1.0 : 0.0, 0.0, "to nearest even");
    return VKGPT_OK;
}

int selftest_run(struct Selftest *test)
{
    vkgpt_device *device = test->device;
    VkPipelineCache cache = device->pipeline_cache;
    int status = pipelines_ready(device, test->err); // what others have asked for goes through the cache
    if (status) return status;
    device->pipeline_cache = VK_NULL_HANDLE; // the selftest neither fills it with its own kernels nor trusts it
    status = all_sizes(test);
    if (!status) status = all_blocks(test);
    if (!status) status = sample_tests(test);
    if (!status) status = copy_tests(test);
    if (!status) status = rounding_test(test);
    device->pipeline_cache = cache;
    return status;
}

int vkgpt_selftest(vkgpt_device *device, void (*on_result)(void *user, const vkgpt_selftest_result *result), void *user,
                   size_t *failures, vkgpt_error *err)
{
    struct Selftest test = {.device = device, .on_result = on_result, .user = user, .err = err};
    int status = selftest_run(&test);
    *failures = test.failures;
    return status;
}
