// A session's recordings: each is made on first use and kept.
#ifndef VKGPT_ENGINE_RECORDINGS_H
#define VKGPT_ENGINE_RECORDINGS_H

#include "engine/session.h"

// Takes the admissions in the inbox of a turn.
int recordings_admit(struct vkgpt_session *s, uint32_t turn, struct Recording **rec, vkgpt_error *err);
// Makes the copies in the inbox of a turn.
int recordings_share(struct vkgpt_session *s, uint32_t turn, struct Recording **rec, vkgpt_error *err);
// Steps of decode in the session's form: as dispatches, or as one kernel, which runs all sequences.
int recordings_decode(struct vkgpt_session *s, const struct StepsAsk *ask, struct Recording **rec, vkgpt_error *err);
bool recordings_as_one(const struct vkgpt_session *s, const struct StepsAsk *ask); // which form that is
// The same as dispatches. On a stage that is not the last, the steps begin with the inbox of the turn.
int recordings_steps(struct vkgpt_session *s, const struct StepsAsk *ask, struct Recording **rec, vkgpt_error *err);
// A block of prefill: below BLOCK_SIZES one of buffers_block_rows. For hidden states b.hidden must exist.
int recordings_block(struct vkgpt_session *s, enum BlockKind kind, uint32_t turn, struct Recording **rec,
                     vkgpt_error *err);
uint32_t recordings_block_rows(const struct vkgpt_session *s, enum BlockKind kind);
void recordings_free(struct vkgpt_session *s);

#endif
