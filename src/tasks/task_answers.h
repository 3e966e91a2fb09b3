// A task whose answers are given: the one that the model finds likeliest in its place is chosen.
#ifndef VKGPT_TASKS_TASK_ANSWERS_H
#define VKGPT_TASKS_TASK_ANSWERS_H

#include "tasks/pair.h"
#include "tasks/task_file.h"

struct Answer {
    char *text;                 // NUL-terminated
    struct Buffer continuation; // with what stands in front of it and behind it
    struct Pair pair;
    double logprob, score; // score: normalized as the task says
};

struct Answers {
    struct Answer *list;
    size_t count, best;
    struct Buffer context;
};

// Cuts a prompt at the task's gap: the text in front of it stays, what stood behind goes to `behind`. Without a gap
// nothing changes. Errors: the gap stands nowhere in the prompt, or twice.
int task_cut_gap(const struct Task *task, struct Buffer *prompt, struct Buffer *behind, vkgpt_error *err);

// Reads the answers of the filled-in list; an empty list is none. Errors: an answer is empty.
int answers_read(struct Answers *answers, const struct Task *task, const struct Buffer *list,
                 const struct Buffer *context, const struct Buffer *behind, vkgpt_error *err);
// Encodes and scores them on a session of `positions`, and finds the best one. Errors: one does not fit into the
// context (with both numbers).
int answers_score(struct Answers *answers, const struct Task *task, vkgpt_session *session, size_t positions,
                  const struct PairRules *rules, enum Normalize normalize, vkgpt_error *err);
void answers_free(struct Answers *answers);

#endif
