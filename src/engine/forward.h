// What the model computes: a decode step or a block of prefill as a list of dispatches.
#ifndef VKGPT_ENGINE_FORWARD_H
#define VKGPT_ENGINE_FORWARD_H

#include "engine/session.h"

// What a forward pass is recorded with.
struct Pass {
    struct vkgpt_session *s;
    struct Recording *rec;
    const struct Kernels *k;
    uint32_t rows; // of a step: of all sequences; of a block: tokens, as its groups say
};

// One decode step of every sequence: tokens from `position` on in, next tokens out. `splits` of the cache are looked
// at.
void forward_step(const struct Pass *pass, uint32_t splits);
// What a block of prefill leaves: the cache alone, or besides it what is made of the rows.
enum Leaves { LEAVES_CACHE, LEAVES_HIDDEN, LEAVES_LOGITS, LEAVES_SCORES };
// A block's tokens into the cache, and their logits where those or scores are to be left.
void forward_block(const struct Pass *pass, enum Leaves leaves);
// How likely the tokens behind such rows are, from their logits.
void forward_score(const struct Pass *pass);
// The hidden states of such rows, without their logits: what the head reads. Returns where they are.
const struct Slice *forward_hidden(const struct Pass *pass);
// One product of a decode step or a block alone, of one layer, with the norm or the merge before it where it does not
// make that itself: what `tune` measures. b.arrived is 0.
void forward_product(const struct Pass *pass, enum ProductKernel which, uint32_t layer);
uint32_t forward_max_sets(const struct vkgpt_session *s);
// Workgroups that a product takes for one matrix, over all its chunks.
uint32_t product_groups(const struct Product *product, const struct Matrix *matrix);

#endif
