// Decode: steps of all sequences that have joined, several per submission, while the host reads the ring.
#include "engine/decoding.h"

#include <string.h>

#include "base/minimum.h"
#include "engine/flights.h"
#include "engine/inbox.h"
#include "engine/persistent.h"
#include "engine/prefill.h"
#include "engine/recordings.h"
#include "engine/reports.h"
#include "engine/sequences.h"

#define SUBMISSION_SECONDS 0.1 // of device time, about

// ------------------------------------------------------------------------------------------ micro-batches

// The sequences of a micro-batch; on one device there is one, of all.
static struct Range part_of(const struct vkgpt_session *s, uint32_t part)
{
    const uint32_t first = part * s->sequences / s->micro_batches, end = (part + 1) * s->sequences / s->micro_batches;
    return (struct Range){first, end - first, s->step_rows};
}

uint32_t decoding_company(const struct vkgpt_session *s, uint32_t sequence)
{
    uint32_t part = 0, running = 0;
    while (part_of(s, part).first + part_of(s, part).sequences <= sequence) part++;
    const struct Range range = part_of(s, part);
    for (uint32_t i = range.first; i < range.first + range.sequences; i++) running += s->slots[i].started;
    return running;
}

// ----------------------------------------------------------------------------------------- those who join

static struct Sequence sequence_of(const struct vkgpt_session *s, const struct Slot *slot)
{
    const struct Config *c = &s->model->config;
    const vkgpt_sampling *p = &slot->sampling;
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
        .presence = slot->presence,
        .frequency = slot->frequency,
        .biases = slot->biases,
        .reports = slot->reports,
    };
    memcpy(sequence.eos, c->eos, c->eos_count * sizeof c->eos[0]);
    return sequence;
}

// Whether the next steps run a slot: its prompt is in the cache, or submitted.
static bool takes_part(const struct Slot *slot)
{
    return slot->runs && slot->sent >= slot->goal && slot->end > slot->position;
}

// Lets all slots of a part join that can, and stops on the device those that have left but still run there. Returns how
// many changed.
static uint32_t admit(struct vkgpt_session *s, struct Range part, uint32_t turn)
{
    inbox_begin(s, turn, NULL);
    for (uint32_t i = part.first; i < part.first + part.sequences; i++) {
        struct Slot *slot = &s->slots[i];
        if (slot->joined) continue;
        if (takes_part(slot)) {
            const struct Sequence sequence = sequence_of(s, slot);
            inbox_admit(s, turn, i, slot->position, &sequence);
            slot->joined = s->flights.last + 1;
            slot->steps = 0;
            slot->due = slot->position;
            slot->prefilled = min_u32(slot->prefilled, slot->position - 1); // the first step reads the last token
        } else if (slot->live) {
            inbox_stop(s, turn, i, 0);
        }
    }
    return s->inbox[turn].admissions;
}

// The stages before this one get the token that each sequence reads next; its state changes on the last stage alone.
static void follow(struct vkgpt_session *s, struct Range part)
{
    const struct Sequence stopped = {.stop = STOP_FULL};
    for (uint32_t i = part.first; i < part.first + part.sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        if (slot->joined == s->flights.last + 1) continue; // admit has told them
        const struct Sequence runs = slot->joined ? sequence_of(s, slot) : stopped;
        if (slot->joined || slot->followed) inbox_follow(s, i, slot->joined ? slot->position : 0, &runs);
    }
}

// ------------------------------------------------------------------------------------------ submissions

// The most tokens that a slot of a part still needs after the steps in flight, if no draft is taken.
static uint32_t tokens_wanted(const struct vkgpt_session *s, struct Range part)
{
    uint32_t most = 0;
    for (uint32_t i = part.first; i < part.first + part.sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        uint32_t made = slot->position + (slot->joined ? slot->steps : 0);
        if (takes_part(slot) && slot->end > made) most = max_u32(most, slot->end - made);
    }
    return most;
}

// The part that the next steps are for: of those that want tokens, the one whose turn it is. With stages before this
// one, the first of them needs the tokens of steps in flight. s->micro_batches: none.
static uint32_t next_part(const struct vkgpt_session *s)
{
    for (uint32_t i = 1; i <= s->micro_batches; i++) {
        uint32_t part = (s->last_part + i) % s->micro_batches;
        if (tokens_wanted(s, part_of(s, part)) && !(s->upstream && flights_have_steps(s, part))) return part;
    }
    return s->micro_batches;
}

bool decoding_wanted(const struct vkgpt_session *s) { return next_part(s) < s->micro_batches; }

// The sequences of the next steps of a part: those up to the last one that takes part, as a power of two, or all.
static struct Range next_range(const struct vkgpt_session *s, struct Range part)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i < part.sequences; i++)
        if (takes_part(&s->slots[part.first + i])) count = i + 1;
    part.sequences = min_u32(1u << range_size(count), part.sequences);
    return part;
}

// Seconds of a step; 0: no step of such a range was measured.
static double *seconds_of(struct vkgpt_session *s, struct Range range)
{
    return &s->step_seconds[range_size(range.sequences)];
}

bool decoding_has_room(struct vkgpt_session *s)
{
    if (s->upstream) return s->flights.count < s->in_flight;
    double seconds = *seconds_of(s, next_range(s, part_of(s, 0)));
    return s->flights.count < (s->steps_asked || seconds > 0.0 ? IN_FLIGHT : 1);
}

// The furthest position that a slot of a part has reached after the steps in flight, if every draft is taken.
static uint32_t furthest(const struct vkgpt_session *s, struct Range part)
{
    uint32_t most = 1;
    for (uint32_t i = part.first; i < part.first + part.sequences; i++) {
        const struct Slot *slot = &s->slots[i];
        if (slot->runs && slot->joined) most = max_u32(most, slot->position + slot->steps * s->step_rows);
    }
    return most;
}

// Steps of the next submission, as a power of two: one until a step has been timed, and while a prompt waits.
static uint32_t choose_steps(const struct vkgpt_session *s, struct Range part, double seconds)
{
    uint32_t most = s->steps_asked ? s->steps_asked : 1, size = 0;
    if (!s->steps_asked && seconds > 0.0) {
        double fit = SUBMISSION_SECONDS / seconds;
        most = fit >= MAX_STEPS ? MAX_STEPS : fit < 1.0 ? 1 : (uint32_t)fit;
    }
    if (prefill_rows_left(s) || s->upstream) most = 1;
    most = min_u32(most, tokens_wanted(s, part));
    while (size + 1 < STEP_SIZES && 2u << size <= most) size++;
    return size;
}

static int end_steps(struct vkgpt_session *s, const struct Flight *flight, double seconds, vkgpt_error *err);

int decoding_next(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err)
{
    uint32_t turn = flight_turn(s, next);
    const struct Range part = part_of(s, next->part = s->last_part = next_part(s));
    int status = VKGPT_OK;
    if (admit(s, part, turn)) status = recordings_admit(s, turn, &next->joins, err);
    if (!status && next->joins && !s->upstream) status = recording_submit(next->joins, err);
    if (status) return status;
    if (s->upstream) follow(s, part);
    struct StepsAsk ask = {.range = next_range(s, part), .turn = turn};
    ask.step_size = choose_steps(s, part, *seconds_of(s, ask.range));
    uint32_t steps = 1u << ask.step_size;
    // up to the last row of the last step if every draft is taken: the first row of the first step is at position - 1
    uint32_t splits = min_u32((furthest(s, part) - 2 + steps * s->step_rows) / s->decode->span + 1, s->splits);
    while (1u << ask.split_size < splits) ask.split_size++;
    next->kind = FLIGHT_STEPS, next->split_size = ask.split_size;
    next->steps = steps;
    next->range = ask.range;
    next->whole = recordings_as_one(s, &ask);
    next->end = end_steps;
    status = recordings_decode(s, &ask, &next->rec, err);
    if (status) return status;
    for (uint32_t i = part.first; i < part.first + part.sequences; i++)
        if (s->slots[i].joined) s->slots[i].steps += steps;
    s->counters.tokens_per_submission = steps;
    s->counters.dispatches_per_token = (next->rec->dispatches + steps - 1) / steps;
    return VKGPT_OK;
}

// -------------------------------------------------------------------------------------------- the ring

// Where the tokens end that the submissions so far made for a slot, including a stop. The ring may already hold tokens
// of the next submission, which has run in the meantime: they are read when that one is finished. A step gives one
// token; with drafts, the state that the submission left says how many.
static uint32_t made_by(const struct vkgpt_session *s, const struct Flight *flight, uint32_t sequence)
{
    if (s->step_rows == 1) return s->slots[sequence].due;
    const struct Sequence *left = (const struct Sequence *)s->b.progress.host;
    left += flight_turn(s, flight) * s->sequences + sequence;
    return left->position + 1 + (left->stop == STOP_EOS || left->stop == STOP_BAD_LOGITS);
}

static void keep_token(struct vkgpt_session *s, uint32_t sequence, uint32_t id)
{
    struct Slot *slot = &s->slots[sequence];
    slot->ids[slot->position++] = id;
    slot->cached = slot->position - 1;
    if (!s->upstream) slot->uploaded = slot->position; // sample has written it
    s->counters.tokens_decoded++;
    if (slot->position == slot->end) {
        slot->live = false; // the device has counted too
        slot_leave(s, slot, slot->stop);
    }
    report_token(s, sequence, id);
}

// Reads the tokens of a slot that have arrived since the last call.
static int read_slot(struct vkgpt_session *s, const struct Flight *flight, uint32_t sequence, vkgpt_error *err)
{
    struct Slot *slot = &s->slots[sequence];
    const volatile uint32_t *ring = (const volatile uint32_t *)s->b.ring.host + (size_t)sequence * (s->context + 1);
    uint32_t end = made_by(s, flight, sequence);
    while (slot->runs && slot->position < end) {
        uint32_t id = ring[slot->position];
        if (id == RING_EMPTY) break;
        if (!(id & RING_STOP)) {
            keep_token(s, sequence, id);
            continue;
        }
        bool bad = (id & ~RING_STOP) == STOP_BAD_LOGITS;
        slot->live = false;
        slot_leave(s, slot, bad ? VKGPT_STOP_BAD_LOGITS : VKGPT_STOP_EOS);
        if (!bad) continue;
        return fail(err, VKGPT_BAD_LOGITS, "%s: the logits after token %u hold a NaN or an infinity", s->model->name,
                    slot->position - 1);
    }
    return VKGPT_OK;
}

// Whether a slot of their part took part in steps and still runs.
static bool took_part(const struct Slot *slot, const struct Flight *flight)
{
    return slot->runs && slot->joined && slot->joined <= flight->number;
}

static bool any_took_part(const struct vkgpt_session *s, const struct Flight *flight)
{
    const struct Range part = part_of(s, flight->part);
    for (uint32_t i = part.first; i < part.first + part.sequences; i++)
        if (took_part(&s->slots[i], flight)) return true;
    return false;
}

static int end_steps(struct vkgpt_session *s, const struct Flight *flight, double seconds, vkgpt_error *err)
{
    bool cut_short = flight->whole && persistent_gave_up(s);
    if (!any_took_part(s, flight)) return VKGPT_OK;
    int status = VKGPT_OK;
    uint32_t most = 0; // tokens of a slot
    const struct Range part = part_of(s, flight->part);
    for (uint32_t i = part.first; i < part.first + part.sequences; i++) {
        struct Slot *slot = &s->slots[i];
        uint32_t position = slot->position;
        if (!took_part(slot, flight)) continue;
        slot->steps -= flight->steps;
        slot->due += flight->steps;
        int read = read_slot(s, flight, i, status ? NULL : err);
        if (!status) status = read;
        most = max_u32(most, slot->position - position);
    }
    s->counters.steps += cut_short ? most : flight->steps;
    // steps after a stop cost nothing
    if (any_took_part(s, flight) && !cut_short) *seconds_of(s, flight->range) = seconds / flight->steps;
    return status;
}
