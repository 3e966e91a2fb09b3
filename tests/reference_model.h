// A whole model made of the plain C reference (selftest/reference.h), for tests: it is compared with Hugging Face's
// implementation (test_reference.c), and what the tests change in a checkpoint is compared with it.
#ifndef VKGPT_TESTS_REFERENCE_MODEL_H
#define VKGPT_TESTS_REFERENCE_MODEL_H

#include "model/checkpoint.h"

// -log softmax(logits)[id]: the negative log likelihood of a token, in nats.
double reference_nll(const double *logits, size_t vocab, uint32_t id);

// Token ids -> what the head gets, normed and projected where the model does so: x (count, embed_dim). Ids stand at
// positions 0 .. count - 1.
// Errors: count of 0 or past the context, an id past the vocabulary (VKGPT_BAD_ARGUMENT); no memory.
int reference_hidden(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count, double *x,
                     vkgpt_error *err);
// logits (rows, vocab) of rows of x (rows, embed_dim).
int reference_head(const struct Checkpoint *checkpoint, size_t rows, const double *x, double *logits, vkgpt_error *err);
// Both: logits (count, vocab). For large vocabularies the two steps let the caller pick rows.
int reference_forward(const struct Checkpoint *checkpoint, const uint32_t *ids, size_t count, double *logits,
                      vkgpt_error *err);

#endif
