#include "engine/trace.h"

#include <math.h>
#include <stdlib.h>

#include "engine/bounds.h"
#include "engine/forward.h"
#include "engine/inbox.h"
#include "engine/logits.h"
#include "engine/prefill.h"
#include "engine/sequences.h"
#include "engine/session_kernels.h"

struct Tracer {
    struct vkgpt_session *s;
    const struct Trace *trace;
    const struct Kernels *kernels;
    uint32_t rows;         // of a block
    struct Pool pool;      // what the host reads:
    struct Slice *streams; // (layers + 1): (rows, dim), before each layer, and after the last one
    struct Slice *queries; // (layers): (rows, width)
    struct Slice keys;     // (heads, tokens, head_dim), of one layer
    float *weights;        // (rows, tokens), of one head
    vkgpt_error *err;
};

const struct Config *trace_config(const vkgpt_model *model) { return &model->config; }

static int make_room(struct Tracer *t, size_t count)
{
    const struct vkgpt_model *m = t->s->model;
    uint32_t layers = m->config.layers;
    VkDeviceSize keys = (VkDeviceSize)m->config.heads * count * m->head_dim * 4, row = 4 * (VkDeviceSize)t->rows;
    t->pool = (struct Pool){.kind = MEMORY_READ};
    t->streams = device_alloc(t->s->device, layers + 1, sizeof *t->streams);
    t->queries = device_alloc(t->s->device, layers, sizeof *t->queries);
    t->weights = device_alloc(t->s->device, t->rows * count, sizeof *t->weights);
    if (!t->streams || !t->queries || !t->weights)
        return fail_memory(t->err, "the weights of attention", t->rows * count * sizeof *t->weights);
    int status = pool_slice(t->s->device, &t->pool, keys, "keys", &t->keys, t->err);
    for (uint32_t l = 0; !status && l <= layers; l++)
        status = pool_slice(t->s->device, &t->pool, row * m->dim, "the residual stream", &t->streams[l], t->err);
    for (uint32_t l = 0; !status && l < layers; l++)
        status = pool_slice(t->s->device, &t->pool, row * m->width, "queries", &t->queries[l], t->err);
    return status;
}

static void free_room(struct Tracer *t)
{
    pool_free(t->s->device, &t->pool);
    free(t->streams);
    free(t->queries);
    free(t->weights);
}

static struct Pass begin(const struct Tracer *t, const char *name, struct Recording *rec, int *status)
{
    struct vkgpt_session *s = t->s;
    *status = recording_begin(s->device, name, forward_max_sets(s), rec, t->err);
    if (!*status) recording_cut(rec, bounds_block_cut(s, t->rows, true));
    if (!*status) inbox_take(s, rec, 0);
    return pass_of_block(s, rec, t->kernels, t->rows, 0);
}

// Runs a block of tokens through all layers, and keeps the stream and the queries of each.
static int run_layers(const struct Tracer *t, const struct BlockRows *block)
{
    struct vkgpt_session *s = t->s;
    const struct vkgpt_model *m = s->model;
    struct Recording rec = {0};
    int status;
    const struct Pass pass = begin(t, "tracing the layers", &rec, &status);
    if (status) return status;
    forward_embed(&pass);
    recording_copy(&rec, &s->b.x, 0, &t->streams[0], 0, t->streams[0].bytes);
    for (uint32_t l = 0; l < m->config.layers; l++) {
        forward_layer(&pass, l, 0);
        recording_copy(&rec, &s->b.q, 0, &t->queries[l], 0, t->queries[l].bytes);
        recording_copy(&rec, &s->b.x, 0, &t->streams[l + 1], 0, t->streams[l + 1].bytes);
    }
    status = recording_end(&rec);
    if (!status) status = prefill_run_recorded(s, &rec, block, t->err);
    recording_free(&rec);
    return status;
}

// ------------------------------------------------------------------------------------------ logit lens

static int check_rows(const struct Tracer *t, const struct TraceRows *rows)
{
    for (uint32_t r = 0; r < rows->count; r++) {
        const float *logits = rows->logits + (size_t)r * rows->logits_stride;
        size_t vocab = t->s->model->config.vocab, bad = first_not_finite(logits, vocab);
        if (bad < vocab)
            return fail(t->err, VKGPT_BAD_LOGITS, "%s: the logits of token %u before layer %u hold %g for id %zu",
                        t->s->model->name, rows->first + r, rows->layer, (double)logits[bad], bad);
    }
    return VKGPT_OK;
}

// The stream before a layer goes through the final norm and the head, as that after the last one does.
static int run_head(const struct Tracer *t, uint32_t layer, uint32_t first, uint32_t count)
{
    struct vkgpt_session *s = t->s;
    const struct vkgpt_model *m = s->model;
    const struct Slice *stream = &t->streams[layer];
    struct Recording rec = {0};
    int status;
    const struct Pass pass = begin(t, "the logit lens", &rec, &status);
    if (status) return status;
    recording_copy(&rec, stream, 0, &s->b.x, 0, stream->bytes);
    forward_head(&pass);
    recording_copy(&rec, &s->b.logits, 0, &s->b.readback, 0, (VkDeviceSize)t->rows * m->vocab * 4);
    status = recording_run_once(&rec, t->err);
    const struct TraceRows rows = {
        layer, first, count, (const float *)stream->host, (const float *)s->b.readback.host, m->dim, m->vocab};
    if (!status) status = check_rows(t, &rows);
    if (!status) t->trace->on_rows(t->trace->user, &rows);
    return status;
}

// ------------------------------------------------------------------------------------------- attention

static int read_keys(const struct Tracer *t, uint32_t layer, uint32_t count)
{
    const struct vkgpt_session *s = t->s;
    const struct Cache own = session_cache(s), packed = session_packed_cache(s, count);
    struct Recording rec = {0};
    int status = recording_begin(s->device, "reading keys", 1, &rec, t->err);
    if (status) return status;
    cache_copy(&rec, (struct CachePlace){&own, &s->b.k[layer], 0}, (struct CachePlace){&packed, &t->keys, 0}, count);
    return recording_run_once(&rec, t->err);
}

// One row of softmax(scale * q K^T) over the positions `from` to `position`.
static void attend(const float *q, const float *keys, uint32_t head_dim, double scale, uint32_t from, uint32_t position,
                   float *weights)
{
    double most = -INFINITY, sum = 0;
    for (uint32_t p = from; p <= position; p++) {
        double score = 0;
        for (uint32_t i = 0; i < head_dim; i++) score += (double)q[i] * (double)keys[(size_t)p * head_dim + i];
        weights[p] = (float)(scale * score);
        most = fmax(most, (double)weights[p]);
    }
    for (uint32_t p = from; p <= position; p++) sum += exp((double)weights[p] - most);
    for (uint32_t p = from; p <= position; p++) weights[p] = (float)(exp((double)weights[p] - most) / sum);
}

static int run_attention(const struct Tracer *t, uint32_t layer, uint32_t first, uint32_t count)
{
    const struct vkgpt_model *m = t->s->model;
    const float *queries = (const float *)t->queries[layer].host, *keys = (const float *)t->keys.host;
    uint32_t positions = first + count, window = config_window(&m->config, layer);
    double scale = (double)config_attention_scale(&m->config, layer);
    int status = read_keys(t, layer, positions);
    for (uint32_t h = 0; !status && h < m->config.heads; h++) {
        for (uint32_t r = 0; r < count; r++) {
            float *weights = t->weights + (size_t)r * positions;
            uint32_t p = first + r, from = window && p >= window ? p + 1 - window : 0;
            for (uint32_t i = 0; i < positions; i++) weights[i] = 0;
            attend(queries + (size_t)r * m->width + h * m->head_dim, keys + (size_t)h * positions * m->head_dim,
                   m->head_dim, scale, from, p, weights);
        }
        t->trace->on_attention(t->trace->user, &(struct TraceAttention){layer, h, first, count, t->weights});
    }
    return status;
}

// ------------------------------------------------------------------------------------------ all of it

static int run_block(const struct Tracer *t, uint32_t first, uint32_t end)
{
    uint32_t layers = t->s->model->config.layers, count = end - first;
    struct BlockRows block = {.count = 0};
    prefill_add(&block, 0, first, end, MAX_GROUPS);
    int status = run_layers(t, &block);
    for (uint32_t l = 0; !status && l <= layers; l++) status = run_head(t, l, first, count);
    for (uint32_t l = 0; !status && l < layers; l++) status = run_attention(t, l, first, count);
    return status;
}

int trace_run(vkgpt_session *s, const uint32_t *ids, size_t count, const struct Trace *trace, vkgpt_error *err)
{
    struct Tracer t = {.s = s, .trace = trace, .rows = s->logit_rows, .err = err};
    if (s->kv != KV_F32) return fail(err, VKGPT_BAD_ARGUMENT, "%s: tracing needs a KV cache in fp32", s->model->name);
    int status = model_check_whole(s->model, "a trace", err);
    if (!status) status = model_check_head(s->model, err);
    if (!status) status = vkgpt_session_rewind(s, 0, err);
    if (!status) status = sequence_append(s, 0, ids, count, s->context, err);
    if (!status && count) status = session_prefill_kernels(s, t.rows, &t.kernels, err);
    if (!status && count) status = make_room(&t, count);
    for (uint32_t first = 0, end; !status && first < count; first = end) {
        end = count - first < t.rows ? (uint32_t)count : first + t.rows;
        status = run_block(&t, first, end);
    }
    free_room(&t);
    return status;
}
