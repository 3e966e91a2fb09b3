// In-context learning, as the GPT-3 paper measures it: the items of a task run with K examples in the prompt, and the
// accuracy is found for each K (Brown et al. 2020, sections 2.1 and 2.4). Answers are written and compared, or chosen
// by their log likelihood.
#ifndef VKGPT_TASKS_FEW_SHOT_H
#define VKGPT_TASKS_FEW_SHOT_H

#include "tasks/curve.h"
#include "tasks/query.h"

// The result of one item.
struct FewShotResult {
    const struct Query *query;
    const struct Item *item;
    const char *answer; // as it was written or chosen; not NUL-terminated
    size_t bytes;
    bool right;
};

struct FewShot {
    vkgpt_session *session;
    size_t sequences;               // of the session: this many items run at once
    const struct QueryRules *rules; // they hold the items, and whether answers are chosen
    size_t limit;                   // items to run, at most as many as there are
    const char *stop;               // where a written answer ends
    const char *answer_context; // the context for the unconditional likelihood of an answer; NULL: few_shot_run decides
    // callbacks, each may be NULL
    bool (*goes_on)(void *user); // false ends the run after the points that are complete
    void (*on_result)(void *user, const struct FewShotResult *result);
    void (*on_point)(void *user, const struct Point *point); // a point is complete
    void *user;
};

// The string at which a written answer ends: a line break; if an answer of these items has several lines, the
// separator, or an empty line if the separator is NULL or "".
const char *few_shot_stop(const struct Items *items, const char *separator);
// Room for a written answer, in tokens: twice the length of the longest answer, plus 8.
int few_shot_answer_tokens(const struct Items *items, const struct PairRules *tokens, size_t *count, vkgpt_error *err);

// Fills the points of the curve. The caller has set `chosen` and the shots of each point. `*interrupted`: goes_on was
// false before the end, and the curve has only the points that are complete.
int few_shot_run(const struct FewShot *few_shot, struct Curve *curve, bool *interrupted, vkgpt_error *err);

#endif
