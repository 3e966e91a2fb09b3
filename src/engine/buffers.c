// What a session allocates, and how large each buffer is.
#include <stdlib.h>

#include "engine/session.h"

#define BLOCK ((VkDeviceSize)32 << 20)

struct Want {
    struct Slice *slice;
    uint64_t bytes;
    const char *what;
};

static uint64_t cache_bytes(const struct vkgpt_session *s)
{
    return (uint64_t)s->sequences * s->model->config.heads * s->context * s->model->head_dim * (s->kv == KV_F16 ? 2 : 4);
}

static int make_slices(struct vkgpt_session *s, struct Pool *pool, const struct Want *wants, uint32_t count, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t i = 0; !status && i < count; i++) status = pool_slice(s->device, pool, wants[i].bytes, wants[i].what, wants[i].slice, err);
    return status;
}

static int make_cache(struct vkgpt_session *s, vkgpt_error *err)
{
    uint32_t layers = s->model->config.layers;
    s->b.k = device_alloc(s->device, layers, sizeof *s->b.k);
    s->b.v = device_alloc(s->device, layers, sizeof *s->b.v);
    if (!s->b.k || !s->b.v) return fail_memory(err, "the KV cache", layers * sizeof *s->b.k);
    int status = VKGPT_OK;
    for (uint32_t l = 0; !status && l < layers; l++) {
        struct Want wants[] = {{&s->b.k[l], cache_bytes(s), "the KV cache"}, {&s->b.v[l], cache_bytes(s), "the KV cache"}};
        status = make_slices(s, &s->device_pool, wants, 2, err);
    }
    return status;
}

int session_make_buffers(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct vkgpt_model *m = s->model;
    struct Buffers *b = &s->b;
    uint64_t n = s->sequences, rows = s->rows, tokens = n * (s->context + 1) * 4;
    uint64_t cache = 2 * m->config.layers * memory_aligned(s->device, cache_bytes(s)), available = memory_available(s->device);
    if (cache > available)
        return fail(err, VKGPT_OUT_OF_MEMORY, "the KV cache of %u positions needs %llu bytes of device memory, %s has %llu (use -c or --kv f16)",
                    s->context, (unsigned long long)cache, s->device->info.name, (unsigned long long)available);
    s->device_pool = (struct Pool){.kind = MEMORY_DEVICE, .block_bytes = BLOCK};
    s->upload_pool = (struct Pool){.kind = MEMORY_UPLOAD, .block_bytes = 4096};
    s->read_pool = (struct Pool){.kind = MEMORY_READ, .block_bytes = 4096};
    struct Want on_device[] = {
        {&b->state, n * sizeof(struct Sequence), "the state"},
        {&b->tokens, tokens, "the tokens"},
        {&b->x, rows * m->dim * 4, "activations"},
        {&b->n, rows * m->dim * 4, "activations"},
        {&b->q, rows * m->width * 4, "activations"},
        {&b->a, rows * m->width * 4, "activations"},
        {&b->h, rows * m->inner * 4, "activations"},
        {&b->e, m->projected ? rows * m->embed_dim * 4 : 0, "activations"},
        {&b->parts, n * m->config.heads * s->splits * (m->head_dim + 4) * 4, "the splits of attention"},
        {&b->logits, (s->logit_rows > n ? s->logit_rows : n) * m->vocab * 4, "logits"},
        {&b->head_parts, n * s->head_groups * sizeof(struct HeadPart), "the parts of the head"},
    };
    struct Want uploaded = {&b->inbox, n * sizeof(struct Sequence) + tokens, "the inbox"};
    struct Want read[] = {{&b->ring, tokens, "the ring"}, {&b->readback, (uint64_t)s->logit_rows * m->vocab * 4, "logits"}};
    int status = make_slices(s, &s->device_pool, on_device, sizeof on_device / sizeof *on_device, err);
    if (!status) status = make_slices(s, &s->upload_pool, &uploaded, 1, err);
    if (!status) status = make_slices(s, &s->read_pool, read, 2, err);
    return status ? status : make_cache(s, err);
}
