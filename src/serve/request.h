// The parameters of a completion, from the fields of its request.
#ifndef VKGPT_SERVE_REQUEST_H
#define VKGPT_SERVE_REQUEST_H

#include "base/json.h"
#include "serve/refusal.h"
#include "text/stop_strings.h"

#define MOST_CHOICES 128      // n, and best_of
#define USUAL_MAX_TOKENS 16   // of /v1/completions
#define MOST_TOKENS (1 << 30) // of max_tokens

struct Request {
    bool chat;
    double temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
    int64_t top_k, repeat_last_n; // repeat_last_n -1: the context
    int64_t max_tokens;           // -1: until the context is full
    int64_t n, best_of;
    bool stream, include_usage, echo, ignore_eos;
    bool logprobs; // asked for, with the `top` likeliest
    int64_t top;
    bool seeded;
    uint64_t seed;
    struct StopString *stops;
    size_t stop_count;
    vkgpt_bias *bias;
    size_t bias_count;
    const struct Json *prompt, *messages; // as given, or NULL; in the body
};

// Reads the body of /v1/completions, or with `chat` of /v1/chat/completions. `vocab`: ids are below it. Returns 0, or
// the refusal's status; request_free in both cases.
int request_read(struct Request *request, bool chat, uint32_t vocab, const struct Json *body, struct Refusal *refusal);
// Adds a stop string. False: no memory.
bool request_add_stop(struct Request *request, const char *text, size_t bytes);
void request_free(struct Request *request);

#endif
