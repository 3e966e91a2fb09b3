// What the parts of `vkgpt eval` share: the tasks, their items, and the score of each item. Names and definitions of
// the tasks are those of lm-evaluation-harness (Gao et al.).
#ifndef VKGPT_TASKS_EVAL_H
#define VKGPT_TASKS_EVAL_H

#include "tasks/buffer.h"
#include "tasks/fingerprint.h"
#include "tasks/pair.h"

enum EvalKind {
    EVAL_LAST_WORD, // one continuation: is it the likeliest one, token for token, and how likely is it
    EVAL_CHOICES,   // several continuations: is the right one the likeliest, and the likeliest for its length
    EVAL_PAGES,     // a text without context, scored in windows
};

// One answer of an item, with its context. A page is an item with one answer and no context.
struct EvalAnswer {
    struct Buffer context, text;
    size_t characters; // of the answer, without the space in front of it
};

struct EvalItem {
    struct EvalAnswer *answers;
    size_t count;
    size_t line;         // of the file
    size_t gold;         // the right answer
    size_t words, bytes; // of a page, as it is in the file
    // the result
    double *logprobs; // (count)
    bool greedy;      // the first answer is the likeliest continuation, token for token
    size_t cut;       // tokens at the beginning that did not fit into the context
    bool done;
};

struct EvalTask {
    const char *name;
    enum EvalKind kind;
    bool normalized; // acc_norm is one of its measures
    char *path;
    char hash[FINGERPRINT_BYTES];
    uint64_t bytes;
    struct EvalItem *items;
    size_t count, capacity;
};

// "lambada:FILE,hellaswag:FILE": opens and reads every file, the first `limit` items of each (0: all).
int eval_tasks_read(const char *list, size_t limit, struct EvalTask **tasks, size_t *count, vkgpt_error *err);
void eval_tasks_free(struct EvalTask *tasks, size_t count);

// Puts the item's file and line in front of a sentence, and returns its code.
int eval_at(const struct EvalTask *task, const struct EvalItem *item, vkgpt_error *err);

// What scores the items.
struct EvalScorer {
    vkgpt_session *session;
    struct PairRules rules;
    size_t room; // tokens that an answer may have with its context
};

// Scores the items [first, first + count) that are not done yet.
int eval_score(struct EvalTask *task, size_t first, size_t count, const struct EvalScorer *scorer, vkgpt_error *err);

// One measure of a task and its standard error (NaN: there is none).
struct EvalMetric {
    const char *name, *error_name;
    double value, error;
};
#define EVAL_MAX_METRICS 3
// Of the items that are done, at least one. Returns how many measures there are.
size_t eval_metrics(const struct EvalTask *task, struct EvalMetric metrics[EVAL_MAX_METRICS]);

#endif
