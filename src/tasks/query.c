#include "tasks/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tasks/encode.h"

static const struct Item *item_of(const struct QueryRules *rules, size_t item)
{
    return &rules->shots->items->items[item];
}

static int encode_written(const struct QueryRules *rules, struct Query *query, vkgpt_error *err)
{
    const struct PairRules *tokens = &rules->tokens;
    int code = encode_open(tokens->tokenizer, &query->contexts[0], tokens->special, &query->ids, &query->count, err);
    if (code || query->count) return code;
    free(query->ids);
    query->ids = allocate(sizeof *query->ids);
    query->count = 1;
    if (encode_first_token(tokens->model, query->ids)) return 0;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s:%zu: the prompt is empty, and %s has no bos or eos token to begin with",
                rules->shots->items->path, item_of(rules, query->item)->line, tokens->model->name);
}

static int encode_chosen(const struct QueryRules *rules, struct Query *query, vkgpt_error *err)
{
    const struct Item *item = item_of(rules, query->item);
    int code = 0;
    query->pairs = allocate(item->choice_count * sizeof *query->pairs);
    for (; !code && query->pair_count < item->choice_count; query->pair_count++) {
        size_t i = query->pair_count;
        char what[512];
        snprintf(what, sizeof what, "%.400s:%zu: answer %zu", rules->shots->items->path, item->line, i + 1);
        struct Buffer text = {.data = item->choices[i].text, .bytes = strlen(item->choices[i].text)};
        code = pair_encode(&rules->tokens, &query->contexts[query->context_count > 1 ? i : 0], &text, what,
                           &query->pairs[i], err);
        if (query->pairs[i].count > query->count) query->count = query->pairs[i].count;
    }
    return code;
}

static int encode(const struct QueryRules *rules, size_t item, size_t shots, struct Query *query, vkgpt_error *err)
{
    const struct Item *of = item_of(rules, item);
    bool own = rules->chosen && of->choices[0].context;
    *query = (struct Query){.item = item, .shots = shots, .context_count = own ? of->choice_count : 1};
    query->contexts = allocate(query->context_count * sizeof *query->contexts);
    for (size_t i = 0; i < query->context_count; i++) {
        query->contexts[i] = (struct Buffer){0};
        shots_prompt(rules->shots, item, shots, own ? i : of->gold, &query->contexts[i]);
    }
    return rules->chosen ? encode_chosen(rules, query, err) : encode_written(rules, query, err);
}

// The last token is predicted, but never fed to the model, so it needs no position.
static bool fits(const struct QueryRules *rules, const struct Query *query)
{
    size_t answer = rules->chosen ? 0 : rules->answer_tokens;
    return query->count + answer <= rules->positions + 1;
}

static int refuse_long(const struct QueryRules *rules, const struct Query *query, vkgpt_error *err)
{
    const char *path = rules->shots->items->path;
    size_t line = item_of(rules, query->item)->line;
    if (rules->chosen)
        return fail(err, VKGPT_BAD_ARGUMENT,
                    "%s:%zu: is %zu tokens with its answer and without any example, %zu at most fit", path, line,
                    query->count, rules->positions + 1);
    return fail(err, VKGPT_BAD_ARGUMENT,
                "%s:%zu: is %zu tokens without any example, and with %zu for the answer %zu at most fit", path, line,
                query->count, rules->answer_tokens, rules->positions + 1);
}

int query_make(const struct QueryRules *rules, size_t item, size_t shots, struct Query *query, vkgpt_error *err)
{
    *query = (struct Query){0};
    size_t there = shots_draw(rules->shots, item, shots);
    if (there < shots)
        return fail(
            err, VKGPT_BAD_FILE,
            "%s: has %zu examples for the item of line %zu of %s, whose own context is none, %zu shots need more",
            rules->shots->examples->path, there, item_of(rules, item)->line, rules->shots->items->path, shots);
    int code = encode(rules, item, shots, query, err);
    for (size_t left = shots; !code && !fits(rules, query); left--) {
        if (!left) return refuse_long(rules, query, err);
        query_free(query);
        code = encode(rules, item, left - 1, query, err);
        query->dropped = shots - (left - 1);
    }
    return code;
}

void query_free(struct Query *query)
{
    for (size_t i = 0; i < query->context_count; i++) buffer_free(&query->contexts[i]);
    for (size_t i = 0; i < query->pair_count; i++) pair_free(&query->pairs[i]);
    free(query->contexts);
    free(query->pairs);
    free(query->ids);
    *query = (struct Query){0};
}
