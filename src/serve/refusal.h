// Why a request is refused, and the answer that says so in OpenAI's form: message, type, param, code.
#ifndef VKGPT_SERVE_REFUSAL_H
#define VKGPT_SERVE_REFUSAL_H

#include "tasks/buffer.h"
#include "vkgpt.h"

struct Refusal {
    int status;       // of HTTP
    char param[64];   // the field at fault, or ""
    const char *code; // a word for programs, or NULL
    char message[sizeof((vkgpt_error){0}.text)];
};

// Fills a refusal and returns its status, which is never 0. `param` and `code` may be NULL.
__attribute__((format(printf, 5, 6), cold)) int refuse(struct Refusal *refusal, int status, const char *param,
                                                       const char *code, const char *format, ...);
// 503 for what the host has no memory for.
int refuse_memory(struct Refusal *refusal, const char *what);
// The same with the sentence of an error; 503 for VKGPT_OUT_OF_MEMORY.
int refuse_error(struct Refusal *refusal, int status, const char *param, const vkgpt_error *err);

// Appends the body: {"error": {...}}.
void refusal_json(const struct Refusal *refusal, struct Buffer *out);

#endif
