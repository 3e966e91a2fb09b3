// A tensor in a file, as all readers of checkpoints describe it.
#ifndef VKGPT_MODEL_TENSOR_H
#define VKGPT_MODEL_TENSOR_H

#include "model/blocks.h"

enum Dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F64,
    DTYPE_BLOCKS, // Tensor.block is the format; row-major, the row length is a multiple of the block size
    DTYPE_OTHER,  // U8, BOOL, I64, ...: for tensors that are ignored
};

#define TENSOR_MAX_RANK 8

struct Tensor {
    const char *name; // as in the file
    const char *file; // path, for sentences
    enum Dtype dtype;
    enum BlockFormat block; // for DTYPE_BLOCKS
    const char *dtype_name; // as in the file: "F32", "torch.HalfStorage", "Q4_K"
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t stride[TENSOR_MAX_RANK]; // in elements; row-major unless a PyTorch file says otherwise
    const uint8_t *data;             // may be unaligned
    size_t bytes;                    // from the first to the last element
};

#endif
