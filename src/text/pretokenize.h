// The pre-tokenizers of a tokenizer.json, which cut a text into the pieces for the model.
#ifndef VKGPT_TEXT_PRETOKENIZE_H
#define VKGPT_TEXT_PRETOKENIZE_H

#include "text/steps.h"

int pre_tokenizers_read(struct Reader *r, const struct Json *json, struct Steps *steps);

// Calls on_piece for each piece of a text, in order; no piece is empty. on_piece returns a vkgpt_code; if it is not 0,
// the run ends. A piece's text is valid only during the call.
int pre_tokenizers_run(const struct Steps *steps, struct Piece piece, int (*on_piece)(void *user, struct Piece piece),
                       void *user, vkgpt_error *err);

#endif
