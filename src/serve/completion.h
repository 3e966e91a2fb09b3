// A completion: a request, its choices, and its answer. The thread of HTTP makes it; from then on the engine's has it.
#ifndef VKGPT_SERVE_COMPLETION_H
#define VKGPT_SERVE_COMPLETION_H

#include "serve/choice.h"

// Reads a request, with its JSON, and makes its choices. NULL: refused.
struct Completion *completion_make(struct Exchange *exchange, const struct Served *served, struct Metrics *metrics,
                                   bool chat, struct Refusal *refusal);
// The next token of a choice; false ends it.
bool completion_token(struct Choice *choice, uint32_t id, bool given, const vkgpt_token *token);
// A choice has ended; `last` is what the engine says of its end token, or NULL. After the last one the answer is sent.
void completion_end(struct Choice *choice, vkgpt_stop stop, const vkgpt_token *last);
// Answers with an error: as a whole, or as the last piece of an answer that has begun.
void completion_fail(struct Completion *completion, int status, const char *sentence);
bool completion_over(const struct Completion *completion); // nothing is left to do, or nobody is left to read it
void completion_free(struct Completion *completion);

#endif
