// How much work one submission may hold for a device whose speed is not known yet: drivers kill what takes seconds.
#include "engine/bounds.h"

#define CUT_FLOPS 10e9 // of a part on average: the largest product of a layer takes less than twice its share

double bounds_row_flops(const struct Config *c, uint32_t context, bool head)
{
    double dim = c->dim, width = (double)c->heads * c->head_dim, layer = 4.0 * dim * width + 2.0 * dim * c->inner;
    double flops = c->layers * (2.0 * layer + 4.0 * width * context);
    return head ? flops + 2.0 * c->embed_dim * c->vocab : flops;
}

uint32_t bounds_cut(double flops, double most, uint32_t dispatches)
{
    if (most <= 0.0 || flops <= most) return 0;
    double each = dispatches * most * (CUT_FLOPS / FIRST_FLOPS) / flops;
    return each < 1.0 ? 1 : (uint32_t)each;
}

static uint32_t cut_of(const struct vkgpt_session *s, double rows, bool head, uint32_t passes)
{
    const struct Config *c = &s->model->config;
    return bounds_cut(rows * bounds_row_flops(c, s->context, head), s->first_flops,
                      passes * c->layers * LAYER_DISPATCHES);
}

uint32_t bounds_block_cut(const struct vkgpt_session *s, uint32_t rows, bool head)
{
    if (s->row_seconds > 0.0) return 0;
    return cut_of(s, rows, head, 1);
}

bool bounds_block_lets_steps(const struct vkgpt_session *s, uint32_t rows)
{
    return s->row_seconds > 0.0 ? rows * s->row_seconds < BLOCK_SECONDS : rows <= FIRST_ROWS;
}

bool bounds_block_is_short(const struct vkgpt_session *s, uint32_t rows)
{
    if (s->device->software) return true; // no watchdog
    if (s->row_seconds > 0.0) return rows * s->row_seconds < BLOCK_SECONDS;
    return rows <= FIRST_ROWS || rows * bounds_row_flops(&s->model->config, s->context, false) <= s->first_flops;
}

uint32_t bounds_steps_cut(const struct vkgpt_session *s, struct Range range, uint32_t steps)
{
    if (s->step_seconds[range_size(range.sequences)] > 0.0) return 0;
    return cut_of(s, (double)steps * range.sequences * range.rows, true, steps);
}
