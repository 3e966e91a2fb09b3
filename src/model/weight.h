// A weight of the model: a tensor as rows of (out, in), widened to float or in half precision.
#ifndef VKGPT_MODEL_WEIGHT_H
#define VKGPT_MODEL_WEIGHT_H

#include <stdbool.h>

#include "model/tensor.h"

// A matrix or vector of the model, in the checkpoint. With `in_out` the file holds (in, out), as GPT-2's Conv1D:
// element (o, i) of the product y = W x is data[i, o].
struct Weight {
    const struct Tensor *tensor; // NULL: absent. An absent gain is ones, an absent bias zeros
    bool in_out;
};

// Elements [first, first + count) of row o of a weight (a vector has one row), widened to float. For an (in, out)
// tensor this gathers a column: weight_rows is faster for many rows.
void weight_row(const struct Weight *weight, int64_t o, int64_t first, int64_t count, float *out);
// Rows [o, o + rows) of width `in` as float into out (rows, in), cache-friendly for both orders. Doubles are rounded to
// float, as in PyTorch.
void weight_rows(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, float *out);
// The same rows in half precision: f16 is copied bit for bit, other types are rounded by float_to_half.
void weight_rows_half(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, uint16_t *out);
// The largest finite magnitude of the weight, to check whether it fits half precision.
float weight_max_abs(const struct Weight *weight);

#endif
