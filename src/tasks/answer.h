// Whether a written answer is the right one. Both are compared in NFC, without the blanks around them and with one
// blank between words. Nothing else is changed: case, punctuation and script stay as they are.
#ifndef VKGPT_TASKS_ANSWER_H
#define VKGPT_TASKS_ANSWER_H

#include "tasks/buffer.h"
#include "vkgpt.h"

// Appends the words of `text` to `out`, with one blank between them.
int answer_normalize(const char *text, size_t bytes, struct Buffer *out, vkgpt_error *err);

// Both texts come from answer_normalize.
bool answer_exact(const struct Buffer *answer, const struct Buffer *right);
// The harmonic mean of precision and recall of the answer's words (Rajpurkar et al. 2016, SQuAD). A word counts as
// often as it occurs.
double answer_f1(const struct Buffer *answer, const struct Buffer *right);

#endif
