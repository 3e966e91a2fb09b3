// The log probabilities of generated tokens in the model's own distribution: before temperature, top-k and the other
// steps of sampling.
#ifndef VKGPT_CLI_LOGPROBS_H
#define VKGPT_CLI_LOGPROBS_H

#include <cjson/cJSON.h>

#include "cli/run.h"

struct Continued { // a prompt and what was generated after it
    const uint32_t *prompt, *ids;
    size_t prompt_count, count; // prompt_count is 1 at least
    uint32_t kept;              // tokens of the prompt that are still in the session's first sequence
};

// Reads the tokens again, in blocks like a prompt, and makes an array with an object for each new token: id, token,
// logprob (nats), and "top" with the same members for each of the `top` likeliest tokens in its place. Uses the
// session's first sequence. Errors: those of vkgpt_logits. Free with cJSON_Delete.
int logprobs_json(struct Run *run, const struct Continued *text, size_t top, cJSON **list, vkgpt_error *err);

#endif
