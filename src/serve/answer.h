// Completions as JSON, in OpenAI's forms.
#ifndef VKGPT_SERVE_ANSWER_H
#define VKGPT_SERVE_ANSWER_H

#include "serve/choice.h"

// The whole answer, with the choices `chosen` (count).
void answer_whole(const struct Completion *c, const struct Choice *const *chosen, size_t count, struct Buffer *out);
// An event of a stream with what a choice has now, the first `entries` of its tokens, and why it has ended (or NULL).
void answer_piece(const struct Choice *choice, size_t entries, const char *finish, struct Buffer *out);
// The first event of a choice of a chat.
void answer_role(const struct Choice *choice, struct Buffer *out);
// The event that holds the usage alone.
void answer_usage(const struct Completion *c, struct Buffer *out);

// What a token is called: its text, or bytes:\xe2 where that is not UTF-8, or token_id:7 where it has none.
void answer_token_name(const vkgpt_tokenizer *tok, uint32_t id, struct Buffer *name);
void answer_put_name(const vkgpt_tokenizer *tok, uint32_t id, struct Buffer *out); // as a string of JSON

#endif
