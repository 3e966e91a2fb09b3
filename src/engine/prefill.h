// Runs tokens into the cache, in blocks of rows of any sequences.
#ifndef VKGPT_ENGINE_PREFILL_H
#define VKGPT_ENGINE_PREFILL_H

#include "engine/session.h"

// Lets prefill run the tokens of a slot up to `goal`, as far as they are not in the cache.
void prefill_want(struct Slot *slot, uint32_t goal);
// Rows that prefill still has to submit, in whole groups.
uint64_t prefill_rows_left(const struct vkgpt_session *s);
// Whether one more block may be queued.
bool prefill_has_room(const struct vkgpt_session *s);
// Makes the next block.
int prefill_next(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err);

// Adds the tokens of a sequence from position `from` up to `end`, as long as the block has fewer than `most` groups.
// Returns the position after the last one added.
uint32_t prefill_add(struct BlockRows *block, uint32_t sequence, uint32_t from, uint32_t end, uint32_t most);
// Runs a block of a kind that leaves something for each row; its tokens are in the cache then. Nothing else is in
// flight.
int prefill_run(struct vkgpt_session *s, enum BlockKind kind, const struct BlockRows *block, vkgpt_error *err);
// The same by another recording of the block.
int prefill_run_recorded(struct vkgpt_session *s, struct Recording *rec, const struct BlockRows *block,
                         vkgpt_error *err);

// Runs the tokens of the first sequence that are not in the cache yet, up to `end`, and passes on their logits.
int prefill_logits(struct vkgpt_session *s, uint32_t end,
                   bool (*on_rows)(void *user, const float *logits, uint32_t position, uint32_t rows), void *user,
                   vkgpt_error *err);
// Fills the cache of each sequence with all its tokens but the last, or (`whole`) with all of them.
int prefill_sequences(struct vkgpt_session *s, bool whole, vkgpt_error *err);

#endif
