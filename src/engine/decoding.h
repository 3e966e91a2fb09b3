// Decode: steps of all sequences that have joined, several per submission, and the tokens that they leave in the ring.
#ifndef VKGPT_ENGINE_DECODING_H
#define VKGPT_ENGINE_DECODING_H

#include "engine/session.h"

// Whether a sequence still needs tokens that no submitted step makes, and its prompt is in the cache or submitted.
bool decoding_wanted(const struct vkgpt_session *s);
// Whether one more submission of steps may be queued: two, once the time of a step of so many sequences is known; with
// stages before this one, one for each micro-batch.
bool decoding_has_room(struct vkgpt_session *s);
// How many sequences of the same micro-batch were started.
uint32_t decoding_company(const struct vkgpt_session *s, uint32_t sequence);
// Makes the next submission of steps. Sequences whose prompts are done join; those that have left are stopped on the
// device before it.
int decoding_next(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err);

#endif
