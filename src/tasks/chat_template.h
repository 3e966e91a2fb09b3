// How the turns of a conversation are written as one text: a chat template. Three forms are built in, and others come
// from small files (docs/chat.md is the manual of the format). Templates in Jinja are not run: those of tokenizers that
// are known to say the same as a built-in form are recognised.
#ifndef VKGPT_TASKS_CHAT_TEMPLATE_H
#define VKGPT_TASKS_CHAT_TEMPLATE_H

#include <stdbool.h>

#include "tasks/buffer.h"
#include "vkgpt.h"

#define CHAT_MAX_STOPS 16
#define CHAT_MAX_TEMPLATE ((size_t)64 << 10) // bytes of a file

enum ChatRole { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_ROLES };

struct ChatTemplate {
    struct Buffer source;                                // as in a file; a saved conversation keeps it
    struct Buffer begin;                                 // before the first turn
    bool starts;                                         // first, what the tokenizer puts before every text
    bool has[CHAT_ROLES];                                // the template has a line for this role
    struct Buffer before[CHAT_ROLES], after[CHAT_ROLES]; // a turn's text
    struct Buffer stops[CHAT_MAX_STOPS];                 // each ends an answer
    size_t stop_count;
};

// What {bos} and {eos} stand for: the texts of the model's tokens, or NULL.
struct ChatTokens {
    const char *bos, *eos;
    size_t bos_bytes, eos_bytes;
};
struct ChatTokens chat_tokens(const vkgpt_model_info *model, const vkgpt_tokenizer *tok);

// Reads a template from text in the form of a file; `what` names it in sentences. Errors (VKGPT_BAD_FILE) name the
// line.
int chat_template_parse(const char *what, const char *text, size_t bytes, const struct ChatTokens *tokens,
                        struct ChatTemplate *chat, vkgpt_error *err);
// What --chat-template takes: the name of a built-in form, or a file.
int chat_template_open(const char *name, const struct ChatTokens *tokens, struct ChatTemplate *chat, vkgpt_error *err);
// The template of the tokenizer at `path`, a directory or a GGUF file: chat_template.jinja, or chat_template of
// tokenizer_config.json, or tokenizer.chat_template. Where it has none, the form `otherwise`, or an error if that is
// NULL. Errors: a template that is not known.
int chat_template_own(const char *path, const char *otherwise, const struct ChatTokens *tokens,
                      struct ChatTemplate *chat, vkgpt_error *err);
void chat_template_free(struct ChatTemplate *chat);

// Appends a turn to `out`, which is failed without host memory. `text` NULL: only what is before its text, as of an
// answer that is to come.
void chat_render(const struct ChatTemplate *chat, enum ChatRole role, const struct Buffer *text, struct Buffer *out);

// *form becomes the name of the built-in form that a template in Jinja is the same as, or NULL: not known. Errors: no
// host memory.
int chat_jinja_form(const char *jinja, size_t bytes, const char **form, vkgpt_error *err);

#endif
