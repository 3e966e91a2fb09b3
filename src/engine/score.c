// The log likelihood of continuations, as many at once as the session has sequences. Of neighbours with the same
// context only the first runs it, and the others get a copy of its cache. Tokens that are still in the cache of a
// sequence, from the text that it had before, are not run again.
#include <stdlib.h>
#include <string.h>

#include "engine/prefill.h"
#include "engine/sequences.h"

static int check(const struct vkgpt_session *s, const vkgpt_continuation *c, size_t at, vkgpt_error *err)
{
    uint32_t vocab = s->model->config.vocab;
    if (!c->context || c->context >= c->count)
        return fail(err, VKGPT_BAD_ARGUMENT, "continuation %zu: %zu of its %zu tokens are context, 1 to %zu can be", at,
                    c->context, c->count, c->count ? c->count - 1 : 0);
    if (c->count - 1 > s->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "continuation %zu: %zu tokens with its context, %u at most fit", at,
                    c->count, s->context + 1);
    for (size_t i = 0; i < c->count; i++)
        if (c->ids[i] >= vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "continuation %zu: token id %u: %s has ids below %u", at, c->ids[i],
                        s->model->name, vocab);
    return VKGPT_OK;
}

// Continuations that are scored at once, each in the sequence of its number.
struct Window {
    struct vkgpt_session *s;
    const vkgpt_continuation *c;
    vkgpt_scored *scored;
    uint32_t count;
    struct Copy *copies; // (sequences)
    vkgpt_error *err;
};

static bool same_context(const vkgpt_continuation *a, const vkgpt_continuation *b)
{
    return a->context == b->context && !memcmp(a->ids, b->ids, a->context * sizeof *a->ids);
}

// Gives the slot the context without its last token, whose logits predict the first token that is scored.
static void take_context(struct Slot *slot, const vkgpt_continuation *c)
{
    uint32_t most = (uint32_t)c->context - 1, kept = 0;
    if (most > slot->cached) most = slot->cached;
    while (kept < most && slot->ids[kept] == c->ids[kept]) kept++;
    memcpy(slot->ids, c->ids, c->count * sizeof *c->ids);
    slot->position = (uint32_t)c->context - 1;
    slot->cached = kept;
    if (slot->uploaded > kept) slot->uploaded = kept;
    if (slot->prefilled > kept) slot->prefilled = kept;
}

static int read_contexts(const struct Window *w)
{
    struct vkgpt_session *s = w->s;
    uint32_t copies = 0, first = 0; // first: of the neighbours with the same context
    for (uint32_t i = 0; i < s->sequences; i++) {
        if (i && i < w->count && same_context(&w->c[i], &w->c[first])) {
            slot_rewind(&s->slots[i], 0);
            w->copies[copies++] = (struct Copy){first, i};
        } else if (i < w->count) {
            first = i;
            take_context(&s->slots[i], &w->c[i]);
        } else {
            slot_rewind(&s->slots[i], s->slots[i].cached);
        }
    }
    int status = prefill_sequences(s, true, w->err);
    return status ? status : sequences_copy(s, w->copies, copies, w->err);
}

static int add_score(const struct Window *w, const struct Group *group, const struct RowScore *rows)
{
    const vkgpt_continuation *c = &w->c[group->sequence];
    vkgpt_scored *scored = &w->scored[group->sequence];
    for (uint32_t r = 0; r < group->rows; r++) {
        if (rows[r].likeliest == SCORE_BAD)
            return fail(w->err, VKGPT_BAD_LOGITS, "%s: the logits after token %u hold a NaN or an infinity",
                        w->s->model->name, group->position + r);
        scored->logprob += (double)rows[r].logprob;
        scored->greedy = scored->greedy && rows[r].likeliest == c->ids[group->position + r + 1];
    }
    return VKGPT_OK;
}

// Runs the rows from the last of each context to the last but one of its continuation.
static int read_continuations(const struct Window *w)
{
    struct vkgpt_session *s = w->s;
    for (uint32_t i = 0; i < w->count; i++) {
        memcpy(s->slots[i].ids, w->c[i].ids, w->c[i].count * sizeof *w->c[i].ids);
        s->slots[i].position = (uint32_t)w->c[i].count - 1;
        w->scored[i] = (vkgpt_scored){0.0, true};
    }
    int status = VKGPT_OK;
    while (!status) {
        struct BlockRows block = {.reads_next = true};
        for (uint32_t i = 0; i < w->count; i++)
            prefill_add(&block, i, s->slots[i].cached, s->slots[i].position, s->logit_rows / GROUP_ROWS);
        if (!block.count) break;
        status = prefill_run(s, BLOCK_SCORES, &block, w->err);
        const struct RowScore *rows = (const struct RowScore *)s->b.scores.host;
        for (uint32_t g = 0; !status && g < block.count; g++)
            status = add_score(w, &block.groups[g], rows + g * GROUP_ROWS);
    }
    return status;
}

static int score_all(struct vkgpt_session *s, const vkgpt_continuation *c, size_t count, struct Copy *copies,
                     vkgpt_scored *scored, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (size_t i = 0; !status && i < count; i += s->sequences) {
        struct Window w = {s,      c + i, scored + i, count - i < s->sequences ? (uint32_t)(count - i) : s->sequences,
                           copies, err};
        status = read_contexts(&w);
        if (!status) status = read_continuations(&w);
    }
    return status;
}

int vkgpt_score(vkgpt_session *s, const vkgpt_continuation *c, size_t count, vkgpt_scored *scored, vkgpt_error *err)
{
    int status = model_check_head(s->model, err);
    if (!status) status = session_settle(s, err);
    if (status) return status;
    for (size_t i = 0; !status && i < count; i++) status = check(s, &c[i], i, err);
    struct Copy *copies = device_alloc(s->device, s->sequences, sizeof *copies);
    if (!copies) status = fail_memory(err, "the copies of sequences", s->sequences * sizeof *copies);
    for (uint32_t i = 0; i < s->sequences; i++) slot_rewind(&s->slots[i], 0);
    if (!status) status = score_all(s, c, count, copies, scored, err);
    free(copies);
    for (uint32_t i = 0; i < s->sequences; i++) slot_rewind(&s->slots[i], 0);
    return status;
}
