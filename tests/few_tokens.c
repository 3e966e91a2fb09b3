#include "few_tokens.h"

#define MOST_PROMPT 128

static bool keep(void *user, uint32_t id)
{
    struct FewTokens *tokens = user;
    tokens->ids[tokens->count++] = id;
    return true;
}

int few_tokens(vkgpt_device *device, const char *dir, vkgpt_format weights, uint32_t prompt, uint32_t count,
               struct FewTokens *tokens, vkgpt_error *err)
{
    const vkgpt_model_options options = {.weights = weights};
    const vkgpt_sampling greedy = {.repeat_penalty = 1.0f, .ignore_eos = true};
    vkgpt_model *model = NULL;
    vkgpt_session *session = NULL;
    uint32_t ids[MOST_PROMPT];
    *tokens = (struct FewTokens){.count = 0};
    for (uint32_t i = 0; i < prompt; i++) ids[i] = (i * 37 + 5) % 100;
    int status = vkgpt_model_open(device, dir, &options, &model, err);
    if (!status) status = vkgpt_session_open(model, NULL, &session, err);
    if (!status) status = vkgpt_prompt(session, ids, prompt, err);
    if (!status) status = vkgpt_generate(session, &greedy, count, keep, tokens, NULL, err);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    return status;
}
