// Several inputs: one, or a text from each line of a file (--prompts).
#ifndef VKGPT_CLI_INPUTS_H
#define VKGPT_CLI_INPUTS_H

#include "cli/input.h"
#include "cli/run.h"

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
// Encodes all inputs for the run's model, an empty one as input_never_empty does, and checks that each fits the
// context. `encode` is input_encode, or input_encode_whole for texts that do not go on.
typedef int InputEncoder(struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, bool special,
                         vkgpt_error *err);
int inputs_encode(struct Inputs *inputs, InputEncoder *encode, const struct Run *run, const struct Options *options,
                  vkgpt_error *err);
void inputs_free(struct Inputs *inputs);

#endif
