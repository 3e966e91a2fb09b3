// A whole model in the plain C reference (selftest/reference.h), for tests. test_reference.c compares it with Hugging
// Face's implementation; other tests compare changed checkpoints with it.
#ifndef VKGPT_TESTS_REFERENCE_MODEL_H
#define VKGPT_TESTS_REFERENCE_MODEL_H

#include "model/checkpoint.h"

// -log softmax(logits)[id]: the negative log likelihood of a token, in nats.
double reference_nll(const double *logits, size_t vocab, uint32_t id);

// Token ids -> the input of the head, normed and projected if the model does so: x (count, embed_dim). The ids are at
// positions 0 .. count - 1.
// Errors: count is 0 or beyond the context, an id is outside the vocabulary (VKGPT_BAD_ARGUMENT); no memory.
int reference_hidden(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count, double *x,
                     vkgpt_error *err);
// logits (rows, vocab) from x (rows, embed_dim).
int reference_head(const struct Checkpoint *checkpoint, size_t rows, const double *x, double *logits, vkgpt_error *err);
// Both steps: logits (count, vocab). With a large vocabulary, the caller can do the two steps and pick rows.
int reference_forward(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count, double *logits,
                      vkgpt_error *err);

#endif
