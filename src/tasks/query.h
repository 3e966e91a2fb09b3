// An item of a task as the tokens for the model: its prompt, with as many examples as fit.
#ifndef VKGPT_TASKS_QUERY_H
#define VKGPT_TASKS_QUERY_H

#include "tasks/pair.h"
#include "tasks/shots.h"

struct QueryRules {
    struct PairRules tokens;
    struct Shots *shots;
    bool chosen;          // the answer is one of the item's choices; else it is written
    size_t positions;     // of the session
    size_t answer_tokens; // the most that a written answer may have
};

struct Query {
    size_t item;
    size_t shots, dropped;   // examples in the prompt, and examples that did not fit
    struct Buffer *contexts; // the prompt; one for each choice if each has its own
    size_t context_count;
    struct Pair *pairs; // one for each choice; none for a written answer
    size_t pair_count;
    uint32_t *ids; // the prompt of a written answer
    size_t count;  // tokens of the prompt, or of the longest pair
};

// Draws the examples of an item and encodes it. Examples that do not fit are left out as a whole, the last drawn first:
// the prompt is then that of fewer shots. Errors: the item alone does not fit, or there are too few examples to draw.
int query_make(const struct QueryRules *rules, size_t item, size_t shots, struct Query *query, vkgpt_error *err);
void query_free(struct Query *query);

#endif
