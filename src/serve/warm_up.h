// The first use of a session, before anybody waits for it.
#ifndef VKGPT_SERVE_WARM_UP_H
#define VKGPT_SERVE_WARM_UP_H

#include "vkgpt.h"

// Runs a block of a prompt, a token with each number of sequences for which a step has kernels of its own, and log
// probabilities, so that drivers compile them. Leaves every sequence empty. The session has `slots` sequences of
// `context` positions. Errors: those of vkgpt_batch_step, but for VKGPT_BAD_LOGITS, which says nothing of other tokens.
int warm_up(vkgpt_session *session, uint32_t slots, uint32_t context, vkgpt_error *err);

#endif
