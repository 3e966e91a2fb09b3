// GGML's block formats against the package gguf (tests/fixtures/gguf, made by tools/fixtures_gguf.py), and the error of
// packing against a search over every scale and minimum.
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/blocks.h"
#include "model/formats.h"
#include "model_files.h"

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/gguf"

static struct Bytes fixture(enum BlockFormat format, const char *what)
{
    char name[32];
    snprintf(name, sizeof name, "%s.%s", BLOCK_INFO[format].name, what);
    return file_read(FIXTURES, name);
}

static void test_unpack(void **state)
{
    (void)state;
    for (int f = 0; f < BLOCK_FORMATS; f++) {
        const struct BlockInfo *info = &BLOCK_INFO[f];
        struct Bytes file = fixture((enum BlockFormat)f, "unpack");
        size_t blocks = file.count / (info->bytes + 4 * info->weights), weights = blocks * info->weights;
        assert_int_equal(file.count, blocks * (info->bytes + 4 * info->weights));
        assert_true(blocks > 0);
        float *values = malloc(weights * sizeof *values);
        block_unpack((enum BlockFormat)f, file.data, weights, values);
        for (size_t i = 0; i < weights; i++) {
            float wanted;
            memcpy(&wanted, file.data + blocks * info->bytes + 4 * i, sizeof wanted);
            if (values[i] != wanted) fail_msg("%s, weight %zu: %g, not %g", info->name, i, values[i], wanted);
        }
        free(values);
        bytes_free(&file);
    }
}

static void test_pack(void **state)
{
    (void)state;
    for (int f = BLOCK_Q8_0; f <= BLOCK_Q4_0; f++) {
        const struct BlockInfo *info = &BLOCK_INFO[f];
        struct Bytes file = fixture((enum BlockFormat)f, "pack");
        size_t blocks = file.count / (info->bytes + 4 * info->weights), weights = blocks * info->weights;
        float *values = malloc(weights * sizeof *values);
        uint8_t *packed = malloc(blocks * info->bytes);
        memcpy(values, file.data, weights * sizeof *values);
        block_pack((enum BlockFormat)f, values, weights, packed);
        for (size_t i = 0; i < blocks * info->bytes; i++)
            if (packed[i] != file.data[4 * weights + i])
                fail_msg("%s, byte %zu of block %zu: %d, not %d", info->name, i % info->bytes, i / info->bytes,
                         packed[i], file.data[4 * weights + i]);
        free(values);
        free(packed);
        bytes_free(&file);
    }
}

static float random_normal(uint64_t *state)
{
    double u = (random_next(state) + 1.0) / 4294967297.0, v = random_next(state) / 4294967296.0;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static const enum BlockFormat packed_formats[] = {BLOCK_Q8_0, BLOCK_Q4_0, BLOCK_Q4_K};

// The error is at most half a step, plus the error from rounding the scale to half precision.
static void test_round_trip(void **state)
{
    (void)state;
    static const float steps[] = {1.0f / 127, 1.0f / 8, 2.0f / 15}; // of a block whose magnitudes reach 1
    uint64_t seed = 1;
    float in[512], out[512];
    uint8_t packed[1024], again[1024];
    for (int round = 0; round < 200; round++) {
        float size = ldexpf(1, round % 14 - 6), most = 0; // scales that are normal halves
        for (int i = 0; i < 512; i++) {
            in[i] = size * random_normal(&seed);
            most = fmaxf(most, fabsf(in[i]));
        }
        for (size_t f = 0; f < 3; f++) {
            const struct BlockInfo *info = &BLOCK_INFO[packed_formats[f]];
            block_pack(packed_formats[f], in, 512, packed);
            block_unpack(packed_formats[f], packed, 512, out);
            float bound = most * steps[f] * (packed_formats[f] == BLOCK_Q4_0 ? 1.05f : 0.7f); // q4_0 has no +8
            for (int i = 0; i < 512; i++)
                if (!(fabsf(in[i] - out[i]) <= bound))
                    fail_msg("%s: %g came back as %g, bound %g", info->name, in[i], out[i], bound);
            if (packed_formats[f] == BLOCK_Q4_K) continue; // its scales are fitted again
            block_pack(packed_formats[f], out, 512, again);
            float twice[512];
            block_unpack(packed_formats[f], again, 512, twice);
            for (int i = 0; i < 512; i++) assert_true(fabsf(twice[i] - out[i]) <= most * 1e-3f);
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    static const float extremes[] = {0, -0.0f, 1e-45f, FLT_MIN, 6e-8f, 65504, -65504, 1e7f, -1e7f, FLT_MAX, -FLT_MAX};
    float in[256] = {0}, out[256];
    uint8_t packed[1024];
    for (size_t f = 0; f < 3; f++) {
        enum BlockFormat format = packed_formats[f];
        block_pack(format, in, 256, packed);
        block_unpack(format, packed, 256, out);
        for (int i = 0; i < 256; i++) assert_true(out[i] == 0);
        for (size_t e = 0; e < sizeof extremes / sizeof *extremes; e++) {
            for (int fill = 0; fill < 3; fill++) { // one of them, all of them, and mixed with the opposite
                float values[256] = {0};
                for (int i = 0; i < 256; i++)
                    values[i] = fill == 0 ? (i == 77) * extremes[e] : fill == 2 && i % 3 ? -extremes[e] : extremes[e];
                block_pack(format, values, 256, packed);
                block_unpack(format, packed, 256, out);
                for (int i = 0; i < 256; i++) {
                    assert_true(isfinite(out[i]));
                    bool kept = fabsf(extremes[e]) <= 65504 && fabsf(extremes[e]) > 1e-3f;
                    if (kept && fabsf(out[i] - values[i]) > fabsf(extremes[e]) / 7.9f)
                        fail_msg("%s: %g came back as %g", BLOCK_INFO[format].name, values[i], out[i]);
                }
            }
        }
    }
}

// The smallest square error of 32 weights on 16 levels, over a fine grid of scales and minimums (at least 0).
static double brute_force(const float *x)
{
    float low = 0, high = x[0];
    for (int i = 0; i < 32; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    double best = INFINITY;
    for (int s = 0; s < 100; s++) {
        double scale = (high - low) / 15.0 * (0.6 + 0.005 * s);
        for (int m = 0; m < 60; m++) {
            double minimum = -low * (0.6 + 0.01 * m), error = 0;
            for (int i = 0; i < 32; i++) {
                double level = fmin(fmax(floor((x[i] + minimum) / scale + 0.5), 0), 15);
                double off = x[i] - (scale * level - minimum);
                error += off * off;
            }
            best = fmin(best, error);
        }
    }
    return best;
}

static double square_error(const float *a, const float *b, int count)
{
    double error = 0;
    for (int i = 0; i < count; i++) error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return error;
}

// The error of q4_k is near the smallest possible one. It is larger because the search of q4_k minimises a weighted
// error, and its scales have 6 bits.
static void test_q4_k_search(void **state)
{
    (void)state;
    static const char *const kinds[] = {"normal", "shifted", "outlier", "positive"};
    uint64_t seed = 2;
    for (int kind = 0; kind < 4; kind++) {
        double q4_k = 0, q4_0 = 0, best = 0;
        for (int round = 0; round < 6; round++) {
            float in[256], out[256];
            uint8_t packed[144];
            for (int i = 0; i < 256; i++) {
                in[i] = random_normal(&seed);
                if (kind == 1) in[i] -= 0.5f;
                if (kind == 2 && i % 32 == 5) in[i] *= 4;
                if (kind == 3) in[i] = fabsf(in[i]);
            }
            block_pack(BLOCK_Q4_K, in, 256, packed);
            block_unpack(BLOCK_Q4_K, packed, 256, out);
            q4_k += square_error(in, out, 256);
            block_pack(BLOCK_Q4_0, in, 256, packed);
            block_unpack(BLOCK_Q4_0, packed, 256, out);
            q4_0 += square_error(in, out, 256);
            for (int p = 0; p < 8; p++) best += brute_force(in + 32 * p);
        }
        if (!(q4_k < 1.25 * best)) fail_msg("%s: square error %g, the best there is %g", kinds[kind], q4_k, best);
        if (!(q4_k < 0.85 * q4_0)) fail_msg("%s: square error %g, q4_0 has %g", kinds[kind], q4_k, q4_0);
    }
}

// The names in the table of formats are those of the blocks, and of the choices that flags offer.
static void test_names(void **state)
{
    (void)state;
    char choices[64] = "";
    for (int f = VKGPT_AUTO; f <= VKGPT_Q4_K; f++) {
        const struct FormatInfo *info = &FORMAT_INFO[f];
        if (info->dtype == DTYPE_BLOCKS) assert_string_equal(info->name, BLOCK_INFO[info->block].name);
        snprintf(choices + strlen(choices), sizeof choices - strlen(choices), "%s%s", f ? "|" : "", info->name);
        if (f == VKGPT_Q8_0) assert_string_equal(choices, KV_CHOICES);
    }
    assert_string_equal(choices, FORMAT_CHOICES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpack),   cmocka_unit_test(test_pack),        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_q4_k_search), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
