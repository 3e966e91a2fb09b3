// Prompts: tokens into the cache, in blocks of rows of any sequences, and the logits of every token.
#include <string.h>

#include "base/os.h"
#include "engine/session.h"

#define SUBMISSION_SECONDS 0.1 // of device time, about

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

// ---------------------------------------------------------------------------------------------- inbox

// It is written only, in order: it may lie in write-combined memory.
void inbox_write(struct vkgpt_session *s, const struct Group *groups, const struct Sequence *sequences)
{
    static const struct Group no_groups[MAX_GROUPS];
    static const struct Sequence stopped = {.stop = STOP_FULL};
    uint8_t *to = s->b.inbox.host;
    memcpy(to, groups ? groups : no_groups, sizeof no_groups);
    to += sizeof no_groups;
    for (uint32_t i = 0; i < s->sequences + SPARE_SEQUENCES; i++, to += sizeof stopped)
        memcpy(to, sequences && i < s->sequences ? &sequences[i] : &stopped, sizeof stopped);
    memcpy(to, s->ids, (size_t)s->sequences * (s->context + 1) * sizeof *s->ids);
}

int session_append(struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    int status = session_check_sequence(s, sequence, err);
    if (status) return status;
    struct Slot *slot = &s->slots[sequence];
    if (count > s->context || slot->position + count > s->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u tokens and %zu more: the context has room for %u", slot->position, count, s->context);
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= s->model->config.vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "token id %u: %s has ids below %u", ids[i], s->model->name, s->model->config.vocab);
    if (count) memcpy(slot->ids + slot->position, ids, count * sizeof *ids);
    slot->position += (uint32_t)count;
    return VKGPT_OK;
}

// ------------------------------------------------------------------------------------------- a block

void block_add(struct BlockRows *block, const struct vkgpt_session *s, uint32_t sequence, uint32_t end, uint32_t most)
{
    for (uint32_t at = s->slots[sequence].cached; at < end && block->count < most; at += GROUP_ROWS) {
        uint32_t rows = min_u32(end - at, GROUP_ROWS);
        block->groups[block->count++] = (struct Group){.sequence = sequence, .position = at, .rows = rows};
        block->rows += rows;
    }
}

int block_run(struct vkgpt_session *s, struct Recording *rec, const struct BlockRows *block, vkgpt_error *err)
{
    inbox_write(s, block->groups, NULL);
    double start = os_seconds();
    int status = recording_submit(rec, err);
    if (!status) status = recording_wait(rec, err);
    if (status) return status;
    for (uint32_t g = 0; g < block->count; g++) s->slots[block->groups[g].sequence].cached = block->groups[g].position + block->groups[g].rows;
    double seconds = recording_seconds(rec);
    s->counters.device_seconds += seconds;
    s->row_seconds = (seconds > 0.0 ? seconds : os_seconds() - start) / block->rows;
    s->counters.submissions++;
    s->counters.tokens_prefilled += block->rows;
    return VKGPT_OK;
}

static uint32_t groups_of(uint32_t rows) { return (rows + GROUP_ROWS - 1) / GROUP_ROWS; }

// The largest block that the rows fill and that stays near 100 ms of a GPU's time, by the last one's speed; the first one
// has 128 rows at most, and is cut into submissions by its FLOPs (bounds.c).
static uint32_t choose_block(const struct vkgpt_session *s, uint64_t rows)
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

static uint32_t goal_of(const struct Slot *slot, bool whole) { return whole || !slot->position ? slot->position : slot->position - 1; }

int session_prefill(struct vkgpt_session *s, bool whole, vkgpt_error *err)
{
    for (;;) {
        uint64_t rows = 0;
        for (uint32_t i = 0; i < s->sequences; i++) {
            uint32_t goal = goal_of(&s->slots[i], whole);
            if (goal > s->slots[i].cached) rows += groups_of(goal - s->slots[i].cached) * GROUP_ROWS;
        }
        if (!rows) return VKGPT_OK;
        uint32_t size = choose_block(s, rows);
        struct BlockRows block = {.count = 0};
        for (uint32_t i = 0; i < s->sequences; i++)
            block_add(&block, s, i, goal_of(&s->slots[i], whole), block_rows(size) / GROUP_ROWS);
        struct Recording *rec;
        int status = session_block(s, size, &rec, err);
        if (!status) status = block_run(s, rec, &block, err);
        if (status) return status;
    }
}

// ------------------------------------------------------------------------------------------- prompts

int vkgpt_batch_prompt(vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    return session_append(s, sequence, ids, count, err);
}

int vkgpt_batch_prefill(vkgpt_session *s, vkgpt_error *err) { return session_prefill(s, false, err); }

int vkgpt_prompt(vkgpt_session *s, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    int status = session_append(s, 0, ids, count, err);
    return status ? status : session_prefill(s, false, err);
}

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
    struct Slot *slot = &s->slots[0];
    uint32_t start = slot->position;
    struct Recording *rec;
    int status = session_check_head(s, err);
    if (!status) status = session_prefill(s, true, err); // a token may wait from an earlier call
    if (!status) status = session_append(s, 0, ids, count, err);
    if (!status && count) status = session_logits_block(s, &rec, err);
    while (!status && slot->cached < slot->position) {
        uint32_t first = slot->cached - start;
        struct BlockRows block = {.count = 0};
        block_add(&block, s, 0, min_u32(slot->position, slot->cached + s->logit_rows), MAX_GROUPS);
        status = block_run(s, rec, &block, err);
        if (status) break;
        const float *logits = pack_rows(s, block.rows);
        status = check_logits(s, logits, first, block.rows, err);
        if (!status && !on_rows(user, logits, first, block.rows)) status = fail(err, VKGPT_INTERRUPTED, "interrupted");
    }
    return status;
}
