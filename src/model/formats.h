// The formats of weights that a user can ask for, by name, and what they are in a checkpoint and in a GGUF file.
#ifndef VKGPT_MODEL_FORMATS_H
#define VKGPT_MODEL_FORMATS_H

#include "model/tensor.h"
#include "vkgpt.h"

#define FORMAT_CHOICES "auto|f32|f16|q8_0|q4_0|q4_k" // their names, in the order of vkgpt_format
#define KV_CHOICES "auto|f32|f16|q8_0"               // those that the KV cache may have

struct FormatInfo {
    const char *name; // "q8_0"
    enum Dtype dtype;
    enum BlockFormat block; // for DTYPE_BLOCKS
    uint32_t gguf_file;     // llama.cpp's number of a file whose matrices have the format
};

extern const struct FormatInfo FORMAT_INFO[VKGPT_Q4_K + 1]; // by vkgpt_format; for VKGPT_AUTO, only the name

// A block of the format: its weights, its bytes, and the number of its type in GGUF. f32 and f16 have blocks of one.
struct BlockInfo format_block(vkgpt_format format);

#endif
