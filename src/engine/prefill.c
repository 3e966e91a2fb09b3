// Prompts: runs tokens into the cache, in blocks of rows of any sequences, and gives the logits of every token.
#include "engine/prefill.h"

#include <string.h>

#include "base/os.h"
#include "engine/bounds.h"
#include "engine/buffers.h"
#include "engine/inbox.h"
#include "engine/recordings.h"
#include "engine/sequences.h"

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

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

// A block that was submitted.
struct Flight {
    struct Recording *rec;
    struct BlockRows block;
    double start; // by the host's clock; set again when the block before it has ended
};

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

static int flight_start(struct vkgpt_session *s, struct Flight *f, uint32_t turn, vkgpt_error *err)
{
    if (s->on_block && !s->on_block(s->user)) return fail(err, VKGPT_INTERRUPTED, "interrupted");
    int status = session_check_cancel(s, err);
    if (status) return status;
    fill_inbox(s, turn, &f->block);
    f->start = os_seconds();
    status = recording_submit(f->rec, err);
    if (!status) s->counters.submissions++;
    return status;
}

// A small block does not fill a device: its speed says nothing about that of a large one.
static void note_speed(struct vkgpt_session *s, uint32_t rows, double seconds)
{
    if (2 * rows < s->timed_rows) return;
    s->timed_rows = rows;
    s->row_seconds = seconds / rows;
}

static int flight_end(struct vkgpt_session *s, const struct Flight *f, vkgpt_error *err)
{
    const struct BlockRows *block = &f->block;
    int status = recording_wait(f->rec, err);
    if (status) return status;
    for (uint32_t g = 0; g < block->count; g++)
        s->slots[block->groups[g].sequence].cached = block->groups[g].position + block->groups[g].rows;
    double seconds = recording_seconds(f->rec);
    s->counters.device_seconds += seconds;
    s->counters.tokens_prefilled += block->rows;
    note_speed(s, block->rows, seconds > 0.0 ? seconds : os_seconds() - f->start);
    return VKGPT_OK;
}

int prefill_run(struct vkgpt_session *s, struct Recording *rec, const struct BlockRows *block, vkgpt_error *err)
{
    struct Flight f = {.rec = rec, .block = *block};
    int status = flight_start(s, &f, 0, err);
    return status ? status : flight_end(s, &f, err);
}

// ----------------------------------------------------------------------------------------- blocks in flight

// Blocks in flight, the oldest first; each has an inbox of its own.
struct Flights {
    struct vkgpt_session *s;
    bool whole; // all tokens of the prompts; else all but the last
    struct Flight flying[IN_FLIGHT];
    uint32_t oldest, count;
    vkgpt_error *err;
};

static uint32_t groups_of(uint32_t rows) { return (rows + GROUP_ROWS - 1) / GROUP_ROWS; }

// The smallest block that has room for all rows, or the largest that is short enough. Workgroups of rows that do not
// run end at once, so a block with spare rows costs no more than their launch.
static uint32_t choose_block(const struct vkgpt_session *s, uint64_t rows)
{
    uint32_t size = 0;
    while (size + 1 < BLOCK_SIZES && buffers_block_rows(s, size) < rows &&
           buffers_block_rows(s, size) < s->block_rows) {
        uint32_t next = buffers_block_rows(s, size + 1);
        if (!bounds_block_is_short(s, rows < next ? (uint32_t)rows : next)) break;
        size++;
    }
    return size;
}

static uint32_t goal_of(const struct Slot *slot, bool whole)
{
    return whole || !slot->position ? slot->position : slot->position - 1;
}

// Rows that are still to be submitted, in whole groups.
static uint64_t rows_left(const struct Flights *f)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < f->s->sequences; i++) {
        const struct Slot *slot = &f->s->slots[i];
        uint32_t goal = goal_of(slot, f->whole);
        if (goal > slot->sent) rows += groups_of(goal - slot->sent) * GROUP_ROWS;
    }
    return rows;
}

static int submit_next(struct Flights *f, uint64_t rows)
{
    struct vkgpt_session *s = f->s;
    uint32_t size = choose_block(s, rows), turn = (f->oldest + f->count) % IN_FLIGHT,
             most = buffers_block_rows(s, size) / GROUP_ROWS;
    struct Flight *next = &f->flying[turn];
    *next = (struct Flight){0};
    for (uint32_t i = 0; i < s->sequences; i++)
        s->slots[i].sent = prefill_add(&next->block, i, s->slots[i].sent, goal_of(&s->slots[i], f->whole), most);
    int status = recordings_block(s, size, turn, &next->rec, f->err);
    if (!status) status = flight_start(s, next, turn, f->err);
    if (!status) f->count++;
    return status;
}

static int end_oldest(struct Flights *f)
{
    uint32_t at = f->oldest;
    f->count--;
    f->oldest = f->count ? (at + 1) % IN_FLIGHT : 0; // where blocks run one by one, one recording of a size is enough
    int status = flight_end(f->s, &f->flying[at], f->err);
    if (f->count) f->flying[f->oldest].start = os_seconds();
    return status;
}

int prefill_sequences(struct vkgpt_session *s, bool whole, vkgpt_error *err)
{
    struct Flights f = {.s = s, .whole = whole, .err = err};
    int status = VKGPT_OK;
    for (uint32_t i = 0; i < s->sequences; i++) s->slots[i].sent = s->slots[i].cached;
    for (uint64_t rows; !status && (rows = rows_left(&f));) {
        uint32_t queue = s->row_seconds > 0.0 ? s->blocks_queued : 1;
        status = f.count < queue ? submit_next(&f, rows) : end_oldest(&f);
    }
    while (f.count) { // those that were submitted before a failure have run
        if (status) f.err = NULL;
        int ended = end_oldest(&f);
        if (!status) status = ended;
    }
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
    uint32_t vocab = s->model->config.vocab;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < vocab; i++)
            if (!(logits[(size_t)r * vocab + i] - logits[(size_t)r * vocab + i] ==
                  0.0f)) // NaN, or an infinity, which minus itself is NaN
                return fail(err, VKGPT_BAD_LOGITS, "%s: the logits of token %u hold %g for id %u", s->model->name,
                            first + r, (double)logits[(size_t)r * vocab + i], i);
    return VKGPT_OK;
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
    struct Recording *rec;
    int status = slot->cached < end ? recordings_logits(s, &rec, err) : VKGPT_OK;
    while (!status && slot->cached < end) {
        uint32_t first = slot->cached;
        struct BlockRows block = {.count = 0};
        prefill_add(&block, 0, first, min_u32(end, first + s->logit_rows), MAX_GROUPS);
        status = prefill_run(s, rec, &block, err);
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
