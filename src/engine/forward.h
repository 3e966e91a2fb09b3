// What the model computes: a decode step or a block of prefill as a list of dispatches.
#ifndef VKGPT_ENGINE_FORWARD_H
#define VKGPT_ENGINE_FORWARD_H

#include "engine/session.h"

// What the recording of a forward pass needs.
struct Pass {
    struct vkgpt_session *s;
    struct Recording *rec;
    const struct Kernels *k;
    uint32_t rows;      // in a step: those of its range; in a block: tokens, as its groups say
    uint32_t turn;      // of its flight: where x comes from and goes to, on one of several stages
    struct Range range; // of a step: its sequences
};

struct Pass pass_of_step(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, struct Range range,
                         uint32_t turn);
struct Pass pass_of_block(struct vkgpt_session *s, struct Recording *rec, const struct Kernels *k, uint32_t rows,
                          uint32_t turn);

// One decode step of the sequences of the range: runs the tokens from `position` on and writes the next tokens. Attends
// to the first `splits` splits of the cache.
void forward_step(const struct Pass *pass, uint32_t splits);
// What a block of prefill writes beside the cache: nothing, x for the next stage, or a result for each row.
enum Leaves { LEAVES_CACHE, LEAVES_X, LEAVES_HIDDEN, LEAVES_LOGITS, LEAVES_SCORES, LEAVES_REPORTS };
// Runs a block's tokens into the cache. Also computes their logits, for the three that need them.
void forward_block(const struct Pass *pass, enum Leaves leaves);
// The parts of both one by one, for engine/trace.c: the embedding, a layer, and the head. `splits` as for forward_step,
// in a block 0.
void forward_embed(const struct Pass *pass);
void forward_layer(const struct Pass *pass, uint32_t layer, uint32_t splits);
void forward_head(const struct Pass *pass);
// The log probabilities of the tokens after such rows, from their logits.
void forward_score(const struct Pass *pass);
// The same with the likeliest tokens, for sequences that want them: by `report`, into `reports`.
void forward_report(const struct Pass *pass, const struct Pipeline *report, const struct Slice *reports);
// The hidden states of such rows, without their logits: the input of the head. Returns where they are.
const struct Slice *forward_hidden(const struct Pass *pass);
// Only one product of a decode step or a block, of one layer, with the norm or the merge before it unless its kernel
// does that itself: what `tune` measures. b.arrived must be 0.
void forward_product(const struct Pass *pass, enum ProductKernel which, uint32_t layer);
uint32_t forward_max_sets(const struct vkgpt_session *s);
// Workgroups that a product takes for one matrix, over all its chunks.
uint32_t product_groups(const struct Product *product, const struct Matrix *matrix);

#endif
