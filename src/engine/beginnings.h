// Beginnings of prompts: what prefill has left of one in some cache, or is about to, is not run again. And the sequence
// that a prompt is started in.
#ifndef VKGPT_ENGINE_BEGINNINGS_H
#define VKGPT_ENGINE_BEGINNINGS_H

#include "engine/session.h"

// Gives an idle sequence the tokens of a prompt. A beginning of it that another sequence has is copied; for one that
// another sequence is about to read, this one waits. `given`: all is read anew. `keep`: what the sequence had goes to
// another idle one (vkgpt_batch_options).
void beginnings_take(struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, uint32_t count, bool given,
                     bool keep);
// Before a sequence gets other tokens: those that wait for it take what it has, and one of them reads on for the
// others.
void beginnings_let_go(struct vkgpt_session *s, uint32_t sequence);
// Those that wait take what is read, or submitted, by now.
void beginnings_share(struct vkgpt_session *s);

#endif
