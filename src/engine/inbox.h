// The inbox of a submission: what the host changes on the device before it. All else stays as the kernels left it.
//
// With stages before it, the session also fills its outbox, which goes to them (engine/upstream.h). They do not choose
// tokens, so theirs also has those that the last stage chose.
#ifndef VKGPT_ENGINE_INBOX_H
#define VKGPT_ENGINE_INBOX_H

#include "engine/session.h"

// Empties the inbox of a turn, whose last submission has ended. groups (MAX_GROUPS): those of a block; NULL: none.
void inbox_begin(struct vkgpt_session *s, uint32_t turn, const struct Group *groups);
// Sets the state of a sequence, once a turn, and uploads its biases, and its tokens up to `end` that the device does
// not have.
void inbox_admit(struct vkgpt_session *s, uint32_t turn, uint32_t sequence, uint32_t end, const struct Sequence *state);
// The same with a state in which it does not run.
void inbox_stop(struct vkgpt_session *s, uint32_t turn, uint32_t sequence, uint32_t end);
// Sets the state of a sequence that already runs on this device, or no longer does, on those of the stages before.
void inbox_follow(struct vkgpt_session *s, uint32_t sequence, uint32_t end, const struct Sequence *state);
// Asks for copies in the cache instead, in this order.
void inbox_copy(struct vkgpt_session *s, uint32_t turn, const struct CacheCopy *copies, uint32_t count);
// Records that the admissions in the inbox of a turn are taken, or that its copies are made.
void inbox_share(struct vkgpt_session *s, struct Recording *rec, uint32_t turn);
void inbox_take(struct vkgpt_session *s, struct Recording *rec, uint32_t turn);

#endif
