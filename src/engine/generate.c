// Generation: decode steps of all sequences that run, several per submission and two submissions queued, while the
// host reads the ring.
#include <string.h>

#include "base/os.h"
#include "engine/inbox.h"
#include "engine/persistent.h"
#include "engine/prefill.h"
#include "engine/recordings.h"
#include "engine/sequences.h"

#define SUBMISSION_SECONDS 0.1 // of device time, about

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

// Steps that were submitted together.
struct Flying {
    struct Recording *rec;
    uint32_t steps, turn;
    double start; // by the host's clock
    bool whole;   // as one persistent kernel
};

// One call of vkgpt_batch_generate: what is submitted, and what is read back.
struct Decode {
    struct vkgpt_session *s;
    bool (*on_token)(void *user, uint32_t sequence, uint32_t id);
    void *user;
    struct Flying flying[IN_FLIGHT];
    uint32_t oldest, count, turn, steps; // steps: in flight
    uint32_t done;                       // steps of all submissions that were waited for
    vkgpt_error *err;
};

// -------------------------------------------------------------------------------------------- the state

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

static struct Sequence sequence_of(const struct vkgpt_session *s, const struct Slot *slot, const vkgpt_sampling *p)
{
    const struct Config *c = &s->model->config;
    struct Sequence sequence = {
        .position = slot->position - 1,
        .stop = STOP_NONE,
        .rows = 1,
        .remaining = slot->end - slot->position,
        .context = s->context,
        .seed_low = (uint32_t)p->seed,
        .seed_high = (uint32_t)(p->seed >> 32),
        .top_k = p->top_k,
        .temperature = p->temperature,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .repeat_penalty = p->repeat_last_n && p->repeat_penalty > 0.0f ? p->repeat_penalty : 1.0f,
        .repeat_last_n = p->repeat_last_n,
        .eos_count = p->ignore_eos ? 0 : c->eos_count,
    };
    memcpy(sequence.eos, c->eos, c->eos_count * sizeof c->eos[0]);
    return sequence;
}

// Sets how far a slot goes, and why it ends there if nothing else ends it before.
static void slot_start(const struct vkgpt_session *s, struct Slot *slot, bool takes_part, size_t max_tokens)
{
    uint32_t room = s->context + 1 - min_u32(slot->position, s->context + 1);
    slot->runs = takes_part && slot->position && room && max_tokens;
    slot->begin = slot->position;
    slot->end = slot->position + (max_tokens < room ? (uint32_t)max_tokens : room);
    slot->stop = max_tokens <= room && (room || !max_tokens) ? VKGPT_STOP_LENGTH : VKGPT_STOP_CONTEXT;
}

// ------------------------------------------------------------------------------------------ submissions

// The most tokens that a slot still needs after the steps in flight, if no draft is taken.
static uint32_t tokens_wanted(const struct Decode *d)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < d->s->sequences; i++)
        if (d->s->slots[i].runs) most = max_u32(most, d->s->slots[i].end - d->s->slots[i].position);
    return most > d->steps ? most - d->steps : 0;
}

static uint32_t furthest(const struct Decode *d)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < d->s->sequences; i++)
        if (d->s->slots[i].runs) most = max_u32(most, d->s->slots[i].position);
    return most;
}

// Steps of the next submission, as a power of two: one until a step has been timed.
static uint32_t choose_steps(const struct Decode *d)
{
    const struct vkgpt_session *s = d->s;
    uint32_t most = s->steps_asked ? s->steps_asked : 1, size = 0;
    if (!s->steps_asked && s->step_seconds > 0.0) {
        double fit = SUBMISSION_SECONDS / s->step_seconds;
        most = fit >= MAX_STEPS ? MAX_STEPS : fit < 1.0 ? 1 : (uint32_t)fit;
    }
    most = min_u32(most, tokens_wanted(d));
    while (size + 1 < STEP_SIZES && 2u << size <= most) size++;
    return size;
}

// The recording of the next steps, with enough splits for the sequence at the largest position.
static int next_steps(struct Decode *d, struct Flying *next)
{
    struct vkgpt_session *s = d->s;
    uint32_t step_size = choose_steps(d), steps = 1u << step_size, split_size = 0;
    // up to the last row of the last step if every draft is taken: the first row of the first step is at position - 1
    uint32_t splits = min_u32((furthest(d) - 2 + (d->steps + steps) * s->step_rows) / s->decode.span + 1, s->splits);
    while (1u << split_size < splits) split_size++;
    *next = (struct Flying){.steps = steps, .turn = d->turn, .whole = s->persistent.groups != 0};
    return recordings_decode(s, step_size, split_size, d->turn, &next->rec, d->err);
}

static void note_submitted(struct Decode *d, const struct Flying *next)
{
    struct vkgpt_session *s = d->s;
    struct Flying *flying = &d->flying[(d->oldest + d->count++) % IN_FLIGHT];
    *flying = *next;
    flying->start = os_seconds();
    d->turn = (d->turn + 1) % IN_FLIGHT;
    d->steps += next->steps;
    s->counters.submissions++;
    s->counters.tokens_per_submission = next->steps;
    s->counters.dispatches_per_token = (next->rec->dispatches + next->steps - 1) / next->steps;
}

// -------------------------------------------------------------------------------------------- the ring

static void slot_stop(struct Slot *slot, vkgpt_stop stop)
{
    slot->runs = false;
    slot->stop = stop;
}

// Where the tokens end that the submissions up to `at` made for a slot, including a stop. The ring may already hold
// tokens of the next submission, which has run in the meantime: they are read when that one is finished. A step gives
// one token; with drafts, the state that the submission left says how many.
static uint32_t made_by(const struct Decode *d, uint32_t at, uint32_t sequence)
{
    const struct vkgpt_session *s = d->s;
    if (s->step_rows == 1) return s->slots[sequence].begin + d->done;
    const struct Sequence *left = (const struct Sequence *)s->b.progress.host;
    left += d->flying[at].turn * s->sequences + sequence;
    return left->position + 1 + (left->stop == STOP_EOS || left->stop == STOP_BAD_LOGITS);
}

// Reads the tokens of a slot that have arrived since the last call.
static int read_slot(struct Decode *d, uint32_t at, uint32_t sequence)
{
    struct vkgpt_session *s = d->s;
    struct Slot *slot = &s->slots[sequence];
    const volatile uint32_t *ring = (const volatile uint32_t *)s->b.ring.host + (size_t)sequence * (s->context + 1);
    uint32_t end = made_by(d, at, sequence);
    while (slot->runs && slot->position < end) {
        uint32_t id = ring[slot->position];
        if (id == RING_EMPTY) break;
        if (id & RING_STOP) {
            slot_stop(slot, VKGPT_STOP_EOS);
            slot->live = false;
            if ((id & ~RING_STOP) == STOP_BAD_LOGITS)
                return fail(d->err, VKGPT_BAD_LOGITS, "%s: the logits behind token %u hold a NaN or an infinity",
                            s->model->name, slot->position - 1);
            break;
        }
        slot->ids[slot->position++] = id;
        slot->cached = slot->position - 1;
        slot->uploaded = slot->position; // sample has written it
        slot->runs = slot->live = slot->position < slot->end;
        s->counters.tokens_decoded++;
        if (d->on_token && !d->on_token(d->user, sequence, id)) slot_stop(slot, VKGPT_STOP_CALLBACK);
    }
    return VKGPT_OK;
}

static bool any_runs(const struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++)
        if (s->slots[i].runs) return true;
    return false;
}

static int finish_oldest(struct Decode *d)
{
    struct vkgpt_session *s = d->s;
    uint32_t at = d->oldest, steps = d->flying[at].steps;
    struct Recording *rec = d->flying[at].rec;
    double start = d->flying[at].start;
    d->oldest = (at + 1) % IN_FLIGHT;
    d->count--;
    d->steps -= steps;
    d->done += steps;
    int status = recording_wait(rec, d->err);
    if (status) return status;
    bool cut_short = d->flying[at].whole && persistent_gave_up(s);
    double seconds = recording_seconds(rec);
    s->counters.device_seconds += seconds;
    if (!any_runs(s)) return VKGPT_OK;
    uint32_t before = furthest(d);
    for (uint32_t i = 0; !status && i < s->sequences; i++) status = read_slot(d, at, i);
    s->counters.steps += cut_short ? furthest(d) - before : steps;
    if (seconds == 0.0) seconds = os_seconds() - start; // a device without timestamps
    // steps after a stop cost nothing
    if (!status && any_runs(s) && !cut_short) s->step_seconds = seconds / steps;
    return status;
}

// ------------------------------------------------------------------------------------------ all of it

// Starts the sequences that run, and stops those that the device would go on with after an earlier call.
static int admit(struct vkgpt_session *s, const vkgpt_sampling *sampling, vkgpt_error *err)
{
    inbox_begin(s, 0, NULL);
    for (uint32_t i = 0; i < s->sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        if (slot->live && !slot->runs) inbox_stop(s, 0, i, 0);
        if (!slot->runs) continue;
        const struct Sequence sequence = sequence_of(s, slot, &sampling[i]);
        inbox_admit(s, 0, i, slot->position, &sequence);
    }
    struct Recording *rec;
    int status = recordings_admit(s, &rec, err);
    return status ? status : recording_submit(rec, err);
}

// The first `taking` sequences take part. Their last tokens run in the first step, whether they are in the cache or
// not.
static int start(struct vkgpt_session *s, const vkgpt_sampling *sampling, uint32_t taking, size_t max_tokens,
                 vkgpt_error *err)
{
    int status = model_check_head(s->model, err);
    for (uint32_t i = 0; !status && i < taking; i++) status = check_sampling(&sampling[i], err);
    for (uint32_t i = 0; i < s->sequences; i++) slot_start(s, &s->slots[i], i < taking, max_tokens);
    if (status || !any_runs(s)) return status;
    for (uint32_t i = 0; i < taking; i++)
        if (s->slots[i].position) s->slots[i].cached = min_u32(s->slots[i].cached, s->slots[i].position - 1);
    status = prefill_sequences(s, false, err);
    return status ? status : admit(s, sampling, err);
}

// Steps until no sequence runs. Keeps two submissions queued, once the time of a step is known.
static int decode(struct Decode *d)
{
    struct vkgpt_session *s = d->s;
    int status = VKGPT_OK;
    while (!status && any_runs(s)) {
        status = session_check_cancel(s, d->err);
        uint32_t queue = s->steps_asked || s->step_seconds > 0.0 ? IN_FLIGHT : 1;
        while (!status && d->count < queue && tokens_wanted(d)) {
            struct Flying next;
            status = next_steps(d, &next);
            if (!status) status = recording_submit(next.rec, d->err);
            if (!status) note_submitted(d, &next);
        }
        if (!status) status = finish_oldest(d);
    }
    for (uint32_t i = 0; i < s->sequences; i++) s->slots[i].runs = false;
    while (d->count) {             // what was queued after a stop still runs
        if (status) d->err = NULL; // only the first failure is reported
        int drained = finish_oldest(d);
        if (!status) status = drained;
    }
    return status;
}

int vkgpt_batch_generate(vkgpt_session *s, const vkgpt_sampling *sampling, size_t max_tokens,
                         bool (*on_token)(void *user, uint32_t sequence, uint32_t id), void *user, vkgpt_stop *stops,
                         vkgpt_error *err)
{
    uint32_t started = 0;
    for (uint32_t i = 0; i < s->sequences; i++) started += s->slots[i].position != 0;
    if (!started) return fail(err, VKGPT_BAD_ARGUMENT, "nothing to go on from: every prompt is empty");
    struct Decode d = {.s = s, .on_token = on_token, .user = user, .err = err};
    int status = start(s, sampling, s->sequences, max_tokens, err);
    if (!status) status = decode(&d);
    for (uint32_t i = 0; !status && stops && i < s->sequences; i++) stops[i] = s->slots[i].stop;
    return status;
}

// The callback of a single stream, called by that of a batch.
struct Stream {
    bool (*on_token)(void *user, uint32_t id);
    void *user;
};

static bool pass_on(void *user, uint32_t sequence, uint32_t id)
{
    const struct Stream *stream = user;
    (void)sequence;
    return stream->on_token(stream->user, id);
}

int vkgpt_generate(vkgpt_session *s, const vkgpt_sampling *sampling, size_t max_tokens,
                   bool (*on_token)(void *user, uint32_t id), void *user, vkgpt_stop *stop, vkgpt_error *err)
{
    struct Stream stream = {on_token, user};
    vkgpt_sampling p = sampling ? *sampling : VKGPT_SAMPLING_DEFAULT;
    int status = check_sampling(&p, err);
    if (status) return status;
    if (!s->slots[0].position) return fail(err, VKGPT_BAD_ARGUMENT, "nothing to go on from: the prompt is empty");
    struct Decode d = {.s = s, .on_token = on_token ? pass_on : NULL, .user = &stream, .err = err};
    status = start(s, &p, 1, max_tokens, err);
    if (!status) status = decode(&d);
    if (!status && stop) *stop = s->slots[0].stop;
    return status;
}
