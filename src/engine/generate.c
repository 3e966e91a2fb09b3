// Generation: sequences join and leave while others run. A step queues what there is to do, blocks of prompts and steps
// of decode in turn, waits for the oldest of it, and reports the tokens.
#include <string.h>

#include "base/minimum.h"
#include "engine/beginnings.h"
#include "engine/copies.h"
#include "engine/flights.h"
#include "engine/prefill.h"
#include "engine/reports.h"
#include "engine/sequences.h"
#include "engine/decoding.h"

// ------------------------------------------------------------------------------------------ who runs

vkgpt_sampling vkgpt_sampling_default(void)
{
    return (vkgpt_sampling){
        .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f, .repeat_last_n = 64};
}

static int check_sampling(const vkgpt_sampling *p, vkgpt_error *err)
{
    if (!(p->temperature >= 0.0f && p->temperature <= 1e6f))
        return fail(err, VKGPT_BAD_ARGUMENT, "a temperature of %g: 0 or more is needed", (double)p->temperature);
    if (!(p->top_p >= 0.0f && p->top_p <= 1.0f))
        return fail(err, VKGPT_BAD_ARGUMENT, "a top-p of %g: 0 to 1 is needed", (double)p->top_p);
    if (!(p->min_p >= 0.0f && p->min_p <= 1.0f))
        return fail(err, VKGPT_BAD_ARGUMENT, "a min-p of %g: 0 to 1 is needed", (double)p->min_p);
    if (!(p->repeat_penalty >= 0.0f && p->repeat_penalty <= 1e6f))
        return fail(err, VKGPT_BAD_ARGUMENT, "a repeat penalty of %g: 0 or more is needed", (double)p->repeat_penalty);
    return VKGPT_OK;
}

// A bias or a penalty; `what` is for the sentence.
static int check_change(float value, const char *what, vkgpt_error *err)
{
    if (value >= -1e6f && value <= 1e6f) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s of %g: -1e6 to 1e6 is needed", what, (double)value);
}

static int check_biases(const struct vkgpt_session *s, const vkgpt_batch_options *o, vkgpt_error *err)
{
    uint32_t vocab = s->model->config.vocab;
    if (o->bias_count > VKGPT_MAX_BIAS)
        return fail(err, VKGPT_BAD_ARGUMENT, "%zu biases: at most %u", o->bias_count, VKGPT_MAX_BIAS);
    int status = VKGPT_OK;
    for (size_t i = 0; !status && i < o->bias_count; i++) {
        if (o->bias[i].id >= vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "a bias for token id %u: %s has ids below %u", o->bias[i].id,
                        s->model->name, vocab);
        status = check_change(o->bias[i].value, "a bias", err);
    }
    return status;
}

static int check_options(const struct vkgpt_session *s, const vkgpt_batch_options *o, vkgpt_error *err)
{
    int status = check_sampling(&o->sampling, err);
    if (!status) status = check_change(o->presence_penalty, "a presence penalty", err);
    if (!status) status = check_change(o->frequency_penalty, "a frequency penalty", err);
    if (!status) status = check_biases(s, o, err);
    if (!status && o->top > VKGPT_MAX_TOP)
        return fail(err, VKGPT_BAD_ARGUMENT, "the %u likeliest tokens: at most %u", o->top, VKGPT_MAX_TOP);
    return status;
}

static void add_bias(struct Slot *slot, vkgpt_bias bias)
{
    for (uint32_t i = 0; i < slot->biases; i++) {
        if (slot->bias[i].id != bias.id) continue;
        slot->bias[i].value += bias.value;
        return;
    }
    slot->bias[slot->biases++] = bias;
}

// What changes the logits, and what is said of each token.
static void take_options(const struct vkgpt_session *s, struct Slot *slot, const vkgpt_batch_options *o)
{
    uint32_t vocab = s->model->config.vocab;
    slot->sampling = o->sampling;
    slot->presence = o->presence_penalty, slot->frequency = o->frequency_penalty;
    slot->biases = 0;
    for (size_t i = 0; i < o->bias_count; i++) add_bias(slot, o->bias[i]);
    slot->reports = o->logprobs ? 1 + min_u32(o->top, vocab) : 0;
    slot->given = o->logprobs && o->given;
    slot->told = 0;
}

// Sets how far a slot goes, and why it ends there if nothing else ends it before. Its last token runs in the first
// step, whether it is in the cache or not.
static void slot_start(const struct vkgpt_session *s, struct Slot *slot, const vkgpt_batch_options *options)
{
    size_t max_tokens = options->max_tokens;
    uint32_t room = s->context + 1 - min_u32(slot->position, s->context + 1);
    take_options(s, slot, options);
    slot->started = true;
    slot->given = slot->given && slot->position;
    slot->runs = (slot->position && room && max_tokens) || slot->given;
    slot->end = slot->position + (max_tokens < room ? (uint32_t)max_tokens : room);
    slot->stop = max_tokens <= room && (room || !max_tokens) ? VKGPT_STOP_LENGTH : VKGPT_STOP_CONTEXT;
    slot->since = s->flights.last + 1;
    if (!slot->runs) {
        slot->leader = 0;
        return;
    }
    slot->cached = min_u32(slot->cached, slot->given ? 0 : slot->position - 1);
    slot->prefilled = min_u32(slot->prefilled, slot->cached);
    prefill_want(slot, slot->position - 1);
}

static uint32_t count_started(const struct vkgpt_session *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->sequences; i++) count += s->slots[i].started;
    return count;
}

static void abort_all(struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++) {
        if (s->slots[i].runs) slot_leave(s, &s->slots[i], VKGPT_STOP_CALLBACK);
        s->slots[i].started = false;
    }
}

// ------------------------------------------------------------------------------------------ one step

static void report_ends(struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++) {
        struct Slot *slot = &s->slots[i];
        if (!slot->started || slot->runs) continue;
        slot->started = false;
        report_end(s, i);
    }
}

typedef int Maker(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err);

// What is queued next: copies, and then, where both wait, blocks and steps in turn.
static Maker *choose_next(struct vkgpt_session *s)
{
    beginnings_share(s);
    if (s->copies.count) return s->flights.count < s->in_flight ? copies_next : NULL;
    bool prompts = prefill_rows_left(s) != 0, steps = decoding_wanted(s);
    if (prompts && (!steps || s->steps_last)) return prefill_has_room(s) ? prefill_next : NULL;
    return steps && decoding_has_room(s) ? decoding_next : NULL;
}

static int step(struct vkgpt_session *s, vkgpt_error *err)
{
    int status = session_check_cancel(s, err);
    if (!status) report_beginnings(s);
    for (Maker *make; !status && (make = choose_next(s));) {
        struct Flight *next = flights_next(s);
        status = make(s, next, err);
        if (!status)
            status = flights_add(s, s->upstream ? flights_send(s, next, err) : recording_submit(next->rec, err));
        if (make != copies_next) s->steps_last = make == decoding_next;
    }
    if (!status && s->flights.count) status = flights_end_oldest(s, err);
    report_ends(s);
    return status;
}

int vkgpt_batch_step(vkgpt_session *s, bool (*on_event)(void *user, const vkgpt_batch_event *event), void *user,
                     uint32_t *running, vkgpt_error *err)
{
    s->on_event = on_event, s->event_user = user;
    int status = step(s, err);
    s->on_event = NULL;
    if (status && status != VKGPT_INTERRUPTED && status != VKGPT_BAD_LOGITS) abort_all(s);
    if (running) *running = count_started(s);
    return status;
}

// --------------------------------------------------------------------------------- joining and leaving

static int check_prompt(const struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count,
                        const vkgpt_batch_options *options, vkgpt_error *err)
{
    int status = sequence_check_idle(s, sequence, err);
    bool last_predicted = !options->max_tokens && options->logprobs && options->given;
    if (!status && count > s->context + last_predicted)
        return fail(err, VKGPT_BAD_ARGUMENT, "a prompt of %zu tokens: the context has room for %u", count, s->context);
    return status ? status : session_check_ids(s, ids, count, err);
}

int vkgpt_batch_start(vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count,
                      const vkgpt_batch_options *options, vkgpt_error *err)
{
    int status = model_check_head(s->model, err);
    if (!status) status = check_prompt(s, sequence, ids, count, options, err);
    if (!status) status = check_options(s, options, err);
    if (status) return status;
    struct Slot *slot = &s->slots[sequence];
    if (!count && !slot->position) return fail(err, VKGPT_BAD_ARGUMENT, "nothing to go on from: the prompt is empty");
    bool given = options->logprobs && options->given;
    if (count) beginnings_take(s, sequence, ids, (uint32_t)count, given, options->keep);
    else beginnings_let_go(s, sequence);
    slot_start(s, slot, options);
    return VKGPT_OK;
}

int vkgpt_batch_stop(vkgpt_session *s, uint32_t sequence, vkgpt_error *err)
{
    int status = sequence_check(s, sequence, err);
    if (status) return status;
    struct Slot *slot = &s->slots[sequence];
    if (slot->runs) slot_leave(s, slot, VKGPT_STOP_CALLBACK);
    slot->started = false;
    return VKGPT_OK;
}

// --------------------------------------------------------------------------------------- all at once

// Starts the first `taking` sequences. Prompts are read first, so that their blocks are as large as they can be.
static int start_all(struct vkgpt_session *s, const vkgpt_sampling *sampling, uint32_t taking, size_t max_tokens,
                     vkgpt_error *err)
{
    int status = model_check_head(s->model, err);
    for (uint32_t i = 0; !status && i < taking; i++) status = check_sampling(&sampling[i], err);
    if (!status && max_tokens) status = prefill_sequences(s, false, err);
    for (uint32_t i = 0; !status && i < taking; i++)
        slot_start(s, &s->slots[i], &(vkgpt_batch_options){.sampling = sampling[i], .max_tokens = max_tokens});
    return status;
}

// What was queued after a stop still runs.
static int end_all(struct vkgpt_session *s, int status, vkgpt_error *err)
{
    s->on_event = NULL;
    abort_all(s);
    int drained = flights_drain(s, status ? NULL : err);
    return status ? status : drained;
}

struct Batch { // a call of vkgpt_batch_generate
    bool (*on_token)(void *user, uint32_t sequence, uint32_t id);
    void *user;
    vkgpt_stop *stops;
};

static bool on_event(void *user, const vkgpt_batch_event *event)
{
    const struct Batch *batch = user;
    if (event->ended && batch->stops) batch->stops[event->sequence] = event->stop;
    return event->ended || !batch->on_token || batch->on_token(batch->user, event->sequence, event->id);
}

int vkgpt_batch_generate(vkgpt_session *s, const vkgpt_sampling *sampling, size_t max_tokens,
                         bool (*on_token)(void *user, uint32_t sequence, uint32_t id), void *user, vkgpt_stop *stops,
                         vkgpt_error *err)
{
    struct Batch batch = {on_token, user, stops};
    uint32_t given = 0;
    for (uint32_t i = 0; i < s->sequences; i++) given += s->slots[i].position != 0;
    if (!given) return fail(err, VKGPT_BAD_ARGUMENT, "nothing to go on from: every prompt is empty");
    int status = session_settle(s, err);
    if (status) return status;
    s->on_event = on_event, s->event_user = &batch;
    status = start_all(s, sampling, s->sequences, max_tokens, err);
    while (!status && count_started(s)) status = step(s, err);
    return end_all(s, status, err);
}

struct Stream { // a call of vkgpt_generate
    bool (*on_token)(void *user, uint32_t id);
    void *user;
    vkgpt_stop stop;
};

static bool on_stream_event(void *user, const vkgpt_batch_event *event)
{
    struct Stream *stream = user;
    if (event->ended) stream->stop = event->stop;
    return event->ended || !stream->on_token || stream->on_token(stream->user, event->id);
}

int vkgpt_generate(vkgpt_session *s, const vkgpt_sampling *sampling, size_t max_tokens,
                   bool (*on_token)(void *user, uint32_t id), void *user, vkgpt_stop *stop, vkgpt_error *err)
{
    struct Stream stream = {on_token, user, VKGPT_STOP_LENGTH};
    vkgpt_sampling p = sampling ? *sampling : VKGPT_SAMPLING_DEFAULT;
    int status = check_sampling(&p, err);
    if (!status) status = session_settle(s, err);
    if (status) return status;
    if (!s->slots[0].position) return fail(err, VKGPT_BAD_ARGUMENT, "nothing to go on from: the prompt is empty");
    s->on_event = on_stream_event, s->event_user = &stream;
    status = start_all(s, &p, 1, max_tokens, err);
    while (!status && count_started(s)) status = step(s, err);
    status = end_all(s, status, err);
    if (!status && stop) *stop = stream.stop;
    return status;
}
