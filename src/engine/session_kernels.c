#include "engine/session_kernels.h"

#include <string.h>

#include "engine/ahead.h"
#include "engine/buffers.h"
#include "engine/forward.h"
#include "engine/kernels_deterministic.h"
#include "engine/settings.h"
#include "engine/tuning.h"

struct Shape session_shape(const struct vkgpt_session *s)
{
    const struct vkgpt_model *m = s->model;
    struct Shape shape = kernels_shape(m, s->kv);
    const struct StepKey key = step_key(m);
    shape.state_first = tuning_find_step(m->device, &key, STEP_PROLOGUE) == STEP_STATE_FIRST;
    memcpy(shape.formats, m->formats, sizeof shape.formats);
    return shape;
}

// Once: the last workgroup to arrive at a tile leaves 0.
static int zero_arrived(struct vkgpt_session *s, vkgpt_error *err)
{
    if (s->arrived_zero) return VKGPT_OK;
    int status = recording_fill_once(s->device, "zeroing the segments", &s->b.arrived, 0, err);
    s->arrived_zero = !status;
    return status;
}

int session_step_kernels(struct vkgpt_session *s, uint32_t rows, const struct Kernels **k, vkgpt_error *err)
{
    const struct vkgpt_model *m = s->model;
    uint32_t size = 0;
    while (size + 1 < STEP_KERNELS && 1u << size < rows) size++;
    struct Kernels *step = &s->step[size];
    *k = step;
    if (s->step_ready[size]) return VKGPT_OK;
    const struct Shape shape = session_shape(s);
    int status = s->deterministic ? kernels_deterministic_decode(s->device, &shape, rows, step, err)
                                  : kernels_for_decode(s->device, &shape, rows, step, err);
    if (status) return status;
    if (step->best) step->head_groups = (m->config.vocab + BEST_STRETCH - 1) / BEST_STRETCH;
    else if (m->head) step->head_groups = product_groups(&step->head, m->head);
    s->step_ready[size] = true;
    return VKGPT_OK;
}

int session_prefill_kernels(struct vkgpt_session *s, uint32_t rows, const struct Kernels **k, vkgpt_error *err)
{
    uint32_t size = 0;
    while (size + 1 < BLOCK_SIZES && buffers_block_rows(s, size) < rows) size++;
    *k = &s->prefill[size];
    if (s->prefill_ready[size]) return VKGPT_OK;
    struct Shape shape = session_shape(s);
    int status = s->deterministic
                     ? kernels_deterministic_prefill(s->device, &shape, &s->prefill[size], err)
                     : kernels_for_prefill(s->device, &shape, buffers_block_rows(s, size), &s->prefill[size], err);
    if (!status && s->prefill[size].splits) status = zero_arrived(s, err);
    s->prefill_ready[size] = !status;
    return status;
}
