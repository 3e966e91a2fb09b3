// Encodes a text that the model continues.
#ifndef VKGPT_TASKS_ENCODE_H
#define VKGPT_TASKS_ENCODE_H

#include "tasks/buffer.h"
#include "vkgpt.h"

// The ids of a text without the tokens that the tokenizer adds at the end of every text. `special`: the text of a
// special token becomes its one id. Free *ids with free().
int encode_open(const vkgpt_tokenizer *tok, const struct Buffer *text, bool special, uint32_t **ids, size_t *count,
                vkgpt_error *err);

// The same for a text that is not the first one: also without the tokens that the tokenizer puts before every text.
int encode_inside(const vkgpt_tokenizer *tok, const struct Buffer *text, bool special, uint32_t **ids, size_t *count,
                  vkgpt_error *err);

// The token that replaces an empty text: the model's bos, else its first eos. False: the model has neither.
bool encode_first_token(const vkgpt_model_info *model, uint32_t *id);

#endif
