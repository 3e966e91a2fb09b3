#include "model/arithmetic.h"

#include "model/blocks.h"

// Weights of matrices and tables, which are quantised; the others are norms and biases.
static uint64_t matrix_params(const struct Config *c)
{
    uint64_t dim = c->dim, inner = c->inner, embed_dim = c->embed_dim;
    uint64_t layer = 4 * dim * dim + 2 * inner * dim, tables = (c->tied_head ? 1 : 2) * (uint64_t)c->vocab * embed_dim;
    uint64_t positions = ((uint64_t)c->position_offset + c->context) * dim;
    return c->layers * layer + tables + positions + (embed_dim == dim ? 0 : 2 * embed_dim * dim);
}

static uint64_t disk_bytes(const struct Config *c, uint64_t params, enum BlockFormat format)
{
    uint64_t matrices = matrix_params(c), blocks = matrices / BLOCK_INFO[format].weights;
    return blocks * BLOCK_INFO[format].bytes + (params - matrices) * 4;
}

uint32_t positions_seen(const struct Config *config, uint32_t layer, uint32_t context)
{
    uint32_t window = config_window(config, layer);
    return window && window < context ? window : context;
}

void arithmetic_of(const struct Config *c, const struct TrainingPlan *training, struct Arithmetic *a)
{
    uint64_t params = config_params(c);
    *a = (struct Arithmetic){
        .params = params,
        .disk_f32 = 4 * params,
        .disk_f16 = 2 * params,
        .disk_q8_0 = disk_bytes(c, params, BLOCK_Q8_0),
        .disk_q4_0 = disk_bytes(c, params, BLOCK_Q4_0),
        .disk_q4_k = disk_bytes(c, params, BLOCK_Q4_K),
        .forward_flops = 2.0 * (double)params,
        .training_flops = 6.0 * (double)params * training->tokens,
    };
    for (uint32_t l = 0; l < c->layers; l++) a->attention_flops += 4.0 * c->dim * positions_seen(c, l, c->context);
    a->seconds = a->training_flops / training->rate;
    a->years = a->seconds / SECONDS_PER_YEAR;
    a->hours = a->seconds / 3600;
    a->cost = a->hours * training->price;
}
