// Whether a written answer is the right one. Both are compared in NFC, with the blanks around them dropped and those
// between words made one; nothing else is: case, punctuation and script are as they are.
#ifndef VKGPT_TASKS_ANSWER_H
#define VKGPT_TASKS_ANSWER_H

#include "tasks/buffer.h"
#include "vkgpt.h"

// Appends the words of `text` to `out`, with one blank between them.
int answer_normalize(const char *text, size_t bytes, struct Buffer *out, vkgpt_error *err);

// Of texts that answer_normalize made.
bool answer_exact(const struct Buffer *answer, const struct Buffer *right);
// The harmonic mean of precision and recall of the answer's words, each counted as often as it stands there
// (Rajpurkar et al. 2016, SQuAD).
double answer_f1(const struct Buffer *answer, const struct Buffer *right);

#endif
