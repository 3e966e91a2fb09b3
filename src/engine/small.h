// Weights in the quantised ("small") formats as weights.glsl reads them: the quants of a row, and separately their
// scales. GGUF's blocks hold both together, in pieces of 18, 34 or 144 bytes, which no kernel can read as 128-bit
// words. They are rearranged, with the same values (in Q4_K, scale times 6-bit scale is rounded to a half).
#ifndef VKGPT_ENGINE_SMALL_H
#define VKGPT_ENGINE_SMALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/formats.h"

// Bytes of `weights` weights, a multiple of 32: their quants, their scales. Formats are WEIGHTS_Q8_0 and so on.
size_t small_quant_bytes(uint32_t format, size_t weights);
size_t small_scale_bytes(uint32_t format, size_t weights);

// Rearranges whole blocks.
void small_relay(uint32_t format, const uint8_t *blocks, size_t weights, uint8_t *quants, uint8_t *scales);
// Quantises whole blocks; `room` holds their bytes in between. A block with a NaN or an infinity becomes NaN, so that
// the logits show it. Changes such blocks of `in`.
void small_quantise(uint32_t format, float *in, size_t weights, uint8_t *room, uint8_t *quants, uint8_t *scales);

#endif
