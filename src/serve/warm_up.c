#include "serve/warm_up.h"

#define MOST_TOKENS 33 // a few groups of rows, and one token for the step

static int run(vkgpt_session *session, uint32_t sequence, size_t count, const vkgpt_batch_options *options,
               vkgpt_error *err)
{
    static const uint32_t IDS[MOST_TOKENS]; // any ids do
    uint32_t running = 1;
    int code = vkgpt_batch_start(session, sequence, IDS, count, options, err);
    while (!code && running) code = vkgpt_batch_step(session, NULL, NULL, &running, err);
    if (code == VKGPT_BAD_LOGITS) code = 0;
    return code ? code : vkgpt_batch_rewind(session, sequence, 0, err);
}

int warm_up(vkgpt_session *session, uint32_t slots, uint32_t context, vkgpt_error *err)
{
    size_t count = context < MOST_TOKENS ? context : MOST_TOKENS;
    vkgpt_batch_options options = {.sampling = vkgpt_sampling_default(), .max_tokens = 1};
    int code = run(session, 0, count, &options, err);
    // a step runs the sequences up to the highest one, as a power of two, and has kernels for each
    for (uint32_t rows = 2; !code && rows < slots; rows *= 2) code = run(session, rows - 1, 1, &options, err);
    if (!code && slots > 1) code = run(session, slots - 1, 1, &options, err);
    options.logprobs = options.given = true;
    return code ? code : run(session, 0, count, &options, err);
}
