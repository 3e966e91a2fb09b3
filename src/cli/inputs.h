// Several inputs: one, or a text from each line of a file (--prompts).
#ifndef VKGPT_CLI_INPUTS_H
#define VKGPT_CLI_INPUTS_H

#include "cli/input.h"

struct Inputs {
    struct Input *list;
    size_t count;
    char (*names)[64]; // of the lines, for sentences
};

// Reads the lines of options->prompts; with -e their escapes are replaced. A newline ends a line, and so does the end
// of the file; an empty line is an empty text. Errors (VKGPT_BAD_FILE): the file cannot be read, or has no line.
int inputs_read(struct Inputs *inputs, const struct Options *options, vkgpt_error *err);
// Reads one input as input_read does, stdin included. Returns 0, or the exit status after it has printed the sentence.
int inputs_read_one(struct Inputs *inputs, const struct Options *options);
void inputs_free(struct Inputs *inputs);

#endif
