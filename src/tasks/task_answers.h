// A task with given answers: chooses the answer that is the likeliest in its place in the prompt.
#ifndef VKGPT_TASKS_TASK_ANSWERS_H
#define VKGPT_TASKS_TASK_ANSWERS_H

#include "tasks/pair.h"
#include "tasks/task_file.h"

struct Answer {
    char *text;                 // NUL-terminated
    struct Buffer continuation; // the answer with the space before it, or with the text after the gap
    struct Pair pair;
    double logprob, score; // score: normalized as the task says
};

struct Answers {
    struct Answer *list;
    size_t count, best;
    struct Buffer context;
};

// Cuts a prompt at the task's gap: the text before the gap stays, the text after it goes to `behind`. A task without a
// gap changes nothing. Errors: the prompt has no gap, or two.
int task_cut_gap(const struct Task *task, struct Buffer *prompt, struct Buffer *behind, vkgpt_error *err);

// Reads the answers from the filled-in list; an empty list has none. Errors: an answer is empty.
int answers_read(struct Answers *answers, const struct Task *task, const struct Buffer *list,
                 const struct Buffer *context, const struct Buffer *behind, vkgpt_error *err);
// Encodes and scores them on a session of `positions`, and finds the best one. Errors: an answer does not fit into the
// context (with both numbers).
int answers_score(struct Answers *answers, const struct Task *task, vkgpt_session *session, size_t positions,
                  const struct PairRules *rules, enum Normalize normalize, vkgpt_error *err);
void answers_free(struct Answers *answers);

#endif
