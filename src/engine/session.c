// The public calls on a session: prompt, logits, generate. They set the state, replay recordings and read the ring.
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#define SUBMISSION_SECONDS 0.1  // of device time, about

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

// ------------------------------------------------------------------------------------------- opening

static uint32_t activation_constant(enum Activation activation)
{
    switch (activation) {
    case ACTIVATION_GELU_ERF: return ACTIVATE_GELU_ERF;
    case ACTIVATION_RELU: return ACTIVATE_RELU;
    case ACTIVATION_SILU: return ACTIVATE_SILU;
    case ACTIVATION_QUICK_GELU: return ACTIVATE_QUICK_GELU;
    default: return ACTIVATE_GELU_TANH;
    }
}

static void note_format(struct Shape *shape, const struct Matrix *matrix) { shape->formats[matrix->format] = true; }

static struct Shape model_shape(const struct vkgpt_session *s)
{
    const struct vkgpt_model *m = s->model;
    struct Shape shape = {
        .dim = m->dim,
        .head_dim = m->head_dim,
        .width = m->width,
        .inner = m->inner,
        .embed_dim = m->projected ? m->embed_dim : 0,
        .post_norm = m->config.post_norm,
        .no_final_norm = !m->config.final_norm,
        .span = session_span(&m->config),
        .kv = s->kv,
        .activation = activation_constant(m->config.activation),
    };
    note_format(&shape, &m->wte);
    note_format(&shape, m->head);
    if (m->projected) {
        note_format(&shape, &m->project_in);
        note_format(&shape, &m->project_out);
    }
    for (uint32_t l = 0; l < m->config.layers; l++) {
        note_format(&shape, &m->layers[l].c_attn);
        note_format(&shape, &m->layers[l].c_proj);
        note_format(&shape, &m->layers[l].c_fc);
        note_format(&shape, &m->layers[l].c_out);
    }
    return shape;
}

int session_prefill_kernels(struct vkgpt_session *s, vkgpt_error *err)
{
    if (s->prefill_ready) return VKGPT_OK;
    struct Shape shape = model_shape(s);
    int status = kernels_for_prefill(s->device, &shape, &s->prefill, err);
    s->prefill_ready = !status;
    return status;
}

static int check_options(const vkgpt_model *model, const vkgpt_session_options *o, vkgpt_error *err)
{
    if (o->context > model->config.context)
        return fail(err, VKGPT_BAD_ARGUMENT, "a context of %u tokens: %s has %u positions", o->context, model->name, model->config.context);
    if (o->tokens_per_submission > MAX_STEPS)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u tokens per submission: at most %u", o->tokens_per_submission, MAX_STEPS);
    if (o->kv > VKGPT_F16) return fail(err, VKGPT_BAD_ARGUMENT, "the KV cache is kept in f32 or f16 only");
    return VKGPT_OK;
}

static int session_make(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct vkgpt_model *m = s->model;
    struct Shape shape = model_shape(s);
    int status = kernels_for_decode(s->device, &shape, &s->decode, err);
    if (status) return status;
    session_sizes(s);
    if (s->splits > 1u << (SPLIT_SIZES - 1)) return fail(err, VKGPT_BAD_ARGUMENT, "a context of %u tokens is too long", s->context);
    s->head_groups = product_groups(&s->decode.head, m->head);
    return session_make_buffers(s, err);
}

int vkgpt_session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened, vkgpt_error *err)
{
    *opened = NULL;
    vkgpt_session_options o = options ? *options : (vkgpt_session_options){0};
    int status = check_options(model, &o, err);
    if (status) return status;
    struct vkgpt_session *s = device_alloc(model->device, 1, sizeof *s);
    if (!s) return fail_memory(err, "the session", sizeof *s);
    s->model = model;
    s->device = model->device;
    s->context = o.context ? o.context : model->config.context;
    s->kv = o.kv == VKGPT_F32 ? KV_F32 : KV_F16;
    s->sequences = 1;
    s->steps_asked = o.tokens_per_submission;
    status = session_make(s, err);
    if (status) {
        vkgpt_session_close(s);
        return status;
    }
    *opened = s;
    return VKGPT_OK;
}

void vkgpt_session_close(vkgpt_session *s)
{
    if (!s) return;
    session_free_recordings(s);
    pool_free(s->device, &s->device_pool);
    pool_free(s->device, &s->upload_pool);
    pool_free(s->device, &s->read_pool);
    free(s->b.k);
    free(s->b.v);
    free(s);
}

// --------------------------------------------------------------------------------------------- prompt

// The host's side of the state and of the tokens. It is written only: it may lie in write-combined memory.
static void inbox_state(struct vkgpt_session *s, const struct Sequence *sequence) { memcpy(s->b.inbox.host, sequence, sizeof *sequence); }

static void inbox_token(struct vkgpt_session *s, uint32_t position, uint32_t id)
{
    memcpy(s->b.inbox.host + s->sequences * sizeof(struct Sequence) + (size_t)position * 4, &id, 4);
}

static int append(struct vkgpt_session *s, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    if (count > s->context || s->position + count > s->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u tokens and %zu more: the context has room for %u", s->position, count, s->context);
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= s->model->config.vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "token id %u: %s has ids below %u", ids[i], s->model->name, s->model->config.vocab);
    for (size_t i = 0; i < count; i++) inbox_token(s, s->position + (uint32_t)i, ids[i]);
    s->position += (uint32_t)count;
    return VKGPT_OK;
}

// Runs rows [s->cached, s->cached + rows) through a prefill recording.
static int run_block(struct vkgpt_session *s, struct Recording *rec, uint32_t rows, vkgpt_error *err)
{
    struct Sequence sequence = {.position = s->cached, .rows = rows, .context = s->context};
    inbox_state(s, &sequence);
    double start = os_seconds();
    int status = recording_submit(rec, err);
    if (!status) status = recording_wait(rec, err);
    if (status) return status;
    double seconds = recording_seconds(rec);
    s->counters.device_seconds += seconds;
    s->row_seconds = (seconds > 0.0 ? seconds : os_seconds() - start) / rows;
    s->counters.submissions++;
    s->counters.tokens_prefilled += rows;
    s->cached += rows;
    return VKGPT_OK;
}

// The largest block that the rows fill and that stays near 100 ms of a GPU's time, by the last one's speed.
static uint32_t choose_block(const struct vkgpt_session *s, uint32_t rows)
{
    uint32_t size = 0;
    bool measured = s->row_seconds > 0.0;
    while (size + 1 < BLOCK_SIZES && block_rows(size) < rows) {
        bool quick = s->device->software || (measured && s->row_seconds * block_rows(size + 1) < SUBMISSION_SECONDS);
        if (!quick && size + 1 > (measured ? 0u : 1u)) break;
        size++;
    }
    return size;
}

// Brings the cache up to `end` tokens.
static int prefill(struct vkgpt_session *s, uint32_t end, vkgpt_error *err)
{
    while (s->cached < end) {
        uint32_t size = choose_block(s, end - s->cached);
        uint32_t rows = min_u32(min_u32(end - s->cached, block_rows(size)), s->rows);
        struct Recording *rec;
        int status = session_block(s, size, &rec, err);
        if (!status) status = run_block(s, rec, rows, err);
        if (status) return status;
    }
    return VKGPT_OK;
}

int vkgpt_prompt(vkgpt_session *s, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    int status = append(s, ids, count, err);
    return status || !s->position ? status : prefill(s, s->position - 1, err);
}

int vkgpt_session_rewind(vkgpt_session *s, uint32_t position, vkgpt_error *err)
{
    if (position > s->position) return fail(err, VKGPT_BAD_ARGUMENT, "rewinding to %u of %u tokens", position, s->position);
    s->position = position;
    s->cached = min_u32(s->cached, position);
    return VKGPT_OK;
}

uint32_t vkgpt_session_position(const vkgpt_session *s) { return s->position; }

// --------------------------------------------------------------------------------------------- logits

static int check_logits(const struct vkgpt_session *s, const float *logits, uint32_t first, uint32_t rows, vkgpt_error *err)
{
    uint32_t vocab = s->model->config.vocab;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < vocab; i++)
            if (!(logits[(size_t)r * vocab + i] - logits[(size_t)r * vocab + i] == 0.0f)) // NaN, and infinity less itself
                return fail(err, VKGPT_BAD_LOGITS, "%s: the logits of token %u hold %g for id %u", s->model->name, first + r,
                            (double)logits[(size_t)r * vocab + i], i);
    return VKGPT_OK;
}

// Rows lie padded on the device, and without padding for the caller.
static float *pack_rows(struct vkgpt_session *s, uint32_t rows)
{
    float *logits = (float *)s->b.readback.host;
    uint32_t vocab = s->model->config.vocab, stride = s->model->vocab;
    for (uint32_t r = 1; r < rows && stride != vocab; r++) memmove(logits + (size_t)r * vocab, logits + (size_t)r * stride, (size_t)vocab * 4);
    return logits;
}

int vkgpt_logits(vkgpt_session *s, const uint32_t *ids, size_t count, bool (*on_rows)(void *user, const float *logits, size_t first, size_t rows),
                 void *user, vkgpt_error *err)
{
    uint32_t start = s->position;
    struct Recording *rec;
    int status = append(s, ids, count, err);
    if (!status) status = prefill(s, start, err); // a token may wait from an earlier call
    if (!status && count) status = session_logits_block(s, &rec, err);
    while (!status && s->cached < s->position) {
        uint32_t first = s->cached - start, rows = min_u32(s->position - s->cached, s->logit_rows);
        status = run_block(s, rec, rows, err);
        if (status) break;
        const float *logits = pack_rows(s, rows);
        status = check_logits(s, logits, first, rows, err);
        if (!status && !on_rows(user, logits, first, rows)) status = fail(err, VKGPT_INTERRUPTED, "interrupted");
    }
    return status;
}

// ------------------------------------------------------------------------------------------- generate

// One run of vkgpt_generate: what is submitted, and what is read back.
struct Run {
    struct vkgpt_session *s;
    bool (*on_token)(void *user, uint32_t id);
    void *user;
    uint32_t next, end; // outputs still to be submitted: positions next .. end - 1
    struct {
        struct Recording *rec;
        uint32_t first, count; // outputs
        double start;          // by the host's clock
    } flying[IN_FLIGHT];
    uint32_t oldest, count, turn;
    bool stopped;
    vkgpt_stop stop;
    vkgpt_error *err;
};

static int check_sampling(const vkgpt_sampling *p, vkgpt_error *err)
{
    if (!(p->temperature >= 0.0f && p->temperature <= 1e6f)) return fail(err, VKGPT_BAD_ARGUMENT, "a temperature of %g: 0 or more is needed", (double)p->temperature);
    if (!(p->top_p >= 0.0f && p->top_p <= 1.0f)) return fail(err, VKGPT_BAD_ARGUMENT, "a top-p of %g: 0 to 1 is needed", (double)p->top_p);
    if (!(p->min_p >= 0.0f && p->min_p <= 1.0f)) return fail(err, VKGPT_BAD_ARGUMENT, "a min-p of %g: 0 to 1 is needed", (double)p->min_p);
    if (!(p->repeat_penalty > 0.0f && p->repeat_penalty <= 1e6f)) return fail(err, VKGPT_BAD_ARGUMENT, "a repeat penalty of %g: more than 0 is needed", (double)p->repeat_penalty);
    return VKGPT_OK;
}

static struct Sequence sequence_of(const struct vkgpt_session *s, const vkgpt_sampling *p, uint32_t tokens)
{
    const struct Config *c = &s->model->config;
    struct Sequence sequence = {
        .position = s->position - 1,
        .remaining = tokens,
        .context = s->context,
        .seed_low = (uint32_t)p->seed,
        .seed_high = (uint32_t)(p->seed >> 32),
        .top_k = p->top_k,
        .temperature = p->temperature,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .repeat_penalty = p->repeat_last_n ? p->repeat_penalty : 1.0f,
        .repeat_last_n = p->repeat_last_n,
        .eos_count = p->ignore_eos ? 0 : c->eos_count,
    };
    memcpy(sequence.eos, c->eos, c->eos_count * sizeof c->eos[0]);
    return sequence;
}

// Steps of the next submission, as a power of two: one until a token has been timed.
static uint32_t choose_steps(const struct Run *run)
{
    const struct vkgpt_session *s = run->s;
    uint32_t most = s->steps_asked ? s->steps_asked : 1, size = 0;
    if (!s->steps_asked && s->step_seconds > 0.0) {
        double fit = SUBMISSION_SECONDS / s->step_seconds;
        most = fit >= MAX_STEPS ? MAX_STEPS : fit < 1.0 ? 1 : (uint32_t)fit;
    }
    most = min_u32(most, run->end - run->next);
    while (size + 1 < STEP_SIZES && 2u << size <= most) size++;
    return size;
}

static int submit_steps(struct Run *run)
{
    struct vkgpt_session *s = run->s;
    uint32_t step_size = choose_steps(run), count = 1u << step_size, split_size = 0;
    uint32_t splits = (run->next + count - 2) / s->decode.span + 1; // the last step's input stands at next + count - 2
    while (1u << split_size < min_u32(splits, s->splits)) split_size++;
    struct Recording *rec;
    int status = session_steps(s, step_size, split_size, run->turn, &rec, run->err);
    if (!status) status = recording_submit(rec, run->err);
    if (status) return status;
    uint32_t at = (run->oldest + run->count++) % IN_FLIGHT;
    run->turn = (run->turn + 1) % IN_FLIGHT;
    run->flying[at].rec = rec;
    run->flying[at].first = run->next;
    run->flying[at].count = count;
    run->flying[at].start = os_seconds();
    run->next += count;
    s->counters.submissions++;
    s->counters.tokens_per_submission = count;
    s->counters.dispatches_per_token = rec->dispatches / count;
    return VKGPT_OK;
}

static int read_outputs(struct Run *run, uint32_t first, uint32_t count)
{
    struct vkgpt_session *s = run->s;
    const volatile uint32_t *ring = (const volatile uint32_t *)s->b.ring.host;
    for (uint32_t i = first; i < first + count && !run->stopped; i++) {
        uint32_t id = ring[i];
        if (id & RING_STOP) {
            run->stopped = true;
            run->stop = VKGPT_STOP_EOS;
            if ((id & ~RING_STOP) == STOP_BAD_LOGITS)
                return fail(run->err, VKGPT_BAD_LOGITS, "%s: the logits behind token %u hold a NaN or an infinity", s->model->name, i - 1);
            return VKGPT_OK;
        }
        inbox_token(s, i, id);
        s->position = i + 1;
        s->cached = i;
        s->counters.tokens_decoded++;
        if (run->on_token && !run->on_token(run->user, id)) {
            run->stopped = true;
            run->stop = VKGPT_STOP_CALLBACK;
        }
    }
    return VKGPT_OK;
}

static int finish_oldest(struct Run *run)
{
    struct vkgpt_session *s = run->s;
    struct Recording *rec = run->flying[run->oldest].rec;
    uint32_t first = run->flying[run->oldest].first, count = run->flying[run->oldest].count;
    double start = run->flying[run->oldest].start;
    run->oldest = (run->oldest + 1) % IN_FLIGHT;
    run->count--;
    int status = recording_wait(rec, run->err);
    if (status) return status;
    double seconds = recording_seconds(rec);
    s->counters.device_seconds += seconds;
    if (run->stopped) return VKGPT_OK;
    status = read_outputs(run, first, count);
    if (seconds == 0.0) seconds = os_seconds() - start; // a device without timestamps
    if (!run->stopped) s->step_seconds = seconds / count; // steps behind a stop cost nothing
    return status;
}

// Keeps two submissions queued, once one has told how long a token takes.
static int run_steps(struct Run *run)
{
    struct vkgpt_session *s = run->s;
    int status = VKGPT_OK;
    while (!status && !run->stopped && (run->count || run->next < run->end)) {
        uint32_t queue = s->steps_asked || s->step_seconds > 0.0 ? IN_FLIGHT : 1;
        while (!status && run->count < queue && run->next < run->end) status = submit_steps(run);
        if (!status) status = finish_oldest(run);
    }
    while (run->count) { // what was queued behind a stop still runs
        int drained = finish_oldest(run);
        if (!status) status = drained;
    }
    return status;
}

int vkgpt_generate(vkgpt_session *s, const vkgpt_sampling *sampling, size_t max_tokens, bool (*on_token)(void *user, uint32_t id), void *user,
                   vkgpt_stop *stop, vkgpt_error *err)
{
    vkgpt_sampling p = sampling ? *sampling : VKGPT_SAMPLING_DEFAULT;
    int status = check_sampling(&p, err);
    if (status) return status;
    if (!s->position) return fail(err, VKGPT_BAD_ARGUMENT, "nothing to go on from: the prompt is empty");
    if (s->position > s->context || !max_tokens) {
        if (stop) *stop = s->position > s->context ? VKGPT_STOP_CONTEXT : VKGPT_STOP_LENGTH;
        return VKGPT_OK;
    }
    status = prefill(s, s->position - 1, err);
    uint32_t room = s->context + 1 - s->position;
    uint32_t tokens = max_tokens < room ? (uint32_t)max_tokens : room;
    struct Run run = {.s = s, .on_token = on_token, .user = user, .next = s->position, .end = s->position + tokens, .err = err};
    run.stop = max_tokens <= room ? VKGPT_STOP_LENGTH : VKGPT_STOP_CONTEXT;

    struct Sequence sequence = sequence_of(s, &p, tokens);
    inbox_state(s, &sequence);
    struct Recording *admit;
    if (!status) status = session_admit(s, &admit, err);
    if (!status) status = recording_submit(admit, err);
    if (!status) status = run_steps(&run);
    s->cached = min_u32(s->cached, s->position ? s->position - 1 : 0);
    if (!status && stop) *stop = run.stop;
    return status;
}

vkgpt_counters vkgpt_session_counters(const vkgpt_session *s)
{
    vkgpt_counters counters = s->counters;
    counters.recordings = s->device->recordings;
    counters.descriptor_writes = s->device->descriptor_writes;
    counters.device_allocations = s->device->device_allocations;
    counters.host_allocations = s->device->host_allocations;
    return counters;
}
