// What a session allocates, and how large each buffer is.
#include "engine/buffers.h"

#include <stdlib.h>
#include <string.h>

#include "base/minimum.h"

#define TILE_ROWS 32        // a product may read this many at once
#define LARGE_TILE_ROWS 128 // of the widest tile of a block
#define PROCESSOR_ROWS 512  // of a block at most on a software driver: more do not stay in a CPU's caches
#define LEAST_OUTPUTS 4     // of a workgroup of head, of all variants (engine/variants.c); its rows are multiples of it
#define MEMORY_SHARE 128    // the activations of larger blocks take at most 1 / MEMORY_SHARE of a device's memory

uint64_t buffers_state_bytes(const struct vkgpt_session *s)
{
    return MAX_GROUPS * sizeof(struct Group) + s->sequences * sizeof(struct Sequence);
}

uint64_t buffers_inbox_bytes(const struct vkgpt_session *s)
{
    return sizeof(struct InboxHead) + s->sequences * sizeof(struct Admission);
}

uint64_t buffers_given_bytes(const struct vkgpt_session *s)
{
    return (uint64_t)s->sequences * ((s->context + 1) * 4 + MAX_BIAS * sizeof(struct LogitChange));
}

// What each flight has of its own.
static uint32_t turn_wants(struct vkgpt_session *s, uint32_t turn, struct Want *wants)
{
    const struct vkgpt_model *m = s->model;
    struct Buffers *b = &s->b;
    uint64_t x = (uint64_t)s->rows * m->dim * 4;
    uint64_t reports = model_has_head(m) ? s->logit_rows * sizeof(struct TokenReport) : 0;
    const struct Want all[] = {
        {MEMORY_UPLOAD, &b->inbox[turn], buffers_inbox_bytes(s), "the inbox"},
        {MEMORY_UPLOAD, &b->given[turn], buffers_given_bytes(s), "the inbox"},
        {MEMORY_READ, &b->block_reports[turn], reports, "log probabilities"},
        {MEMORY_UPLOAD, &b->arrival[turn], model_embeds(m) ? 0 : x, "activations of the stage before"},
        {MEMORY_READ, &b->departure[turn], model_has_head(m) ? 0 : x, "activations for the next stage"},
    };
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].bytes) wants[count++] = all[i];
    return count;
}

uint32_t buffers_wants(struct vkgpt_session *s, struct Want wants[BUFFERS_WANTS])
{
    const struct vkgpt_model *m = s->model;
    struct Buffers *b = &s->b;
    uint64_t rows = s->rows, steps = (uint64_t)s->sequences * s->step_rows,
             tokens = (uint64_t)s->sequences * (s->context + 1) * 4;
    uint64_t state = buffers_state_bytes(s), biases = s->sequences * MAX_BIAS * sizeof(struct LogitChange);
    // only the last stage has logits, and what is made of them
    uint64_t head = model_has_head(m), head_steps = head * steps, logit_rows = head * s->logit_rows;
    uint64_t most_logits = logit_rows > head_steps ? logit_rows : head_steps;
    bool projects = m->projected && (head || model_embeds(m)), drafts = s->step_rows > 1;
    // clang-format off
    const struct Want all[] = {
        {MEMORY_DEVICE, &b->state, state, "the state"},
        {MEMORY_DEVICE, &b->tokens, tokens, "the tokens"},
        {MEMORY_DEVICE, &b->x, rows * m->dim * 4, "activations"},
        {MEMORY_DEVICE, &b->n, rows * m->dim * 4, "activations"},
        {MEMORY_DEVICE, &b->q, rows * m->width * (s->kv == KV_Q8_0 ? 12 : 4), "activations"},
        {MEMORY_DEVICE, &b->a, rows * m->width * 4, "activations"},
        {MEMORY_DEVICE, &b->h, rows * m->inner * 4, "activations"},
        {MEMORY_DEVICE, &b->e, projects ? rows * m->embed_dim * 4 : 0, "activations"},
        {MEMORY_DEVICE, &b->parts, steps * m->config.heads * s->splits * (m->head_dim + 4) * 4, "the splits of attention"},
        {MEMORY_DEVICE, &b->arrived, s->by_matrices ? SPLIT_TILES * 4 : 0, "the segments of products"},
        {MEMORY_DEVICE, &b->sums, s->by_matrices ? tile_sum_bytes(s->block_rows, m->dim) : 0, "the segments of products"},
        {MEMORY_DEVICE, &b->logits, most_logits * m->vocab * 4, "logits"},
        {MEMORY_DEVICE, &b->head_parts, head * s->head_parts * sizeof(struct HeadPart), "the parts of the head"},
        {MEMORY_DEVICE, &b->changes, 2 * tokens + biases, "the changes of logits"},
        {MEMORY_DEVICE, &b->kept, head_steps * m->vocab * 4, "logits"},
        {MEMORY_READ, &b->ring, tokens, "the ring"},
        {MEMORY_READ, &b->reports, head_steps * REPORTS_KEPT * sizeof(struct TokenReport), "log probabilities"},
        {MEMORY_READ, &b->progress, drafts ? s->in_flight * s->sequences * sizeof(struct Sequence) : 0, "the progress"},
        {MEMORY_READ, &b->readback, logit_rows * m->vocab * 4, "logits"},
        {MEMORY_READ, &b->scores, logit_rows * sizeof(struct RowScore), "scores"},
    };
    // clang-format on
    uint32_t count = sizeof all / sizeof *all;
    _Static_assert(sizeof all / sizeof *all + 5 * MAX_IN_FLIGHT <= BUFFERS_WANTS, "callers make room for all");
    memcpy(wants, all, sizeof all);
    for (uint32_t turn = 0; turn < s->in_flight; turn++) count += turn_wants(s, turn, wants + count);
    return count;
}

static struct Pool *pool_of(struct vkgpt_session *s, enum MemoryKind kind)
{
    return kind == MEMORY_DEVICE ? &s->device_pool : kind == MEMORY_UPLOAD ? &s->upload_pool : &s->read_pool;
}

static int make_slice(struct vkgpt_session *s, const struct Want *want, vkgpt_error *err)
{
    return pool_slice(s->device, pool_of(s, want->kind), want->bytes, want->what, want->slice, err);
}

static int make_cache(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct Cache cache = session_cache(s);
    uint32_t layers = s->model->config.layers;
    s->b.k = device_alloc(s->device, layers, sizeof *s->b.k);
    s->b.v = device_alloc(s->device, layers, sizeof *s->b.v);
    if (!s->b.k || !s->b.v) return fail_memory(err, "the KV cache", layers * sizeof *s->b.k);
    int status = VKGPT_OK;
    for (uint32_t l = s->model->first; !status && l < s->model->end; l++) {
        const struct Want k = {MEMORY_DEVICE, &s->b.k[l], cache_bytes(&cache), "the KV cache"};
        const struct Want v = {MEMORY_DEVICE, &s->b.v[l], cache_bytes(&cache), "the KV cache"};
        status = make_slice(s, &k, err);
        if (!status) status = make_slice(s, &v, err);
    }
    return status;
}

int buffers_make(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct Cache layout = session_cache(s);
    uint64_t cache = 2 * (uint64_t)(s->model->end - s->model->first) * memory_aligned(s->device, cache_bytes(&layout));
    uint64_t available = memory_available(s->device);
    if (cache > available)
        return fail(err, VKGPT_OUT_OF_MEMORY,
                    "the KV cache of %u positions needs %llu bytes of device memory, %s has %llu (use -c or --kv q8_0)",
                    s->context, (unsigned long long)cache, s->device->info.name, (unsigned long long)available);
    s->device_pool = (struct Pool){.kind = MEMORY_DEVICE, .block_bytes = SESSION_BLOCK};
    s->upload_pool = (struct Pool){.kind = MEMORY_UPLOAD, .block_bytes = HOST_BLOCK};
    s->read_pool = (struct Pool){.kind = MEMORY_READ, .block_bytes = HOST_BLOCK};
    struct Want wants[BUFFERS_WANTS];
    int status = VKGPT_OK;
    for (uint32_t i = 0, count = buffers_wants(s, wants); !status && i < count; i++)
        status = make_slice(s, &wants[i], err);
    for (uint32_t turn = 0; !status && turn < s->in_flight; turn++)
        s->inbox[turn] = (struct Inbox){.head = s->b.inbox[turn].host, .given = s->b.given[turn].host};
    return status ? status : make_cache(s, err);
}

uint32_t buffers_most_rows(const struct vkgpt_model *m, uint32_t kv)
{
    const vkgpt_device *device = m->device;
    uint64_t q = (uint64_t)m->width * (kv == KV_Q8_0 ? 3 : 1), widest = q > m->inner ? q : m->inner;
    uint64_t all = 2 * m->dim + q + m->width + m->inner + (m->projected ? m->embed_dim : 0);
    uint32_t rows = device->software ? PROCESSOR_ROWS : MAX_GROUPS * GROUP_ROWS;
    while (rows > PROCESSOR_ROWS &&
           (rows * all * 4 > device->info.memory_bytes / MEMORY_SHARE || rows * widest * 4 > memory_max_slice(device)))
        rows /= 2;
    return rows;
}

// The rows of all prompts together, each in whole groups, rounded up to whole tiles: of the narrowest kind that holds
// them all in one tile, else of the widest.
static uint32_t whole_rows(const struct vkgpt_session *s)
{
    uint64_t rows = (uint64_t)(s->context + GROUP_ROWS - 1) / GROUP_ROWS * GROUP_ROWS * s->sequences;
    uint32_t tile = TILE_ROWS;
    while (tile < LARGE_TILE_ROWS && tile < rows) tile *= 2;
    rows = (rows + tile - 1) / tile * tile;
    return rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
}

void buffers_sizes(struct vkgpt_session *s)
{
    uint32_t span = cache_span(&s->model->config);
    uint64_t logit_rows = LOGIT_BYTES / ((uint64_t)s->model->vocab * 4);
    uint32_t steps = (s->sequences * s->step_rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    uint32_t most = s->model->most_rows ? s->model->most_rows : buffers_most_rows(s->model, s->kv);
    s->block_rows = min_u32(whole_rows(s), most);
    s->rows = max_u32(steps, s->block_rows);
    s->splits = (s->context + span - 1) / span;
    logit_rows = logit_rows / GROUP_ROWS * GROUP_ROWS;
    s->logit_rows = max_u32(GROUP_ROWS, logit_rows < s->block_rows ? (uint32_t)logit_rows : s->block_rows);
}

uint32_t buffers_head_parts(const struct vkgpt_session *s)
{
    uint32_t vocab = s->model->vocab, best = (vocab + BEST_STRETCH - 1) / BEST_STRETCH;
    return max_u32(vocab / LEAST_OUTPUTS, s->sequences * s->step_rows * best);
}

uint32_t buffers_block_rows(const struct vkgpt_session *s, uint32_t block_size)
{
    uint32_t rows = GROUP_ROWS << block_size;
    return rows < s->block_rows ? rows : s->block_rows;
}
