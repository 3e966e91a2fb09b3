// The plain C reference: the GPT family written to be read beside the papers (Radford et al. 2018 and 2019, Brown et
// al. 2020, Zhang et al. 2022), one function per operation, in float64. Every kernel is compared with its function
// here, and the engine with reference_forward, which is itself compared with Hugging Face's implementation
// (tests/test_reference.c). Slow on purpose: no blocking, no threads, nothing to get wrong.
//
// Weights are float (what every format on disk widens to without loss), activations are double.
#ifndef VKGPT_ENGINE_REFERENCE_H
#define VKGPT_ENGINE_REFERENCE_H

#include "model/checkpoint.h"

// out = (x - mean) / sqrt(variance + eps) * gain + bias over each row; gain or bias NULL: 1, 0.
// x and out are (rows, dim) and may be the same. The variance is taken in a second pass.
void reference_norm(size_t rows, size_t dim, const double *x, const float *gain, const float *bias, double eps,
                    double *out);

// y = x W^T + bias. x (rows, in), w (out_dim, in), bias (out_dim) or NULL, y (rows, out_dim).
void reference_matmul(size_t rows, size_t in, size_t out_dim, const double *x, const float *w, const float *bias,
                      double *y);

double reference_activation(enum Activation activation, double x);

// softmax(q K^T * scale) V for each head. q and out are (rows, heads, head_dim), K and V are
// (first + rows, heads, head_dim). The query in row t stands at position first + t and sees the positions
// 0 .. first + t (causal), or all first + rows of them.
void reference_attend(size_t rows, size_t first, size_t heads, size_t head_dim, const double *q, const double *K,
                      const double *V, double scale, bool causal, double *out);

// Causal, and no further back than the last `window` positions, itself included; 0: no limit.
void reference_attend_window(size_t rows, size_t first, size_t heads, size_t head_dim, const double *q, const double *K,
                             const double *V, double scale, size_t window, double *out);

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four random words from a
// key and a counter, bit for bit as Random123.
void reference_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

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
