// The sequences of a session: their tokens, and copies of each other.
#ifndef VKGPT_ENGINE_SEQUENCES_H
#define VKGPT_ENGINE_SEQUENCES_H

#include "engine/session.h"

// Refuses ids that the model does not have.
int session_check_ids(const struct vkgpt_session *s, const uint32_t *ids, size_t count, vkgpt_error *err);
// Refuses a sequence that was started and has not ended.
int sequence_check_idle(const struct vkgpt_session *s, uint32_t sequence, vkgpt_error *err);
int sequence_check(const struct vkgpt_session *s, uint32_t sequence, vkgpt_error *err);
// Appends tokens to a sequence, but not yet to the cache. It holds at most `room` tokens: the context, or one more.
int sequence_append(struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count, uint32_t room,
                    vkgpt_error *err);
// Forgets every token after the first `position`.
void slot_rewind(struct Slot *slot, uint32_t position);
// No more tokens are to come. What is in flight for it no longer counts.
void slot_leave(struct vkgpt_session *s, struct Slot *slot, vkgpt_stop stop);
// Waits for all that is in flight or queued. Refuses while a sequence that was started has not ended.
int session_settle(struct vkgpt_session *s, vkgpt_error *err);
// VKGPT_INTERRUPTED, once, if another thread has asked for it.
int session_check_cancel(struct vkgpt_session *s, vkgpt_error *err);

struct Copy {
    uint32_t from, to;
};
// Copies the tokens of one sequence and what is in its cache to another, for each pair. Nothing is in flight.
int sequences_copy(struct vkgpt_session *s, const struct Copy *copies, size_t count, vkgpt_error *err);

#endif
