// The plain C reference: the GPT family written to be read beside the papers (Radford et al. 2018 and 2019, Brown et
// al. 2020, Zhang et al. 2022), one function per operation, in float64. Every kernel is compared with its function
// here. The tests build a whole model of these functions (tests/reference_model.h) and compare it with Hugging Face's
// implementation. Slow on purpose: no blocking, no threads, nothing to get wrong.
//
// Weights are float (what every format on disk widens to without loss), activations are double.
#ifndef VKGPT_SELFTEST_REFERENCE_H
#define VKGPT_SELFTEST_REFERENCE_H

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
// (first + rows, heads, head_dim). The query in row t is at position first + t. It sees that position and those
// before it, the last `window` of them; 0: all.
void reference_attend(size_t rows, size_t first, size_t heads, size_t head_dim, const double *q, const double *K,
                      const double *V, double scale, size_t window, double *out);

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four random words from a
// key and a counter, bit for bit as Random123.
void reference_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

#endif
