// The first use of a session, before anybody waits for it.
#ifndef VKGPT_SERVE_WARM_UP_H
#define VKGPT_SERVE_WARM_UP_H

#include "vkgpt.h"

// Runs a block of a prompt and a token, then the same with log probabilities, so that drivers compile their kernels and
// the command buffers are recorded. Leaves every sequence empty. `context`: the session's. Errors: those of
// vkgpt_batch_step, but for VKGPT_BAD_LOGITS, which says nothing of other tokens.
int warm_up(vkgpt_session *session, uint32_t context, vkgpt_error *err);

#endif
