// GGML's block formats: runs of 32 or 256 weights that share scales, as GGUF files hold them and as llama.cpp reads
// them. Layouts after ggml's ggml-common.h.
#ifndef VKGPT_MODEL_BLOCKS_H
#define VKGPT_MODEL_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum BlockFormat {
    BLOCK_Q8_0,   // 32 weights: a half scale, 32 signed bytes
    BLOCK_Q4_0,   // 32: a half scale, 16 bytes of nibbles less 8; weight i < 16 in the low nibble of byte i
    BLOCK_Q4_1,   // 32: half scale and minimum
    BLOCK_Q5_0,   // 32: half scale, 4 bytes of fifth bits, 16 bytes of nibbles
    BLOCK_Q5_1,   // 32: half scale and minimum, fifth bits, nibbles
    BLOCK_Q4_K,   // 256: half scale and minimum of eight 6-bit scales and minimums, 12 bytes of those, 128 of nibbles
    BLOCK_Q5_K,   // 256: likewise, with fifth bits
    BLOCK_Q6_K,   // 256: nibbles, two more bits, 16 signed scales, a half scale
    BLOCK_Q2_K,   // 256: 16 nibbles of scales and of minimums, 64 bytes of quarters, half scale and minimum of those
    BLOCK_Q3_K,   // 256: 32 bytes of third bits, 64 of quarters, 12 of sixteen 6-bit scales less 32, a half scale
    BLOCK_IQ4_NL, // 32: a half scale, nibbles that choose from sixteen values
    BLOCK_IQ4_XS, // 256: a half scale of eight 6-bit scales less 32, in 6 bytes, 128 of such nibbles
    BLOCK_FORMATS,
};

struct BlockInfo {
    const char *name; // "q8_0"
    uint32_t weights; // in a block
    uint32_t bytes;   // of a block
    uint32_t gguf;    // GGUF's tensor type
};

extern const struct BlockInfo BLOCK_INFO[BLOCK_FORMATS];

// weights is a multiple of the block's size.
void block_unpack(enum BlockFormat format, const uint8_t *blocks, size_t weights, float *out);

// Nearest blocks of weights: q8_0, q4_0 and q4_k, as llama.cpp's reference quantiser makes them (q4_k by its search
// for scale and minimum). Values must be finite.
void block_pack(enum BlockFormat format, const float *in, size_t weights, uint8_t *blocks);

#endif
