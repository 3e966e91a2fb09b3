// GGML's block formats, as in GGUF files and llama.cpp: blocks of 32 or 256 weights that share scales. The layouts
// follow ggml's ggml-common.h.
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
    BLOCK_Q4_K,   // 256: half scale and minimum, 12 bytes of eight 6-bit scales and minimums, 128 bytes of nibbles
    BLOCK_Q5_K,   // 256: as q4_k, with fifth bits
    BLOCK_Q6_K,   // 256: nibbles, two more bits, 16 signed scales, a half scale
    BLOCK_Q2_K,   // 256: 16 bytes of 4-bit scales and minimums, 64 bytes of 2-bit weights, half scale and minimum
    BLOCK_Q3_K,   // 256: 32 bytes of third bits, 64 of 2 low bits, 12 of sixteen 6-bit scales less 32, a half scale
    BLOCK_IQ4_NL, // 32: a half scale, nibbles that index a table of 16 values
    BLOCK_IQ4_XS, // 256: a half scale, 6 bytes of eight 6-bit scales less 32, 128 bytes of nibbles as in iq4_nl
    BLOCK_FORMATS,
};

struct BlockInfo {
    const char *name; // "q8_0"
    uint32_t weights; // in a block
    uint32_t bytes;   // of a block
    uint32_t gguf;    // GGUF's tensor type
};

extern const struct BlockInfo BLOCK_INFO[BLOCK_FORMATS];

// `weights` must be a multiple of the block size.
void block_unpack(enum BlockFormat format, const uint8_t *blocks, size_t weights, float *out);

// Quantises to q8_0, q4_0 or q4_k, as llama.cpp's reference quantiser does (q4_k by its search for scale and minimum).
// Values must be finite.
void block_pack(enum BlockFormat format, const float *in, size_t weights, uint8_t *blocks);

#endif
