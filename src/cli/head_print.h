// What the commands with a head print: labels or answers with their scores and probabilities, as a table with the best
// first, or as JSON in their own order.
#ifndef VKGPT_CLI_HEAD_PRINT_H
#define VKGPT_CLI_HEAD_PRINT_H

#include "cli/head_run.h"

struct Row {
    struct Text text; // the label or the answer
    double score;
    double probability; // NaN: there is only the score
    struct Tokens ids;  // of an answer's sequence
};

// Fills the probabilities from the scores.
void rows_softmax(struct Row *rows, size_t count);
size_t rows_best(const struct Row *rows, size_t count); // the first of the highest scores

// Prints the labels of the head with these scores, and in JSON also the sequences. Returns the exit status.
int print_labels(const struct HeadRun *h, const double *scores, const struct Tokens *sequences, size_t count,
                 bool as_json);
int print_answers(const struct Row *rows, size_t count, bool as_json);

#endif
