// The prompts of a request, as token ids.
#ifndef VKGPT_SERVE_PROMPTS_H
#define VKGPT_SERVE_PROMPTS_H

#include "base/json.h"
#include "serve/refusal.h"
#include "serve/served.h"

#define MOST_PROMPTS 2048

struct Prompt {
    uint32_t *ids; // (count), at least 1
    size_t count;
    struct Buffer text; // as given; no data: ids were given
    bool empty;         // none was given: its token is the model's first one
};

struct Prompts {
    struct Prompt *list;
    size_t count;
};

// `prompt` as in OpenAI's API: a text, a list of texts, ids, or a list of ids; NULL is an empty text. An empty one
// becomes the model's first token. Errors: 400, also for a prompt that does not fit into the context. prompts_free in
// any case.
int prompts_read(const struct Served *served, const struct Json *prompt, struct Prompts *prompts,
                 struct Refusal *refusal);
// The messages of a conversation as one prompt, by the chat template.
int prompts_read_messages(const struct Served *served, const struct Json *messages, struct Prompts *prompts,
                          struct Refusal *refusal);
void prompts_free(struct Prompts *prompts);

// Reads a list of token ids, below `vocab`.
int prompts_read_ids(const struct Served *served, const char *param, const struct Json *list, uint32_t **ids,
                     size_t *count, struct Refusal *refusal);
// Renders a conversation; `answer`: with the beginning of an answer.
int prompts_render(const struct Served *served, const struct Json *messages, bool answer, struct Buffer *text,
                   struct Refusal *refusal);

#endif
