// An item of a task as the tokens that the model gets: its prompt, with as many examples as fit.
#ifndef VKGPT_TASKS_QUERY_H
#define VKGPT_TASKS_QUERY_H

#include "tasks/pair.h"
#include "tasks/shots.h"

struct QueryRules {
    struct PairRules tokens;
    struct Shots *shots;
    bool chosen;          // between the items' choices; else the answer is written
    size_t positions;     // of the session
    size_t answer_tokens; // that a written answer may take
};

struct Query {
    size_t item;
    size_t shots, dropped;   // examples in the prompt, and those that did not fit
    struct Buffer *contexts; // the prompt; where each choice has its own, one for each
    size_t context_count;
    struct Pair *pairs; // one for each choice; a written answer has none
    size_t pair_count;
    uint32_t *ids; // the prompt of a written answer
    size_t count;  // tokens of the prompt, or of the longest pair
};

// Draws the examples of an item and encodes it. Examples that do not fit are left out whole, the last drawn first: the
// prompt is then that of fewer shots. Errors: the item alone does not fit, or there are not enough examples to draw.
int query_make(const struct QueryRules *rules, size_t item, size_t shots, struct Query *query, vkgpt_error *err);
void query_free(struct Query *query);

#endif
