// Prompts: runs tokens into the cache, in blocks of rows of any sequences, and gives the logits of every token.
#include "engine/prefill.h"

#include <string.h>

#include "base/minimum.h"
#include "engine/bounds.h"
#include "engine/buffers.h"
#include "engine/flights.h"
#include "engine/inbox.h"
#include "engine/logits.h"
#include "engine/recordings.h"
#include "engine/reports.h"
#include "engine/sequences.h"

// ------------------------------------------------------------------------------------------- a block

uint32_t prefill_add(struct BlockRows *block, uint32_t sequence, uint32_t from, uint32_t end, uint32_t most)
{
    while (from < end && block->count < most) {
        uint32_t rows = min_u32(end - from, GROUP_ROWS);
        block->groups[block->count++] = (struct Group){.sequence = sequence, .position = from, .rows = rows};
        block->rows += rows;
        from += rows;
    }
    return from;
}

// A sequence of a block takes no part in steps.
static void fill_inbox(struct vkgpt_session *s, uint32_t turn, const struct BlockRows *block)
{
    inbox_begin(s, turn, block->groups);
    for (uint32_t g = 0; g < block->count; g++) {
        const struct Group *group = &block->groups[g];
        if (g + 1 < block->count && group[1].sequence == group->sequence) continue;
        inbox_stop(s, turn, group->sequence, group->position + group->rows + block->reads_next);
    }
}

// A small block does not fill a device: its speed says nothing about that of a large one.
static void note_speed(struct vkgpt_session *s, uint32_t rows, double seconds)
{
    if (2 * rows < s->timed_rows) return;
    s->timed_rows = rows;
    s->row_seconds = seconds / rows;
}

static int end_block(struct vkgpt_session *s, const struct Flight *flight, double seconds, vkgpt_error *err)
{
    const struct BlockRows *block = &flight->block;
    const struct TokenReport *reports = (const struct TokenReport *)s->b.block_reports[flight_turn(s, flight)].host;
    int status = VKGPT_OK;
    s->counters.tokens_prefilled += block->rows;
    note_speed(s, block->rows, seconds);
    for (uint32_t g = 0; g < block->count; g++) {
        const struct Group *group = &block->groups[g];
        struct Slot *slot = &s->slots[group->sequence];
        if (slot->since > flight->number) continue; // it has other tokens by now
        slot->cached = group->position + group->rows;
        if (slot->prefilled >= group->position) slot->prefilled = slot->cached;
        if (!slot->given) continue;
        int told = report_group(s, group, reports + g * GROUP_ROWS, status ? NULL : err);
        if (!status) status = told;
    }
    return status;
}

// Whether the host wants a block to be submitted.
static int ask_host(struct vkgpt_session *s, vkgpt_error *err)
{
    if (s->on_block && !s->on_block(s->user)) return fail(err, VKGPT_INTERRUPTED, "interrupted");
    return session_check_cancel(s, err);
}

static int run_block(struct vkgpt_session *s, enum BlockKind kind, struct Recording *rec, const struct BlockRows *block,
                     vkgpt_error *err)
{
    struct Flight *next = flights_next(s);
    int status = ask_host(s, err);
    if (status) return status;
    next->kind = kind, next->rec = rec, next->block = *block, next->end = end_block;
    fill_inbox(s, flight_turn(s, next), block);
    status = flights_start(s, next, err);
    return status ? status : flights_end_oldest(s, err);
}

int prefill_run(struct vkgpt_session *s, enum BlockKind kind, const struct BlockRows *block, vkgpt_error *err)
{
    struct Recording *rec;
    int status = recordings_block(s, kind, flight_turn(s, flights_next(s)), &rec, err);
    return status ? status : run_block(s, kind, rec, block, err);
}

int prefill_run_recorded(struct vkgpt_session *s, struct Recording *rec, const struct BlockRows *block,
                         vkgpt_error *err)
{
    return run_block(s, BLOCK_LOGITS, rec, block, err);
}

// ----------------------------------------------------------------------------------------- blocks in flight

static uint32_t groups_of(uint32_t rows) { return (rows + GROUP_ROWS - 1) / GROUP_ROWS; }

static bool steps_wait(const struct vkgpt_session *s)
{
    for (uint32_t i = 0; i < s->sequences; i++)
        if (s->slots[i].joined) return true;
    return false;
}

// The smallest block that has room for all rows, or the largest that is short enough. Workgroups of rows that do not
// run end at once, so a block with spare rows costs no more than their launch.
static uint32_t choose_block(const struct vkgpt_session *s, uint64_t rows)
{
    uint32_t size = 0;
    bool wait = steps_wait(s);
    while (size + 1 < BLOCK_SIZES && buffers_block_rows(s, size) < rows &&
           buffers_block_rows(s, size) < s->block_rows) {
        uint32_t next = min_u32(rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX, buffers_block_rows(s, size + 1));
        if (!bounds_block_is_short(s, next) || (wait && !bounds_block_lets_steps(s, next))) break;
        size++;
    }
    return size;
}

void prefill_want(struct Slot *slot, uint32_t goal)
{
    slot->sent = slot->cached;
    slot->goal = goal;
}

static uint32_t left_of(const struct Slot *slot)
{
    return slot->goal > slot->sent && !slot->leader ? slot->goal - slot->sent : 0;
}

// The same until another sequence has what it waits for.
static uint32_t left_until_wanted(const struct Slot *slot)
{
    return left_of(slot) && slot->wanted > slot->sent ? slot->wanted - slot->sent : left_of(slot);
}

// Of the prompts whose tokens are reported, or of the others: they do not share a block.
static uint64_t rows_left(const struct vkgpt_session *s, bool given)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < s->sequences; i++)
        if (s->slots[i].given == given) rows += groups_of(left_of(&s->slots[i])) * GROUP_ROWS;
    return rows;
}

uint64_t prefill_rows_left(const struct vkgpt_session *s) { return rows_left(s, true) + rows_left(s, false); }

bool prefill_has_room(const struct vkgpt_session *s)
{
    return s->flights.count < (s->row_seconds > 0.0 ? s->blocks_queued : 1);
}

// The sequence that has the fewest rows left, so that a short prompt does not wait for a long one: of those like
// `first`, or of all.
static bool shortest(const struct vkgpt_session *s, const struct Slot *first, uint32_t *sequence)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < s->sequences; i++) {
        uint32_t left = left_until_wanted(&s->slots[i]);
        if (first && s->slots[i].given != first->given) continue;
        if (left && left < least) least = left, *sequence = i;
    }
    return least != UINT32_MAX;
}

// The recording of the next block, and how many groups go into it.
static int choose_recording(struct vkgpt_session *s, bool given, struct Flight *next, uint32_t *most, vkgpt_error *err)
{
    uint32_t size = choose_block(s, rows_left(s, given));
    *most = buffers_block_rows(s, size) / GROUP_ROWS;
    if (given) *most = min_u32(*most, s->logit_rows / GROUP_ROWS);
    next->kind = given ? BLOCK_REPORTS : size;
    return recordings_block(s, next->kind, flight_turn(s, next), &next->rec, err);
}

int prefill_next(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err)
{
    uint32_t turn = flight_turn(s, next), sequence = 0, most = 0;
    shortest(s, NULL, &sequence);
    const struct Slot *first = &s->slots[sequence];
    int status = ask_host(s, err);
    if (!status) status = choose_recording(s, first->given, next, &most, err);
    if (status) return status;
    next->block = (struct BlockRows){.reads_next = first->given};
    next->end = end_block;
    while (next->block.count < most && shortest(s, first, &sequence)) {
        struct Slot *slot = &s->slots[sequence];
        slot->sent = prefill_add(&next->block, sequence, slot->sent, slot->goal, most);
    }
    fill_inbox(s, turn, &next->block);
    return VKGPT_OK;
}

static int run_blocks(struct vkgpt_session *s, vkgpt_error *err)
{
    int status = VKGPT_OK;
    while (!status && prefill_rows_left(s)) {
        if (prefill_has_room(s)) {
            struct Flight *next = flights_next(s);
            status = prefill_next(s, next, err);
            if (!status) status = flights_start(s, next, err);
        } else status = flights_end_oldest(s, err);
    }
    int drained = flights_drain(s, status ? NULL : err); // those that were submitted before a failure have run
    return status ? status : drained;
}

int prefill_sequences(struct vkgpt_session *s, bool whole, vkgpt_error *err)
{
    int status = session_settle(s, err);
    if (status) return status;
    for (uint32_t i = 0; i < s->sequences; i++) {
        struct Slot *slot = &s->slots[i];
        prefill_want(slot, whole || !slot->position ? slot->position : slot->position - 1);
    }
    status = run_blocks(s, err);
    for (uint32_t i = 0; i < s->sequences; i++) prefill_want(&s->slots[i], 0);
    return status;
}

// ------------------------------------------------------------------------------------------- prompts

int vkgpt_batch_prompt(vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    return sequence_append(s, sequence, ids, count, s->context, err);
}

int vkgpt_batch_prefill(vkgpt_session *s, vkgpt_error *err) { return prefill_sequences(s, false, err); }

int vkgpt_prompt(vkgpt_session *s, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    int status = sequence_append(s, 0, ids, count, s->context, err);
    return status ? status : prefill_sequences(s, false, err);
}

int vkgpt_batch_copy(vkgpt_session *s, uint32_t from, const uint32_t *to, size_t count, vkgpt_error *err)
{
    int status = sequence_check(s, from, err);
    for (size_t i = 0; !status && i < count; i++) status = sequence_check(s, to[i], err);
    if (!status) status = prefill_sequences(s, false, err);
    for (size_t i = 0; !status && i < count; i++) status = sequences_copy(s, &(struct Copy){from, to[i]}, 1, err);
    return status;
}

// --------------------------------------------------------------------------------------------- logits

static int check_logits(const struct vkgpt_session *s, const float *logits, uint32_t first, uint32_t rows,
                        vkgpt_error *err)
{
    size_t vocab = s->model->config.vocab, count = rows * vocab, bad = first_not_finite(logits, count);
    return bad == count ? VKGPT_OK
                        : fail(err, VKGPT_BAD_LOGITS, "%s: the logits of token %u hold %g for id %u", s->model->name,
                               first + (uint32_t)(bad / vocab), (double)logits[bad], (uint32_t)(bad % vocab));
}

// Removes the padding that rows have on the device.
static float *pack_rows(struct vkgpt_session *s, uint32_t rows)
{
    float *logits = (float *)s->b.readback.host;
    uint32_t vocab = s->model->config.vocab, stride = s->model->vocab;
    for (uint32_t r = 1; r < rows && stride != vocab; r++)
        memmove(logits + (size_t)r * vocab, logits + (size_t)r * stride, (size_t)vocab * 4);
    return logits;
}

int prefill_logits(struct vkgpt_session *s, uint32_t end,
                   bool (*on_rows)(void *user, const float *logits, uint32_t position, uint32_t rows), void *user,
                   vkgpt_error *err)
{
    struct Slot *slot = &s->slots[0];
    int status = VKGPT_OK;
    while (!status && slot->cached < end) {
        uint32_t first = slot->cached;
        struct BlockRows block = {.count = 0};
        prefill_add(&block, 0, first, min_u32(end, first + s->logit_rows), MAX_GROUPS);
        status = prefill_run(s, BLOCK_LOGITS, &block, err);
        if (status) break;
        const float *logits = pack_rows(s, block.rows);
        status = check_logits(s, logits, first, block.rows, err);
        if (!status && !on_rows(user, logits, first, block.rows)) status = fail(err, VKGPT_INTERRUPTED, "interrupted");
    }
    return status;
}

// The callback of vkgpt_logits, which counts from the first token of its call.
struct Rows {
    bool (*on_rows)(void *user, const float *logits, size_t first, size_t rows);
    void *user;
    uint32_t start;
};

static bool pass_rows(void *user, const float *logits, uint32_t position, uint32_t rows)
{
    const struct Rows *r = user;
    return r->on_rows(r->user, logits, position - r->start, rows);
}

int vkgpt_logits(vkgpt_session *s, const uint32_t *ids, size_t count,
                 bool (*on_rows)(void *user, const float *logits, size_t first, size_t rows), void *user,
                 vkgpt_error *err)
{
    struct Rows rows = {on_rows, user, s->slots[0].position};
    int status = model_check_head(s->model, err);
    if (!status) status = prefill_sequences(s, true, err); // a token may wait from an earlier call
    if (!status) status = sequence_append(s, 0, ids, count, s->context, err);
    return status ? status : prefill_logits(s, s->slots[0].position, pass_rows, &rows, err);
}
