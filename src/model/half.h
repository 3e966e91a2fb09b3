// Half precision and bfloat16, one number at a time. Inline and without branches, so that compilers can vectorise
// loops.
#ifndef VKGPT_MODEL_HALF_H
#define VKGPT_MODEL_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float bits_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

// condition ? a : b by masks: a branch, or a ternary that becomes one, stops the compiler from vectorising the loop.
static inline uint32_t pick(bool condition, uint32_t a, uint32_t b)
{
    uint32_t mask = 0 - (uint32_t)condition;
    return (a & mask) | (b & ~mask);
}

// The multiplication by 2^112 corrects the exponent, and also normalises subnormal numbers.
static inline float half_to_float(uint16_t h)
{
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t finite = float_bits(bits_float(magnitude) * 0x1p112f);
    uint32_t special = magnitude | 0x7f800000; // infinity and NaN
    return bits_float(sign | pick(magnitude < 0x0f800000, finite, special));
}

static inline float bfloat_to_float(uint16_t b) { return bits_float((uint32_t)b << 16); }

// Rounds to nearest even; past 65504 gives infinity, NaN stays NaN.
static inline uint16_t float_to_half(float f)
{
    uint32_t bits = float_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13; // to nearest, ties to even
    // at 0.5 a float's last digit is 2^-24, the smallest step of half precision: the addition rounds
    uint32_t small = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000;
    uint32_t nan = 0x7e00 | (magnitude >> 13 & 0x3ff);
    uint32_t half = pick(magnitude < 0x38800000, small, normal);
    half = pick(magnitude >= 0x477ff000, 0x7c00, half); // 65520 and above
    half = pick(magnitude > 0x7f800000, nan, half);
    return (uint16_t)(sign | half);
}

#endif
