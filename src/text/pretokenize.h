// The pre-tokenizers of a tokenizer.json: they cut a text into the pieces that the model sees.
#ifndef VKGPT_TEXT_PRETOKENIZE_H
#define VKGPT_TEXT_PRETOKENIZE_H

#include "text/steps.h"

int pre_tokenizers_read(struct Reader *r, const struct Json *json, struct Steps *steps);

// Calls on_piece for each piece of a text that is not empty, in order; it returns a vkgpt_code, and one that is not 0
// ends the run. A piece's text lasts as long as the call.
int pre_tokenizers_run(const struct Steps *steps, struct Piece piece, int (*on_piece)(void *user, struct Piece piece),
                       void *user, vkgpt_error *err);

#endif
