// Encodes items and scores many of them in one call, so that the device has enough to do.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tasks/eval.h"

// The rows of one call of vkgpt_score, and the answer of each row.
struct Rows {
    vkgpt_continuation *rows;
    struct Sum {
        struct EvalItem *item;
        size_t answer;
    } * sums;
    size_t count, capacity;
    struct Pair *pairs; // what the rows point into
    size_t pair_count, pair_capacity;
    uint32_t room; // the most tokens of a row
};

static void add_row(struct Rows *r, const uint32_t *ids, size_t count, size_t context, struct EvalItem *item,
                    size_t answer)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity * 2 + 64;
        r->rows = reallocate(r->rows, r->capacity * sizeof *r->rows);
        r->sums = reallocate(r->sums, r->capacity * sizeof *r->sums);
    }
    r->rows[r->count] = (vkgpt_continuation){ids, count, context};
    r->sums[r->count++] = (struct Sum){item, answer};
}

static void keep_pair(struct Rows *r, struct Pair pair)
{
    if (r->pair_count == r->pair_capacity) {
        r->pair_capacity = r->pair_capacity * 2 + 64;
        r->pairs = reallocate(r->pairs, r->pair_capacity * sizeof *r->pairs);
    }
    r->pairs[r->pair_count++] = pair;
}

// Tokens that are cut are counted, and reported at the end.
static int add_answer(struct Rows *r, const struct EvalTask *task, struct EvalItem *item, size_t i, struct Pair *pair,
                      vkgpt_error *err)
{
    if (!pair_cut(pair, r->room))
        return fail(err, VKGPT_BAD_ARGUMENT,
                    "%s:%zu: answer %zu is %zu tokens, a context of %u has no room for a token in front of them",
                    task->path, item->line, i + 1, pair->count - pair->context, r->room - 1);
    if (pair->cut > item->cut) item->cut = pair->cut;
    add_row(r, pair->ids, pair->count, pair->context, item, i);
    return 0;
}

// Windows: each token of the page is predicted once. The first window begins with a token that marks the beginning.
// Every other window begins with as many earlier tokens as fit; a full window has room for one.
static void add_windows(struct Rows *r, struct EvalItem *item, const struct Pair *page)
{
    const uint32_t *ids = page->ids; // the first is that token
    for (size_t done = 1; done < page->count;) {
        size_t left = page->count - done, most = r->room - 1;
        size_t take = left < most ? left : most, end = done + take;
        size_t start = end > r->room ? end - r->room : 0;
        add_row(r, ids + start, end - start, done - start, item, 0);
        done = end;
    }
}

static int encode(struct Rows *r, const struct EvalTask *task, struct EvalItem *item, const struct PairRules *rules,
                  vkgpt_error *err)
{
    char what[64];
    int code = 0;
    item->cut = 0;
    for (size_t i = 0; !code && i < item->count; i++) {
        const struct EvalAnswer *answer = &item->answers[i];
        struct Pair pair = {0};
        snprintf(what, sizeof what, "answer %zu", i + 1);
        code = pair_encode(rules, &answer->context, &answer->text, what, &pair, err);
        keep_pair(r, pair);
        if (code) return eval_at(task, item, err);
        if (task->kind == EVAL_PAGES) add_windows(r, item, &pair);
        else code = add_answer(r, task, item, i, &pair, err);
    }
    return code;
}

static void take(const struct Rows *r, const vkgpt_scored *scored)
{
    for (size_t i = 0; i < r->count; i++) {
        struct EvalItem *item = r->sums[i].item;
        for (size_t a = 0; a < item->count; a++) item->logprobs[a] = 0;
        item->done = true;
    }
    for (size_t i = 0; i < r->count; i++) {
        struct EvalItem *item = r->sums[i].item;
        item->logprobs[r->sums[i].answer] += scored[i].logprob;
        if (r->sums[i].answer == 0) item->greedy = scored[i].greedy;
    }
}

int eval_score(struct EvalTask *task, size_t first, size_t count, const struct EvalScorer *scorer, vkgpt_error *err)
{
    struct Rows r = {.room = (uint32_t)scorer->room};
    int code = 0;
    for (size_t i = first; !code && i < first + count; i++)
        if (!task->items[i].done) code = encode(&r, task, &task->items[i], &scorer->rules, err);
    vkgpt_scored *scored = allocate(r.count * sizeof *scored);
    if (!code) code = vkgpt_score(scorer->session, r.rows, r.count, scored, err);
    if (!code) take(&r, scored);
    for (size_t i = 0; i < r.pair_count; i++) pair_free(&r.pairs[i]);
    free(r.pairs);
    free(r.rows);
    free(r.sums);
    free(scored);
    return code;
}
