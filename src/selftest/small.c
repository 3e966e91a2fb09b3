// Weights in the quantised formats for the selftest, by its own quantiser. It need not be a good one: the reference
// only has to compute with exactly the weights that the kernels get.
#include <math.h>
#include <string.h>

#include "selftest/selftest.h"

#define PART 32
#define HALF_INFINITY 0x7c00

struct Part {
    uint16_t scale, minimum; // halves
    uint8_t quants[PART];
};

static double least_of(const double *v)
{
    double least = v[0];
    for (int i = 1; i < PART; i++) least = fmin(least, v[i]);
    return least;
}

// An infinity makes all 32 infinite.
static void encode_infinity(double *v, struct Part *part)
{
    *part = (struct Part){.scale = HALF_INFINITY};
    memset(part->quants, 1, PART);
    for (int i = 0; i < PART; i++) v[i] = INFINITY;
}

// Replaces the values with those that the part holds.
static void encode_part(uint32_t format, double *v, struct Part *part)
{
    double least = least_of(v), largest = 0.0, most = -INFINITY;
    for (int i = 0; i < PART; i++) largest = fmax(largest, fabs(v[i])), most = fmax(most, v[i]);
    if (isinf(largest)) {
        encode_infinity(v, part);
        return;
    }
    double low = format == WEIGHTS_Q8_0 ? -127.0 : 0.0, high = format == WEIGHTS_Q8_0 ? 127.0 : 15.0;
    double step = format == WEIGHTS_Q4_K   ? (most - least) / 15.0
                  : format == WEIGHTS_Q4_0 ? largest / 7.0
                                           : largest / 127.0;
    part->scale = float_to_half((float)step);
    part->minimum = float_to_half((float)-least);
    double scale = (double)half_to_float(part->scale), minimum = 0.0;
    if (format == WEIGHTS_Q4_0) minimum = 8.0 * scale;
    if (format == WEIGHTS_Q4_K) minimum = (double)half_to_float(part->minimum);
    for (int i = 0; i < PART; i++) {
        double q = scale > 0.0 ? fmin(fmax(round((v[i] + minimum) / scale), low), high) : 0.0;
        part->quants[i] = (uint8_t)(int)q;
        v[i] = q * scale - minimum;
    }
}

static void put_part(uint32_t format, const struct Part *part, uint8_t *quants, uint8_t *scales)
{
    memcpy(scales, &part->scale, 2);
    if (format == WEIGHTS_Q4_K) memcpy(scales + 2, &part->minimum, 2);
    for (int i = 0; i < PART; i++) {
        int word = i / 8, byte = i % 4, shift = i % 8 < 4 ? 0 : 4;
        if (format == WEIGHTS_Q8_0) quants[i] = part->quants[i];
        else quants[4 * word + byte] |= (uint8_t)(part->quants[i] << shift);
    }
}

void selftest_small_row(uint32_t format, double *row, uint32_t in, uint8_t *quants, uint8_t *scales)
{
    for (uint32_t i = 0; i < in; i += PART) {
        struct Part part;
        encode_part(format, row + i, &part);
        put_part(format, &part, quants, scales);
        quants += format == WEIGHTS_Q8_0 ? PART : PART / 2;
        scales += format == WEIGHTS_Q4_K ? 4 : 2;
    }
}
