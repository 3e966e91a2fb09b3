#include "serve/warm_up.h"

#define MOST_TOKENS 33 // a few groups of rows, and one token for the step

static int run(vkgpt_session *session, size_t count, const vkgpt_batch_options *options, vkgpt_error *err)
{
    static const uint32_t IDS[MOST_TOKENS]; // any ids do
    uint32_t running = 1;
    int code = vkgpt_batch_start(session, 0, IDS, count, options, err);
    while (!code && running) code = vkgpt_batch_step(session, NULL, NULL, &running, err);
    if (code == VKGPT_BAD_LOGITS) code = 0;
    return code ? code : vkgpt_batch_rewind(session, 0, 0, err);
}

int warm_up(vkgpt_session *session, uint32_t context, vkgpt_error *err)
{
    size_t count = context < MOST_TOKENS ? context : MOST_TOKENS;
    vkgpt_batch_options options = {.sampling = vkgpt_sampling_default(), .max_tokens = 1};
    int code = run(session, count, &options, err);
    options.logprobs = options.given = true;
    return code ? code : run(session, count, &options, err);
}
