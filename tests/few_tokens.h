// A few tokens of a model, for tests that compare what a device makes under other circumstances.
#ifndef TESTS_FEW_TOKENS_H
#define TESTS_FEW_TOKENS_H

#include "vkgpt.h"

#define FEW_TOKENS 24 // at most

struct FewTokens {
    uint32_t ids[FEW_TOKENS];
    size_t count;
};

// Opens the model with its weights in `weights`, runs a prompt of `prompt` tokens below 100, and generates `count`
// tokens greedily. Closes the model again. Returns the code of what failed first.
int few_tokens(vkgpt_device *device, const char *dir, vkgpt_format weights, uint32_t prompt, uint32_t count,
               struct FewTokens *tokens, vkgpt_error *err);

#endif
