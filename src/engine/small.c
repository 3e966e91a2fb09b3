#include "engine/small.h"

#include <string.h>

#include "gpu/recording.h"
#include "model/checkpoint.h"

#define PART 32 // weights that share a scale

size_t small_quant_bytes(uint32_t format, size_t weights) { return format == WEIGHTS_Q8_0 ? weights : weights / 2; }
size_t small_scale_bytes(uint32_t format, size_t weights) { return weights / PART * (format == WEIGHTS_Q4_K ? 4 : 2); }

static uint16_t half_at(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }

// 32 nibbles in order, eight to a word: 0 to 3 in the low halves of its bytes, 4 to 7 in the high ones.
static void put_nibbles(const uint8_t *restrict nibbles, uint8_t *restrict out)
{
    for (int word = 0; word < 4; word++)
        for (int i = 0; i < 4; i++)
            out[4 * word + i] = (uint8_t)(nibbles[8 * word + i] | nibbles[8 * word + 4 + i] << 4);
}

static void relay_q8_0(const uint8_t *block, uint8_t *quants, uint8_t *scales)
{
    memcpy(scales, block, 2);
    memcpy(quants, block + 2, PART);
}

static void relay_q4_0(const uint8_t *block, uint8_t *quants, uint8_t *scales)
{
    uint8_t nibbles[PART];
    for (int i = 0; i < 16; i++) nibbles[i] = block[2 + i] & 15, nibbles[16 + i] = block[2 + i] >> 4;
    memcpy(scales, block, 2);
    put_nibbles(nibbles, quants);
}

// Eight parts: two halves, then 6-bit scales and minimums in 12 bytes, then nibbles, 32 bytes for two parts.
static void relay_q4_k(const uint8_t *block, uint8_t *quants, uint8_t *scales)
{
    float scale = half_to_float(half_at(block)), minimum = half_to_float(half_at(block + 2));
    const uint8_t *six = block + 4;
    for (int part = 0; part < 8; part++) {
        int low = part & 3;
        int s = part < 4 ? six[low] & 63 : (six[8 + low] & 15) | (six[low] >> 6) << 4;
        int m = part < 4 ? six[4 + low] & 63 : six[8 + low] >> 4 | (six[4 + low] >> 6) << 4;
        uint16_t pair[2] = {float_to_half(scale * (float)s), float_to_half(minimum * (float)m)};
        memcpy(scales + 4 * part, pair, 4);
        const uint8_t *bytes = block + 16 + part / 2 * PART;
        uint8_t nibbles[PART];
        for (int i = 0; i < PART; i++) nibbles[i] = part & 1 ? bytes[i] >> 4 : bytes[i] & 15;
        put_nibbles(nibbles, quants + 16 * part);
    }
}

void small_relay(uint32_t format, const uint8_t *blocks, size_t weights, uint8_t *quants, uint8_t *scales)
{
    const struct BlockInfo *info = &BLOCK_INFO[format_blocks(format)];
    for (size_t done = 0; done < weights; done += info->weights, blocks += info->bytes) {
        uint8_t *q = quants + small_quant_bytes(format, done), *s = scales + small_scale_bytes(format, done);
        if (format == WEIGHTS_Q8_0) relay_q8_0(blocks, q, s);
        else if (format == WEIGHTS_Q4_0) relay_q4_0(blocks, q, s);
        else relay_q4_k(blocks, q, s);
    }
}

// A float is finite if the bits of its exponent are not all ones.
static bool all_finite(const float *in, size_t count)
{
    uint32_t special = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &in[i], sizeof bits);
        special |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !special;
}

void small_quantise(uint32_t format, float *in, size_t weights, uint8_t *room, uint8_t *quants, uint8_t *scales)
{
    const struct BlockInfo *info = &BLOCK_INFO[format_blocks(format)];
    for (size_t done = 0; done < weights; done += info->weights) {
        uint8_t *block = room + done / info->weights * info->bytes;
        bool finite = all_finite(in + done, info->weights);
        if (!finite) memset(in + done, 0, info->weights * sizeof *in);
        block_pack(format_blocks(format), in + done, info->weights, block);
        if (!finite) block[0] = HALF_NAN & 255, block[1] = HALF_NAN >> 8;
    }
    small_relay(format, room, weights, quants, scales);
}
