#include "engine/kernels_deterministic.h"

// Lanes of a workgroup. norm, attend and score add up in an order that depends on it: other sizes give other bits.
static const uint32_t LANES = 64, SCORE_LANES = 256;

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct Choosing {
    vkgpt_device *device;
    const struct Shape *shape;
    bool prefill;
};

// A lane of a product makes four outputs, of one row or, in prefill, of four (shaders/product_deterministic.glsl).
static const uint32_t OUTPUTS = 4, PREFILL_ROWS = 4;

// Lanes that share these, which changes no bit: a GPU has more lanes than a step of one row has outputs.
static uint32_t team_size(const struct Choosing *c) { return c->device->software ? 1 : c->prefill ? 4 : 16; }

static int product_get(const struct Choosing *c, const char *const names[2], uint32_t activation,
                       struct Product *product, vkgpt_error *err)
{
    const uint32_t outputs = LANES / team_size(c) * OUTPUTS, rows = c->prefill ? PREFILL_ROWS : 1;
    int status = VKGPT_OK;
    for (uint32_t format = 0; format < FORMATS && !status; format++) {
        if (!c->shape->formats[format]) continue;
        const uint32_t constants[] = {[CONSTANT_SIZE] = LANES,
                                      [CONSTANT_WEIGHTS] = format,
                                      [CONSTANT_KV] = c->shape->kv,
                                      [CONSTANT_PRODUCT_ACTIVATION] = activation,
                                      [CONSTANT_PRODUCT_TEAM] = team_size(c)};
        product->group_outputs[format] = product->whole_outputs[format] = outputs;
        product->group_rows[format] = product->whole_rows[format] = rows;
        product->segments[format] = 1;
        status =
            pipeline_get(c->device, names[c->prefill], constants, COUNT(constants), &product->pipelines[format], err);
    }
    return status;
}

#define NAMES(name) ((const char *const[2]){name "_deterministic", name "_prefill_deterministic"})

// project takes merged attention, and the projections of the embedding are products without bias: contract and expand
// compute them.
static int products_get(const struct Choosing *c, struct Kernels *k, vkgpt_error *err)
{
    uint32_t activation = activation_constant(c->shape->activation);
    int status = product_get(c, NAMES("qkv"), activation, &k->qkv, err);
    if (!status) status = product_get(c, NAMES("contract"), activation, &k->project, err);
    if (!status) status = product_get(c, NAMES("expand"), activation, &k->expand, err);
    if (!status) status = product_get(c, NAMES("head"), activation, &k->head, err);
    k->contract = k->embed_up = k->project;
    if (!status && c->shape->embed_dim) status = product_get(c, NAMES("expand"), ACTIVATE_NONE, &k->embed_down, err);
    return status;
}

static int attend_get(const struct Choosing *c, struct Kernels *k, vkgpt_error *err)
{
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = LANES,
        [CONSTANT_KV] = c->shape->kv,
        [CONSTANT_ATTEND_ROW_SHARES] = (c->shape->head_dim + 2 * LANES - 1) / (2 * LANES),
    };
    k->block_queries = 1; // in decode too: the queries read the whole cache
    k->span = UINT32_MAX;
    k->attend_tile = (struct AttendTile){1, 1, LANES};
    return pipeline_get(c->device, NAMES("attend_row")[c->prefill], constants, COUNT(constants), &k->attend, err);
}

static int simple_get(const struct Choosing *c, const char *name, uint32_t format, const struct Pipeline **pipeline,
                      vkgpt_error *err)
{
    const uint32_t constants[] = {[CONSTANT_SIZE] = LANES, [CONSTANT_WEIGHTS] = format};
    return pipeline_get(c->device, name, constants, COUNT(constants), pipeline, err);
}

static int common_get(const struct Choosing *c, struct Kernels *k, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t format = 0; format < FORMATS && !status; format++)
        if (c->shape->formats[format])
            status = simple_get(c, NAMES("embed")[c->prefill], format, &k->embed[format], err);
    if (!status) status = simple_get(c, NAMES("norm")[c->prefill], 0, &k->norm, err);
    k->norm_input = k->norm;
    k->cache_lanes = LANES;
    if (!status && c->shape->kv == KV_Q8_0) status = simple_get(c, NAMES("cache")[c->prefill], 0, &k->cache, err);
    if (!status) status = attend_get(c, k, err);
    return status ? status : products_get(c, k, err);
}

int kernels_deterministic_decode(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *k,
                                 vkgpt_error *err)
{
    const struct Choosing c = {device, shape, false};
    *k = (struct Kernels){0};
    int status = kernels_around(device, "sample_deterministic", rows, false, k, err);
    return status ? status : common_get(&c, k, err);
}

int kernels_deterministic_prefill(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err)
{
    const struct Choosing c = {device, shape, true};
    const uint32_t constants[] = {[CONSTANT_SIZE] = SCORE_LANES};
    *k = (struct Kernels){0};
    int status = pipeline_get(device, "score_deterministic", constants, COUNT(constants), &k->score, err);
    return status ? status : common_get(&c, k, err);
}
