// What a command reads: text from -p, -f or stdin, or token ids from --ids or --ids-file; and the ids it becomes.
#ifndef VKGPT_CLI_INPUT_H
#define VKGPT_CLI_INPUT_H

#include "cli/cli.h"
#include "tasks/buffer.h"

struct Input {
    struct Buffer text; // bytes, or ids as they were written
    bool is_ids;
    const char *name; // what sentences call it: "--ids", or the file
    uint32_t *ids;    // after input_encode
    size_t count;
};

// Reads text or ids; with none given, stdin where `use_stdin` allows. Returns 0, or the exit status, with the
// sentence printed.
int input_read(struct Input *input, const struct Options *options, bool use_stdin);

// Text that goes on to ids, or the ids given, checked against the rows of the model; text with `vocab` 0 is not. `tok`
// may be NULL when the input is ids.
int input_encode(struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, bool special, vkgpt_error *err);
// Says on stderr what the tokenizer's files ask for and is not done. `tok` may be NULL.
void tokenizer_notes(const vkgpt_tokenizer *tok);
// An empty prompt becomes the model's bos, else its first eos; a model without either is an error.
int input_never_empty(struct Input *input, const vkgpt_model_info *model, vkgpt_error *err);

void input_free(struct Input *input);

#endif
