#include "engine/kernels.h"

#include <stdio.h>
#include <string.h>

// The specialization constants of the product kernels, by constant_id (shaders/common.glsl, product.glsl).
struct ProductConstants {
    uint32_t size, weights, kv, width, rows, staged, subgroup, tokens, activation;
};

struct AttendConstants { // attend: span; attend_block: queries, shares
    uint32_t size, weights, kv, head_dim, span_or_queries, shares;
};

#define COUNT(type) (sizeof(type) / sizeof(uint32_t))

static const uint32_t ROW_KERNEL_SIZE = 128;  // embed, norm, merge, attend
static const uint32_t SAMPLE_SIZE = 256;

// Whether a product makes its own input, merged attention or a norm, in shared memory. On a software driver a wide norm
// does not pay: a dispatch more costs 0.1 ms, but the products of 124M compile in a fifth of the time without it (50
// against 270 ms on lavapipe).
static bool can_stage(const vkgpt_device *device, const struct Shape *shape, uint32_t width, uint32_t size, bool is_norm)
{
    if (device->lanes && is_norm && width > 512) return false;
    bool gaps = shape->formats[WEIGHTS_Q8_0] || shape->formats[WEIGHTS_Q4_0] || shape->formats[WEIGHTS_Q4_K];
    return width * (gaps ? 5 : 4) + size * 8 + 64 <= device->info.shared_bytes;
}

enum Phase { DECODE, PREFILL };

// Rows of W per subgroup (GPU) or lane (software): more of them read x less often, fewer fill the device sooner.
static uint32_t rows_for(const vkgpt_device *device, uint32_t outputs)
{
    if (device->lanes) return 4;
    return outputs <= 1024 ? 2 : outputs <= 16384 ? 4 : 8;
}

enum ProductKernel { QKV, PROJECT, EXPAND, CONTRACT, HEAD };

static int product_get(vkgpt_device *device, const struct Shape *shape, enum Phase phase, enum ProductKernel kernel,
                       uint32_t width, uint32_t outputs, bool may_stage, struct Product *product, vkgpt_error *err)
{
    static const char *const names[][4] = {
        [QKV] = {"qkv", "qkv_lanes", "qkv_prefill", "qkv_prefill_lanes"},
        [PROJECT] = {"project", "project_lanes", "contract_prefill", "contract_prefill_lanes"}, // nothing to merge there
        [EXPAND] = {"expand", "expand_lanes", "expand_prefill", "expand_prefill_lanes"},
        [CONTRACT] = {"contract", "contract_lanes", "contract_prefill", "contract_prefill_lanes"},
        [HEAD] = {"head", "head_lanes", "head_prefill", "head_prefill_lanes"},
    };
    bool lanes = device->lanes;
    uint32_t rows = rows_for(device, outputs);
    struct ProductConstants c = {
        .size = lanes ? 32 : phase == DECODE ? 128 : 256,
        .kv = shape->kv,
        .width = lanes && phase == PREFILL ? 0 : width, // one compile serves every width
        .rows = rows,
        .subgroup = device->info.subgroup_size,
        .tokens = 32,
        .activation = shape->activation,
    };
    c.staged = phase == DECODE && may_stage && can_stage(device, shape, width, c.size, kernel != PROJECT);
    product->staged = c.staged;
    if (phase == DECODE) product->group_outputs = lanes ? c.size * rows : c.size / 32 * rows;
    else product->group_outputs = lanes ? c.size * rows : 64;
    product->group_rows = phase == DECODE ? 1 : lanes ? c.tokens : 64;
    const char *name = names[kernel][(phase == PREFILL ? 2 : 0) + (lanes ? 1 : 0)];
    for (uint32_t format = 0; format < FORMATS; format++) {
        if (!shape->formats[format]) continue;
        c.weights = format;
        int status = pipeline_get(device, name, (uint32_t *)&c, COUNT(c), &product->pipelines[format], err);
        if (status) return status;
    }
    return VKGPT_OK;
}

static int products_get(vkgpt_device *device, const struct Shape *s, enum Phase phase, struct Kernels *k, vkgpt_error *err)
{
    bool projected = s->embed_dim != 0, norm_in_head = !s->no_final_norm && !projected;
    uint32_t head_width = projected ? s->embed_dim : s->dim;
    int status = product_get(device, s, phase, QKV, s->dim, 3 * s->width, !s->post_norm, &k->qkv, err);
    if (!status) status = product_get(device, s, phase, PROJECT, s->width, s->dim, true, &k->project, err);
    if (!status) status = product_get(device, s, phase, EXPAND, s->dim, s->inner, !s->post_norm, &k->expand, err);
    if (!status) status = product_get(device, s, phase, CONTRACT, s->inner, s->dim, false, &k->contract, err);
    if (!status) status = product_get(device, s, phase, HEAD, head_width, UINT32_MAX, norm_in_head, &k->head, err);
    if (status || !projected) return status;
    struct Shape linear = *s;
    linear.activation = ACTIVATE_NONE;
    status = product_get(device, s, phase, CONTRACT, s->embed_dim, s->dim, false, &k->project_in, err);
    return status ? status : product_get(device, &linear, phase, EXPAND, s->dim, s->embed_dim, !s->no_final_norm, &k->project_out, err);
}

static int simple_get(vkgpt_device *device, const char *kernel, uint32_t size, uint32_t format, const struct Pipeline **pipeline, vkgpt_error *err)
{
    uint32_t constants[2] = {size, format};
    return pipeline_get(device, kernel, constants, 2, pipeline, err);
}

static int embed_get(vkgpt_device *device, const struct Shape *shape, const char *kernel, struct Kernels *k, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t format = 0; !status && format < FORMATS; format++)
        if (shape->formats[format]) status = simple_get(device, kernel, ROW_KERNEL_SIZE, format, &k->embed[format], err);
    return status;
}

static int attend_get(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    struct AttendConstants c = {.size = ROW_KERNEL_SIZE, .kv = shape->kv, .head_dim = shape->head_dim, .span_or_queries = shape->span};
    k->span = shape->span;
    return pipeline_get(device, "attend", (uint32_t *)&c, 5, &k->attend, err);
}

static int attend_block_get(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    if (device->lanes) { // one subgroup, a query per lane
        uint32_t lanes = device->info.subgroup_size, chunks = shape->head_dim / 8;
        struct AttendConstants c = {lanes, 0, shape->kv, shape->head_dim, lanes, (chunks + lanes - 1) / lanes};
        k->block_queries = lanes;
        return pipeline_get(device, "attend_block_lanes", (uint32_t *)&c, COUNT(c), &k->attend, err);
    }
    struct AttendConstants c = {.size = ROW_KERNEL_SIZE, .kv = shape->kv, .head_dim = shape->head_dim, .span_or_queries = 16};
    uint32_t per_query = shape->head_dim * 4 + c.size * 4 + 12;
    while (c.span_or_queries > 1 && c.span_or_queries * per_query + c.size * 8 > device->info.shared_bytes) c.span_or_queries /= 2;
    uint32_t groups = c.size / (shape->head_dim / 8);
    c.shares = (c.span_or_queries + groups - 1) / groups;
    k->block_queries = c.span_or_queries;
    return pipeline_get(device, "attend_block", (uint32_t *)&c, COUNT(c), &k->attend, err);
}

static int check_shape(const vkgpt_device *device, const struct Shape *shape, vkgpt_error *err)
{
    uint32_t most = 8 * ROW_KERNEL_SIZE, fits = (device->info.shared_bytes - 8192) / 8;
    if (fits < most) most = fits;
    if (shape->head_dim > most)
        return fail(err, VKGPT_BAD_MODEL, "heads of %u elements: %s runs %u at most", shape->head_dim, device->info.name, most);
    return VKGPT_OK;
}

int kernels_for_decode(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    *k = (struct Kernels){0};
    int status = check_shape(device, shape, err);
    if (!status) status = embed_get(device, shape, "embed", k, err);
    if (!status) status = simple_get(device, "norm", ROW_KERNEL_SIZE, 0, &k->norm, err);
    if (!status) status = simple_get(device, "merge", ROW_KERNEL_SIZE, 0, &k->merge, err);
    if (!status) status = simple_get(device, "sample", SAMPLE_SIZE, 0, &k->sample, err);
    if (!status) status = attend_get(device, shape, k, err);
    return status ? status : products_get(device, shape, DECODE, k, err);
}

int kernels_for_prefill(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    *k = (struct Kernels){0};
    int status = check_shape(device, shape, err);
    if (!status) status = embed_get(device, shape, "embed_prefill", k, err);
    if (!status) status = simple_get(device, "norm_prefill", ROW_KERNEL_SIZE, 0, &k->norm, err);
    if (!status) status = attend_block_get(device, shape, k, err);
    return status ? status : products_get(device, shape, PREFILL, k, err);
}
