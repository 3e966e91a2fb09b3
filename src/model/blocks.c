// Unpacks and packs GGML's block formats, with one function per format and direction, for one block each. The loops
// have a known trip count, no branches and no aliases, so that the compiler can vectorise them.
#include "model/blocks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "model/half.h"

#define SMALL 32 // weights in a block of the plain formats, and in a part of a big one
#define BIG 256  // weights in a block of the K formats
#define PARTS 8  // parts of a big block that have their own scale and minimum
#define HALF_MAX 65504.0f

const struct BlockInfo BLOCK_INFO[BLOCK_FORMATS] = {
    [BLOCK_Q8_0] = {"q8_0", SMALL, 34, 8},      [BLOCK_Q4_0] = {"q4_0", SMALL, 18, 2},
    [BLOCK_Q4_1] = {"q4_1", SMALL, 20, 3},      [BLOCK_Q5_0] = {"q5_0", SMALL, 22, 6},
    [BLOCK_Q5_1] = {"q5_1", SMALL, 24, 7},      [BLOCK_Q4_K] = {"q4_k", BIG, 144, 12},
    [BLOCK_Q5_K] = {"q5_k", BIG, 176, 13},      [BLOCK_Q6_K] = {"q6_k", BIG, 210, 14},
    [BLOCK_Q2_K] = {"q2_k", BIG, 84, 10},       [BLOCK_Q3_K] = {"q3_k", BIG, 110, 11},
    [BLOCK_IQ4_NL] = {"iq4_nl", SMALL, 18, 20}, [BLOCK_IQ4_XS] = {"iq4_xs", BIG, 136, 23},
};

static float half_at(const uint8_t *block) { return half_to_float((uint16_t)(block[0] | block[1] << 8)); }

static void half_put(uint8_t *block, float value)
{
    uint16_t half = float_to_half(value);
    block[0] = (uint8_t)half;
    block[1] = (uint8_t)(half >> 8);
}

// ----------------------------------------------------------------------------------- unpacking, 32 weights

static void unpack_q8_0(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block);
    const int8_t *restrict quants = (const int8_t *)block + 2;
    for (int i = 0; i < SMALL; i++) out[i] = scale * (float)quants[i];
}

static void unpack_q4_0(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block);
    const uint8_t *restrict nibbles = block + 2;
    for (int i = 0; i < 16; i++) out[i] = scale * (float)((nibbles[i] & 15) - 8);
    for (int i = 0; i < 16; i++) out[16 + i] = scale * (float)((nibbles[i] >> 4) - 8);
}

static void unpack_q4_1(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block), minimum = half_at(block + 2);
    const uint8_t *restrict nibbles = block + 4;
    for (int i = 0; i < 16; i++) out[i] = scale * (float)(nibbles[i] & 15) + minimum;
    for (int i = 0; i < 16; i++) out[16 + i] = scale * (float)(nibbles[i] >> 4) + minimum;
}

// The fifth bits of 32 weights, each shifted to the value 16: bit i of a little-endian word belongs to weight i.
static void fifth_bits(const uint8_t *restrict bytes, uint8_t *restrict fifth)
{
    for (int b = 0; b < 4; b++)
        for (int i = 0; i < 8; i++) fifth[8 * b + i] = (uint8_t)((bytes[b] >> i & 1) << 4);
}

static void unpack_q5_0(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block);
    uint8_t fifth[SMALL];
    fifth_bits(block + 2, fifth);
    const uint8_t *restrict nibbles = block + 6;
    for (int i = 0; i < 16; i++) out[i] = scale * (float)(((nibbles[i] & 15) | fifth[i]) - 16);
    for (int i = 0; i < 16; i++) out[16 + i] = scale * (float)((nibbles[i] >> 4 | fifth[16 + i]) - 16);
}

static void unpack_q5_1(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block), minimum = half_at(block + 2);
    uint8_t fifth[SMALL];
    fifth_bits(block + 4, fifth);
    const uint8_t *restrict nibbles = block + 8;
    for (int i = 0; i < 16; i++) out[i] = scale * (float)((nibbles[i] & 15) | fifth[i]) + minimum;
    for (int i = 0; i < 16; i++) out[16 + i] = scale * (float)(nibbles[i] >> 4 | fifth[16 + i]) + minimum;
}

// The values of IQ4_NL and IQ4_XS: denser near 0, where most weights are.
static const int8_t unequal[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static void unpack_unequal(const uint8_t *restrict nibbles, float scale, float *restrict out)
{
    for (int i = 0; i < 16; i++) out[i] = scale * (float)unequal[nibbles[i] & 15];
    for (int i = 0; i < 16; i++) out[16 + i] = scale * (float)unequal[nibbles[i] >> 4];
}

static void unpack_iq4_nl(const uint8_t *restrict block, float *restrict out)
{
    unpack_unequal(block + 2, half_at(block), out);
}

// ---------------------------------------------------------------------------------- unpacking, 256 weights

struct Parts { // scales and minimums of the eight parts of a block; the minimum is subtracted
    float scale[PARTS], minimum[PARTS];
};

// A half scale, a half minimum, and 12 bytes with eight 6-bit multiples of each. Multiples 0 to 3 are the low 6 bits of
// bytes 0 to 3 (scales) and 4 to 7 (minimums). Multiples 4 to 7 have their low 4 bits in bytes 8 to 11, and their high
// 2 bits in the high bits of bytes 0 to 7.
static void parts_unpack(const uint8_t *restrict block, struct Parts *restrict parts)
{
    float scale = half_at(block), minimum = half_at(block + 2);
    const uint8_t *restrict packed = block + 4;
    for (int i = 0; i < 4; i++) {
        parts->scale[i] = scale * (float)(packed[i] & 63);
        parts->minimum[i] = minimum * (float)(packed[4 + i] & 63);
        parts->scale[4 + i] = scale * (float)((packed[8 + i] & 15) | (packed[i] >> 6) << 4);
        parts->minimum[4 + i] = minimum * (float)(packed[8 + i] >> 4 | (packed[4 + i] >> 6) << 4);
    }
}

static void unpack_q4_k(const uint8_t *restrict block, float *restrict out)
{
    struct Parts parts;
    parts_unpack(block, &parts);
    for (int p = 0; p < PARTS; p += 2) { // two parts share 32 bytes of nibbles
        const uint8_t *restrict nibbles = block + 16 + p / 2 * SMALL;
        float *restrict low = out + p * SMALL, *restrict high = low + SMALL;
        float scale = parts.scale[p], minimum = parts.minimum[p];
        float high_scale = parts.scale[p + 1], high_minimum = parts.minimum[p + 1];
        for (int i = 0; i < SMALL; i++) low[i] = scale * (float)(nibbles[i] & 15) - minimum;
        for (int i = 0; i < SMALL; i++) high[i] = high_scale * (float)(nibbles[i] >> 4) - high_minimum;
    }
}

static void unpack_q5_k(const uint8_t *restrict block, float *restrict out)
{
    struct Parts parts;
    parts_unpack(block, &parts);
    const uint8_t *restrict fifth = block + 16; // bit p of byte i belongs to weight i of part p
    for (int p = 0; p < PARTS; p += 2) {
        const uint8_t *restrict nibbles = block + 48 + p / 2 * SMALL;
        float *restrict low = out + p * SMALL, *restrict high = low + SMALL;
        float scale = parts.scale[p], minimum = parts.minimum[p];
        float high_scale = parts.scale[p + 1], high_minimum = parts.minimum[p + 1];
        for (int i = 0; i < SMALL; i++)
            low[i] = scale * (float)((nibbles[i] & 15) | (fifth[i] >> p & 1) << 4) - minimum;
        for (int i = 0; i < SMALL; i++)
            high[i] = high_scale * (float)(nibbles[i] >> 4 | (fifth[i] >> (p + 1) & 1) << 4) - high_minimum;
    }
}

// 16 weights that share a scale: nibbles at `shift`, two more bits at `top_shift`.
static inline void unpack_sixes(const uint8_t *restrict nibbles, int shift, const uint8_t *restrict top, int top_shift,
                                float scale, float *restrict out)
{
    for (int i = 0; i < 16; i++)
        out[i] = scale * (float)(((nibbles[i] >> shift & 15) | (top[i] >> top_shift & 3) << 4) - 32);
}

static void unpack_q6_k(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block + 208);
    for (int half = 0; half < 2; half++) {
        const uint8_t *nibbles = block + 64 * half, *top = block + 128 + 32 * half;
        const int8_t *scales = (const int8_t *)block + 192 + 8 * half;
        for (int s = 0; s < 2; s++) { // the first or second 16 of every 32 weights
            float *quarter = out + 128 * half + 16 * s;
            unpack_sixes(nibbles + 16 * s, 0, top + 16 * s, 0, scale * scales[s], quarter);
            unpack_sixes(nibbles + 32 + 16 * s, 0, top + 16 * s, 2, scale * scales[s + 2], quarter + 32);
            unpack_sixes(nibbles + 16 * s, 4, top + 16 * s, 4, scale * scales[s + 4], quarter + 64);
            unpack_sixes(nibbles + 32 + 16 * s, 4, top + 16 * s, 6, scale * scales[s + 6], quarter + 96);
        }
    }
}

// Every 16 weights have a scale and a minimum. 128 weights share 32 bytes, with two bits each.
static void unpack_q2_k(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block + 80), minimum = half_at(block + 82);
    for (int s = 0; s < 16; s++) {
        const uint8_t *restrict quarters = block + 16 + s / 8 * SMALL + s % 2 * 16;
        int shift = s % 8 / 2 * 2;
        float s_scale = scale * (float)(block[s] & 15), s_minimum = minimum * (float)(block[s] >> 4);
        for (int i = 0; i < 16; i++) out[16 * s + i] = s_scale * (float)(quarters[i] >> shift & 3) - s_minimum;
    }
}

// As unpack_q2_k, without minimums; a weight whose third bit is not set is 4 less. The low 4 bits of the scales are the
// nibbles of 8 bytes; their high 2 bits are in 4 more bytes.
static void unpack_q3_k(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block + 108);
    const uint8_t *restrict packed = block + 96;
    for (int s = 0; s < 16; s++) {
        const uint8_t *restrict thirds = block + s % 2 * 16;
        const uint8_t *restrict quarters = block + 32 + s / 8 * SMALL + s % 2 * 16;
        int shift = s % 8 / 2 * 2, bit = s / 2;
        int multiple = (packed[s % 8] >> s / 8 * 4 & 15) | (packed[8 + s % 4] >> s / 4 * 2 & 3) << 4;
        float s_scale = scale * (float)(multiple - 32);
        for (int i = 0; i < 16; i++)
            out[16 * s + i] = s_scale * (float)((quarters[i] >> shift & 3) - 4 + (thirds[i] >> bit & 1) * 4);
    }
}

static void unpack_iq4_xs(const uint8_t *restrict block, float *restrict out)
{
    float scale = half_at(block);
    int high = block[2] | block[3] << 8;
    for (int p = 0; p < PARTS; p++) {
        int multiple = (block[4 + p / 2] >> p % 2 * 4 & 15) | (high >> 2 * p & 3) << 4;
        unpack_unequal(block + 8 + 16 * p, scale * (float)(multiple - 32), out + SMALL * p);
    }
}

// ------------------------------------------------------------------------------------- packing, 32 weights

static float max_abs(const float *in)
{
    float max = 0;
    for (int i = 0; i < SMALL; i++) max = fabsf(in[i]) > max ? fabsf(in[i]) : max;
    return max;
}

// 1 / scale, or 0 if the scale is so small that it is zero in half precision anyway.
static float inverse(float scale) { return fabsf(scale) < FLT_MIN ? 0 : 1 / scale; }

static float clamp(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

static void pack_q8_0(const float *restrict in, uint8_t *restrict block)
{
    float scale = fminf(max_abs(in) / 127, HALF_MAX), back = inverse(scale);
    half_put(block, scale);
    for (int i = 0; i < SMALL; i++) block[2 + i] = (uint8_t)(int8_t)roundf(clamp(in[i] * back, -127, 127));
}

// The weight of the largest magnitude becomes -8: the range -8 to 7 has one more step on that side.
static void pack_q4_0(const float *restrict in, uint8_t *restrict block)
{
    float magnitude = 0, largest = 0;
    for (int i = 0; i < SMALL; i++) {
        if (fabsf(in[i]) <= magnitude) continue;
        magnitude = fabsf(in[i]);
        largest = in[i];
    }
    float scale = clamp(largest / -8, -HALF_MAX, HALF_MAX), back = inverse(scale);
    half_put(block, scale);
    for (int i = 0; i < 16; i++) {
        int low = (int)clamp(in[i] * back + 8.5f, 0, 15), high = (int)clamp(in[16 + i] * back + 8.5f, 0, 15);
        block[2 + i] = (uint8_t)(low | high << 4);
    }
}

// ------------------------------------------------------------------------------------ packing, 256 weights

#define LEVELS 15    // the largest 4-bit level
#define MULTIPLES 63 // the largest 6-bit scale or minimum

struct Fit { // x is about scale * level - minimum, both at least 0
    float scale, minimum, error;
};

struct Sums {        // sums over the weights of a part, each with the factor w
    float w, x, xx;  // x: the weights
    float l, ll, xl; // l: the levels that are tried
};

// Adds the upper half to the lower half, again and again: vector code can keep this order of additions.
static inline float product_sum(const float *restrict a, const float *restrict b)
{
    float sum[SMALL];
    for (int i = 0; i < SMALL; i++) sum[i] = a[i] * b[i];
    for (int i = 0; i < 16; i++) sum[i] += sum[16 + i];
    for (int i = 0; i < 8; i++) sum[i] += sum[8 + i];
    for (int i = 0; i < 4; i++) sum[i] += sum[4 + i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// The sums for the levels of x - low on a grid with `steps` levels per unit.
static void sums_level(const float *restrict x, const float *restrict w, const float *restrict wx, float low,
                       float steps, struct Sums *restrict sums)
{
    float level[SMALL], wl[SMALL];
    for (int i = 0; i < SMALL; i++) {
        float at = steps * (x[i] - low) + 0.5f; // not negative
        at = at < LEVELS ? at : LEVELS;
        level[i] = (float)(int)at;
        wl[i] = w[i] * level[i];
    }
    sums->l = product_sum(w, level);
    sums->ll = product_sum(wl, level);
    sums->xl = product_sum(wx, level);
}

// The scale and minimum with the least weighted square error, for given levels.
static struct Fit fit_levels(const struct Sums *s)
{
    struct Fit fit = {0};
    float determinant = s->w * s->ll - s->l * s->l;
    if (determinant > 0) {
        fit.scale = (s->w * s->xl - s->x * s->l) / determinant;
        fit.minimum = -(s->ll * s->x - s->l * s->xl) / determinant;
    }
    if (!(determinant > 0) || fit.minimum < 0) { // the minimum must not be negative: a line through the origin
        fit.scale = s->ll > 0 ? s->xl / s->ll : 0;
        fit.minimum = 0;
    }
    float a = fit.scale, b = fit.minimum;
    fit.error = s->xx - 2 * a * s->xl + 2 * b * s->x + a * a * s->ll - 2 * a * b * s->l + b * b * s->w;
    return fit;
}

// Tries grids a little narrower and wider than the range, fits a line to the levels of each, and keeps the best. Large
// weights count more: the factor w is the magnitude plus the root mean square.
static struct Fit part_fit(const float *restrict x)
{
    float low = 0, high = x[0], w[SMALL], wx[SMALL];
    for (int i = 0; i < SMALL; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (high - low < FLT_MIN) return (struct Fit){0, -low, 0};
    float root_mean_square = sqrtf(product_sum(x, x) / SMALL);
    struct Sums sums = {0};
    for (int i = 0; i < SMALL; i++) {
        w[i] = root_mean_square + fabsf(x[i]);
        wx[i] = w[i] * x[i];
        sums.w += w[i];
        sums.x += wx[i];
    }
    sums.xx = product_sum(wx, x);

    struct Fit best = {(high - low) / LEVELS, -low, INFINITY};
    for (int step = -10; step <= 10; step++) {
        sums_level(x, w, wx, low, (LEVELS + 0.1f * (float)step) / (high - low), &sums);
        struct Fit fit = fit_levels(&sums);
        if (fit.scale > 0 && fit.error < best.error) best = fit;
    }
    return best;
}

static void multiples_pack(const uint8_t *scales, const uint8_t *minimums, uint8_t *packed)
{
    for (int i = 0; i < 4; i++) {
        packed[i] = (uint8_t)(scales[i] | (scales[4 + i] >> 4) << 6);
        packed[4 + i] = (uint8_t)(minimums[i] | (minimums[4 + i] >> 4) << 6);
        packed[8 + i] = (uint8_t)((scales[4 + i] & 15) | (minimums[4 + i] & 15) << 4);
    }
}

static void levels_pack(const float *restrict x, float scale, float minimum, uint8_t *restrict levels)
{
    float back = inverse(scale);
    for (int i = 0; i < SMALL; i++) {
        float level = (x[i] + minimum) * back + 0.5f;
        level = level > 0 ? level : 0;
        levels[i] = (uint8_t)(int)(level < LEVELS ? level : LEVELS);
    }
}

static void pack_q4_k(const float *restrict in, uint8_t *restrict block)
{
    float x[BIG], scale = 0, minimum = 0;
    struct Fit fits[PARTS];
    for (int i = 0; i < BIG; i++) x[i] = clamp(in[i], -HALF_MAX * MULTIPLES, HALF_MAX * MULTIPLES); // the range
    for (int p = 0; p < PARTS; p++) {
        fits[p] = part_fit(x + p * SMALL);
        scale = fmaxf(scale, fits[p].scale);
        minimum = fmaxf(minimum, fits[p].minimum);
    }
    uint8_t scales[PARTS], minimums[PARTS], levels[2 * SMALL];
    float scale_back = inverse(scale / MULTIPLES), minimum_back = inverse(minimum / MULTIPLES);
    for (int p = 0; p < PARTS; p++) {
        scales[p] = (uint8_t)clamp(fits[p].scale * scale_back + 0.5f, 0, MULTIPLES);
        minimums[p] = (uint8_t)clamp(fits[p].minimum * minimum_back + 0.5f, 0, MULTIPLES);
    }
    half_put(block, fminf(scale / MULTIPLES, HALF_MAX));
    half_put(block + 2, fminf(minimum / MULTIPLES, HALF_MAX));
    multiples_pack(scales, minimums, block + 4);

    struct Parts parts; // as unpacking gives them
    parts_unpack(block, &parts);
    for (int p = 0; p < PARTS; p += 2) {
        levels_pack(x + p * SMALL, parts.scale[p], parts.minimum[p], levels);
        levels_pack(x + (p + 1) * SMALL, parts.scale[p + 1], parts.minimum[p + 1], levels + SMALL);
        for (int i = 0; i < SMALL; i++) block[16 + p / 2 * SMALL + i] = (uint8_t)(levels[i] | levels[SMALL + i] << 4);
    }
}

// ------------------------------------------------------------------------------------------------ all formats

static void (*const unpackers[BLOCK_FORMATS])(const uint8_t *restrict block, float *restrict out) = {
    [BLOCK_Q8_0] = unpack_q8_0, [BLOCK_Q4_0] = unpack_q4_0,     [BLOCK_Q4_1] = unpack_q4_1,
    [BLOCK_Q5_0] = unpack_q5_0, [BLOCK_Q5_1] = unpack_q5_1,     [BLOCK_Q4_K] = unpack_q4_k,
    [BLOCK_Q5_K] = unpack_q5_k, [BLOCK_Q6_K] = unpack_q6_k,     [BLOCK_Q2_K] = unpack_q2_k,
    [BLOCK_Q3_K] = unpack_q3_k, [BLOCK_IQ4_NL] = unpack_iq4_nl, [BLOCK_IQ4_XS] = unpack_iq4_xs,
};

void block_unpack(enum BlockFormat format, const uint8_t *blocks, size_t weights, float *out)
{
    const struct BlockInfo *info = &BLOCK_INFO[format];
    for (size_t i = 0; i < weights; i += info->weights, blocks += info->bytes) unpackers[format](blocks, out + i);
}

void block_pack(enum BlockFormat format, const float *in, size_t weights, uint8_t *blocks)
{
    const struct BlockInfo *info = &BLOCK_INFO[format];
    for (size_t i = 0; i < weights; i += info->weights, blocks += info->bytes) {
        if (format == BLOCK_Q8_0) pack_q8_0(in + i, blocks);
        else if (format == BLOCK_Q4_0) pack_q4_0(in + i, blocks);
        else pack_q4_k(in + i, blocks);
    }
}
