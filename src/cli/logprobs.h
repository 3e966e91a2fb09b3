// The log probabilities of tokens that were generated, from the model's own distribution: before temperature, top-k and
// whatever else chose among them.
#ifndef VKGPT_CLI_LOGPROBS_H
#define VKGPT_CLI_LOGPROBS_H

#include <cjson/cJSON.h>

#include "cli/run.h"

struct Continued { // a prompt and what was generated after it
    const uint32_t *prompt, *ids;
    size_t prompt_count, count; // prompt_count is 1 at least
    uint32_t kept;              // positions of the session's first sequence that hold the beginning of the prompt
};

// Reads the tokens again, in blocks like a prompt, and makes an array with an object for each of the new ones: id,
// token, logprob (nats), and in "top" the `top` likeliest tokens in its place, likewise. The session's first sequence
// is used. Errors: those of vkgpt_logits. Free with cJSON_Delete.
int logprobs_json(struct Run *run, const struct Continued *text, size_t top, cJSON **list, vkgpt_error *err);

#endif
