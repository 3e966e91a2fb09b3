// The sizes that a model gives the kernels, and compiling kernels before there is a session, while weights are
// uploaded.
#include "engine/ahead.h"
#include "engine/formats.h"

#include "engine/cache.h"
#include "engine/kernels_deterministic.h"
#include "engine/session.h"

struct Shape kernels_shape(const struct vkgpt_model *m, uint32_t kv)
{
    return (struct Shape){
        .dim = m->dim,
        .head_dim = m->head_dim,
        .width = m->width,
        .inner = m->inner,
        .embed_dim = m->projected ? m->embed_dim : 0,
        .vocab = m->vocab,
        .post_norm = m->config.post_norm,
        .no_final_norm = !m->config.final_norm,
        .span = cache_span(&m->config),
        .kv = kv,
        .activation = m->config.activation,
    };
}

uint32_t session_step_rows(const vkgpt_session_options *o)
{
    return (o->sequences ? o->sequences : 1) * (1 + o->lookup);
}

static void deterministic_ahead(const struct vkgpt_model *m, const struct Shape *shape, uint32_t rows)
{
    struct Kernels unused;
    kernels_deterministic_prefill(m->device, shape, &unused, NULL);
    if (!m->hidden_only) kernels_deterministic_decode(m->device, shape, rows, &unused, NULL);
}

// Prefill first, since a prompt comes first. The session itself reports errors in the options.
void kernels_ahead(const struct vkgpt_model *m, const bool formats[FORMATS], const vkgpt_session_options *o)
{
    struct Shape shape = kernels_shape(m, format_kv(o->kv));
    struct Kernels unused;
    for (uint32_t f = 0; f < FORMATS; f++) shape.formats[f] = formats[f];
    if (o->deterministic) {
        deterministic_ahead(m, &shape, session_step_rows(o));
        return;
    }
    for (uint32_t size = 0; size < BLOCK_SIZES; size++)
        kernels_for_prefill(m->device, &shape, GROUP_ROWS << size, &unused, NULL);
    if (!m->hidden_only) kernels_for_decode(m->device, &shape, session_step_rows(o), &unused, NULL);
}
