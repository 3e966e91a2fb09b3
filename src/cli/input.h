// The input of a command: text from -p, -f or stdin, or token ids from --ids or --ids-file; and its encoding to ids.
#ifndef VKGPT_CLI_INPUT_H
#define VKGPT_CLI_INPUT_H

#include "cli/cli.h"
#include "tasks/buffer.h"

struct Input {
    struct Buffer text; // bytes, or ids as they were written
    bool is_ids;
    const char *name; // for sentences: "--ids", or the file
    uint32_t *ids;    // after input_encode
    size_t count;
};

// Reads text or ids; if none are given, from stdin if `use_stdin` is true. Returns 0, or the exit status after it has
// printed the sentence.
int input_read(struct Input *input, const struct Options *options, bool use_stdin);

// Encodes the text, or takes the given ids, and checks that all ids are below `vocab`, the rows of the model. Text with
// `vocab` 0 is not checked. `tok` may be NULL when the input is ids.
int input_encode(struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, bool special, vkgpt_error *err);
// The same for a text that is not continued: with the tokens that the tokenizer adds after it.
int input_encode_whole(struct Input *input, const vkgpt_tokenizer *tok, uint32_t vocab, bool special, vkgpt_error *err);
// Prints on stderr what the tokenizer's files ask for but vkgpt does not do. `tok` may be NULL.
void tokenizer_notes(const vkgpt_tokenizer *tok);
// An empty prompt becomes the model's bos, else its first eos; a model without either is an error.
int input_never_empty(struct Input *input, const vkgpt_model_info *model, vkgpt_error *err);

void input_free(struct Input *input);

#endif
