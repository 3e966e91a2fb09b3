#include "selftest/reference_sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "selftest/reference.h"

static void penalise(const struct ReferenceSampling *s, size_t vocab, double *logits)
{
    for (size_t i = 0; i < s->recent_count; i++) {
        uint32_t id = s->recent[i];
        bool again = id >= vocab;
        for (size_t j = 0; j < i && !again; j++) again = s->recent[j] == id;
        if (!again) logits[id] = logits[id] > 0 ? logits[id] / s->repeat_penalty : logits[id] * s->repeat_penalty;
    }
}

// How often a token was generated: 0 except at its first place, so that it is counted once.
static uint32_t count_at(const struct ReferenceSampling *s, size_t first)
{
    uint32_t count = 0;
    for (size_t i = 0; i < s->generated_count; i++) {
        if (s->generated[i] != s->generated[first]) continue;
        if (i < first) return 0;
        count++;
    }
    return count;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// The least logit that may be drawn; sorted (count) is in falling order.
static double sample_limit(const struct ReferenceSampling *s, size_t count, const double *sorted)
{
    if (s->top_k > 0 && s->top_k < count)
        while (count > s->top_k && sorted[count - 1] < sorted[s->top_k - 1]) count--;
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++) total += exp(sorted[i] - sorted[0]);
    size_t last = count - 1;
    if (s->top_p < 1)
        for (last = 0; last + 1 < count; last++) {
            sum += exp(sorted[last] - sorted[0]);
            if (sum >= s->top_p * total) break;
        }
    double limit = sorted[last];
    if (s->min_p > 0) limit = fmax(limit, sorted[0] + log(s->min_p));
    return fmin(limit, sorted[0]);
}

void reference_sample(const struct ReferenceSampling *s, size_t vocab, const float *logits, double *scratch,
                      double *probabilities)
{
    double *p = probabilities;
    for (size_t i = 0; i < vocab; i++) p[i] = (double)logits[i];
    for (size_t i = 0; i < s->bias_count; i++) p[s->biases[i].id] += (double)s->biases[i].value;
    penalise(s, vocab, p);
    for (size_t i = 0; i < s->generated_count; i++)
        if (count_at(s, i)) p[s->generated[i]] -= count_at(s, i) * s->frequency + s->presence;
    for (size_t i = 0; i < vocab; i++) scratch[i] = p[i];
    qsort(scratch, vocab, sizeof *scratch, falling);
    double most = scratch[0], limit = sample_limit(s, vocab, scratch), total = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (s->temperature > 0) p[i] = p[i] >= limit ? exp((p[i] - most) / s->temperature) : 0;
        else p[i] = p[i] == most && total == 0 ? 1 : 0;
        total += p[i];
    }
    for (size_t i = 0; i < vocab; i++) p[i] /= total;
}

static uint32_t random_word(uint64_t seed, uint32_t position)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, counter[4] = {position, 0, 0, 0};
    uint32_t words[4];
    reference_philox(key, counter, words);
    return words[0];
}

double reference_random(uint64_t seed, uint32_t position) { return random_word(seed, position) * 0x1p-32; }

// ------------------------------------------------------------------------------- the draw, in integers

#define ONE (1u << 30)    // the weight of the largest logit
#define LOG2E 0xB8AA3B29u // in 2^-31

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// A key that rises as logits fall; 0 and -0 have the same key.
static uint32_t key_of(float logit)
{
    uint32_t bits = bits_of(logit);
    return bits & 0x80000000u ? bits - 1 : ~bits & 0x7fffffffu;
}

// number / 2^31 / divisor, rounded down to 24 bits.
static float ratio(uint32_t number, float divisor)
{
    divisor = divisor < 1e-29f ? 1e-29f : divisor > 1e29f ? 1e29f : divisor;
    uint32_t bits = bits_of(divisor), mantissa = (bits & 0x7fffffu) | 0x800000u;
    uint64_t quotient = ((uint64_t)number << 16) / mantissa; // of 24 bits or 25
    if (quotient >> 24) return ldexpf((float)(quotient >> 1), 104 - (int)(bits >> 23));
    return ldexpf((float)quotient, 103 - (int)(bits >> 23));
}

// 2^30 exp((logit - maximum) / temperature), rounded down. Every step is rounded to a float by itself.
static uint32_t weight_of(float logit, float maximum, float log2e_by_temperature)
{
    static const float coefficients[] = {0.0092262486f, -0.0553284921f, 0.24019675f, -0.693146288f, 1.0f};
    float below = maximum - logit, y = below * log2e_by_temperature;
    if (!(y < 31.0f)) return 0;
    uint32_t whole = (uint32_t)y;
    float f = y - (float)whole, p = -0.000948230561f;
    for (size_t i = 0; i < sizeof coefficients / sizeof *coefficients; i++) {
        p = p * f;
        p = p + coefficients[i];
    }
    return (uint32_t)(p * 0x1p30f) >> whole;
}

static uint64_t part_of(uint64_t x, uint32_t part) { return (x >> 32) * part + ((x & UINT32_MAX) * part >> 32); }

static int rising_words(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void penalise_floats(const struct ReferenceSampling *s, size_t vocab, const float *logits, float *changed)
{
    float penalty = (float)s->repeat_penalty, inverse = ratio(0x80000000u, penalty);
    memcpy(changed, logits, vocab * sizeof *logits);
    for (size_t i = 0; i < s->bias_count; i++) changed[s->biases[i].id] += s->biases[i].value;
    for (size_t i = 0; i < s->recent_count && penalty != 1.0f; i++) {
        uint32_t id = s->recent[i];
        bool again = id >= vocab;
        for (size_t j = 0; j < i && !again; j++) again = s->recent[j] == id;
        if (!again) changed[id] = changed[id] * (changed[id] > 0 ? inverse : penalty);
    }
    for (size_t i = 0; i < s->generated_count; i++) {
        uint32_t count = count_at(s, i);
        float less = (float)count * (float)s->frequency;
        less = less + (float)s->presence;
        if (count) changed[s->generated[i]] -= less;
    }
}

// The least weight that top-p keeps; sorted (count) gets the weights.
static uint32_t least_of_mass(const uint32_t *weights, size_t count, float top_p, uint32_t *sorted)
{
    uint64_t total = 0, sum = 0;
    for (size_t i = 0; i < count; i++) total += sorted[i] = weights[i];
    qsort(sorted, count, sizeof *sorted, rising_words);
    uint64_t mass = part_of(total, (uint32_t)((top_p > 0 ? top_p : 0) * 0x1p32f)), target = mass ? mass - 1 : 0;
    while (count > 1 && (sum += sorted[count - 1]) <= target) count--;
    return sorted[count - 1];
}

uint32_t reference_draw(const struct ReferenceSampling *s, size_t vocab, const float *logits, uint64_t seed,
                        uint32_t position, float *changed, uint32_t *scratch)
{
    uint32_t *weights = scratch, *sorted = scratch + vocab, best = 0, least_key = UINT32_MAX;
    float scale = ratio(LOG2E, (float)s->temperature), top_p = (float)s->top_p, min_p = (float)s->min_p;
    penalise_floats(s, vocab, logits, changed);
    for (uint32_t i = 1; i < vocab; i++)
        if (changed[i] > changed[best]) best = i;
    if (s->temperature <= 0) return best;

    float maximum = changed[best];
    if (s->top_k > 0 && s->top_k < vocab) {
        for (size_t i = 0; i < vocab; i++) sorted[i] = key_of(changed[i]);
        qsort(sorted, vocab, sizeof *sorted, rising_words);
        least_key = sorted[s->top_k - 1];
    }
    for (size_t i = 0; i < vocab; i++)
        weights[i] = key_of(changed[i]) <= least_key ? weight_of(changed[i], maximum, ratio(LOG2E, 1.0f)) : 0;
    uint32_t least = (uint32_t)((min_p < 0 ? 0 : min_p > 1 ? 1 : min_p) * (float)ONE);
    uint32_t least_mass = top_p < 1 ? least_of_mass(weights, vocab, top_p, sorted) : 0;
    if (least_mass > least) least = least_mass;

    uint64_t total = 0, sum = 0;
    for (size_t i = 0; i < vocab; i++) {
        bool kept = key_of(changed[i]) <= least_key && weights[i] >= least;
        total += weights[i] = kept ? weight_of(changed[i], maximum, scale) : 0;
    }
    uint64_t target = part_of(total, random_word(seed, position));
    uint32_t token = 0;
    while (token + 1 < vocab && (sum += weights[token]) <= target) token++;
    return token;
}
