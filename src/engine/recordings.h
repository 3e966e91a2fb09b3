// A session's recordings: each is made on first use and kept.
#ifndef VKGPT_ENGINE_RECORDINGS_H
#define VKGPT_ENGINE_RECORDINGS_H

#include "engine/session.h"

// Takes the inbox of a turn.
int recordings_admit(struct vkgpt_session *s, uint32_t turn, struct Recording **rec, vkgpt_error *err);
// 2^step_size decode steps in the session's form: as dispatches, over 2^split_size splits of the cache, or as one
// kernel.
int recordings_decode(struct vkgpt_session *s, uint32_t step_size, uint32_t split_size, uint32_t turn,
                      struct Recording **rec, vkgpt_error *err);
int recordings_steps(struct vkgpt_session *s, uint32_t step_size, uint32_t split_size, uint32_t turn,
                     struct Recording **rec, vkgpt_error *err);
int recordings_block(struct vkgpt_session *s, uint32_t block_size, uint32_t turn, struct Recording **rec,
                     vkgpt_error *err);
int recordings_logits(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err);
int recordings_scores(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err);
int recordings_reports(struct vkgpt_session *s, uint32_t turn, struct Recording **rec, vkgpt_error *err);
int recordings_hidden(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err); // b.hidden must exist
// The same for embeddings, with as many rows as recordings_embed_rows says.
int recordings_embed(struct vkgpt_session *s, struct Recording **rec, vkgpt_error *err);
uint32_t recordings_embed_rows(const struct vkgpt_session *s);
void recordings_free(struct vkgpt_session *s);

#endif
