// The sampling reference against results of its definition, worked out by hand, and the integer draw against float64.
#include "selftest/reference_sample.h"

#include <stdbool.h>

#include "compare.h"

#define V 5
static const float LOGITS[V] = {0.0f, 2.0f, 1.0f, 2.0f, -1.0f};

static void samples(struct ReferenceSampling sampling, const double *weights)
{
    double scratch[V], got[V], want[V], total = 0;
    for (size_t i = 0; i < V; i++) total += weights[i];
    for (size_t i = 0; i < V; i++) want[i] = weights[i] / total;
    reference_sample(&sampling, V, LOGITS, scratch, got);
    assert_within(difference_f64(got, want, V), 1e-15, "T %g, k %zu, p %g, min-p %g, penalty %g", sampling.temperature,
                  sampling.top_k, sampling.top_p, sampling.min_p, sampling.repeat_penalty);
}

#define SAMPLING(t, p, min, penalty, k)                                                                                \
    ((struct ReferenceSampling){.temperature = t, .top_p = p, .min_p = min, .repeat_penalty = penalty, .top_k = k})
#define E exp(1.0)

static void test_limits(void **state)
{
    (void)state;
    samples(SAMPLING(0, 1, 0, 1, 0), (double[]){0, 1, 0, 0, 0}); // the lowest id of two
    samples(SAMPLING(1, 1, 0, 1, 0), (double[]){1, E * E, E, E * E, 1 / E});
    samples(SAMPLING(1, 1, 0, 1, 1), (double[]){0, 1, 0, 1, 0}); // equal logits stay together
    samples(SAMPLING(1, 1, 0, 1, 3), (double[]){0, E, 1, E, 0});
    samples(SAMPLING(1, 1, 0, 1, 9), (double[]){1, E * E, E, E * E, 1 / E});
    samples(SAMPLING(1, 0, 0, 1, 0), (double[]){0, 1, 0, 1, 0});
    samples(SAMPLING(1, 0.80, 0, 1, 0), (double[]){0, E, 1, E, 0}); // the two largest have 0.77
    samples(SAMPLING(1, 0.95, 0, 1, 0), (double[]){1, E * E, E, E * E, 0});
    samples(SAMPLING(1, 1, 0.3, 1, 0), (double[]){0, E, 1, E, 0}); // exp(-1) = 0.37
    samples(SAMPLING(1, 1, 1, 1, 0), (double[]){0, 1, 0, 1, 0});
}

// The penalty is applied first, then the limits, then the temperature.
static void test_order(void **state)
{
    (void)state;
    const uint32_t recent[] = {1, 4, 1, 1};
    struct ReferenceSampling again = SAMPLING(1, 1, 0, 2, 0), greedy = SAMPLING(0, 1, 0, 2, 0);
    again.recent = greedy.recent = recent;
    again.recent_count = 4, greedy.recent_count = 1;
    samples(SAMPLING(2, 1, 0, 1, 3), (double[]){0, sqrt(E), 1, sqrt(E), 0});
    samples(SAMPLING(100, 0.80, 0, 1, 0), (double[]){0, exp(0.01), 1, exp(0.01), 0});
    samples(again, (double[]){1, E, E, E * E, exp(-2.0)}); // 2 / 2, once, and -1 * 2
    samples(greedy, (double[]){0, 0, 0, 1, 0});
}

// Biases come first, then the repeat penalty, then what is lost by how often a token was generated.
static void test_changes(void **state)
{
    (void)state;
    const uint32_t recent[] = {1}, generated[] = {1, 2, 1};
    const struct ReferenceBias biases[] = {{1, 2.0f}, {4, 3.0f}};
    struct ReferenceSampling s = SAMPLING(1, 1, 0, 2, 0);
    s.biases = biases, s.bias_count = 2;
    samples(s, (double[]){1, exp(4.0), E, E * E, E * E});
    s.recent = recent, s.recent_count = 1;
    samples(s, (double[]){1, E * E, E, E * E, E * E});
    s.generated = generated, s.generated_count = 3, s.frequency = 0.5, s.presence = 0.25;
    samples(s, (double[]){1, exp(2 - 1.25), exp(1 - 0.75), E * E, E * E});
}

static void test_random(void **state)
{
    (void)state;
    double mean = 0;
    for (uint32_t i = 0; i < 4096; i++) {
        double random = reference_random(7, i);
        assert_true(random >= 0 && random < 1);
        mean += random / 4096;
    }
    assert_true(fabs(mean - 0.5) < 0.02);
    assert_true(reference_random(7, 0) != reference_random(7 + (1ull << 32), 0));
}

// ---------------------------------------------------------------------------------- the draw in integers

#define MANY 300
#define SLACK 2e-6 // error of the integer weights, and of a limit between two tokens

static uint32_t drawn(const struct ReferenceSampling *s, const float *logits, uint64_t seed)
{
    float changed[MANY];
    uint32_t scratch[2 * MANY];
    return reference_draw(s, MANY, logits, seed, 3, changed, scratch);
}

// The distance of the random number from the token's share of [0, 1); 0 inside it.
static double outside(const struct ReferenceSampling *s, const float *logits, uint64_t seed, uint32_t token)
{
    double scratch[MANY], p[MANY], below = 0, random = reference_random(seed, 3);
    reference_sample(s, MANY, logits, scratch, p);
    if (p[token] == 0) return INFINITY;
    for (uint32_t i = 0; i < token; i++) below += p[i];
    return fmax(fdim(below, random), fdim(random, below + p[token]));
}

// If a limit is between two tokens, rounding may move it to either side.
static double draw_error(struct ReferenceSampling s, const float *logits, uint64_t seed)
{
    uint32_t token = drawn(&s, logits, seed);
    double top_p = s.top_p, min_p = s.min_p, error = outside(&s, logits, seed, token);
    for (int side = -1; side <= 1 && !(error <= SLACK); side += 2) {
        s.top_p = top_p < 1 ? fmin(fmax(top_p + side * SLACK, 0), 1) : top_p;
        s.min_p = min_p * (1 + side * SLACK);
        error = fmin(error, outside(&s, logits, seed, token));
    }
    return error;
}

static void fill_logits(float *logits, double spread, double centre, bool steps)
{
    uint32_t word = 1;
    for (uint32_t i = 0; i < MANY; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) sum += (word = word * 1664525u + 1013904223u) * 0x1p-31 - 1;
        logits[i] = (float)(centre + spread * (steps ? floor(2 * sum) / 2 : sum));
    }
}

static void test_draw(void **state)
{
    (void)state;
    static const double temperatures[] = {1e-30, 0.1, 0.8, 1.5, 1e6}, top_ps[] = {0, 0.1, 0.95, 1};
    static const double min_ps[] = {0, 0.05, 1}, penalties[] = {0.7f, 1, 1.3f};
    static const size_t top_ks[] = {0, 1, 2, 40, MANY - 1, MANY, MANY + 5};
    const uint32_t recent[] = {1, 7, 250, 7, 7, MANY + 3}, generated[] = {9, 7, 11, 7};
    const struct ReferenceBias biases[] = {{7, 1.5f}, {12, -2.5f}, {200, 0.25f}};
    float logits[MANY];
    uint64_t seed = 0;
    for (size_t i = 0; i < 5 * 4 * 3 * 3 * 7; i++) {
        struct ReferenceSampling s = SAMPLING((float)temperatures[i % 5], (float)top_ps[i / 5 % 4],
                                              (float)min_ps[i / 20 % 3], penalties[i / 60 % 3], top_ks[i / 180]);
        s.recent = recent, s.recent_count = 6;
        s.biases = biases, s.bias_count = i % 4;
        s.generated = generated, s.generated_count = i % 5 ? 4 : 0, s.frequency = 0.5f, s.presence = -0.75f;
        fill_logits(logits, 2, i % 2 ? -60 : 0.5, i % 3 == 0);
        for (int n = 0; n < 4; n++, seed++)
            assert_within(difference_f64((double[]){draw_error(s, logits, seed)}, (double[]){0}, 1), SLACK,
                          "T %g, k %zu, p %g, min-p %g, penalty %g, seed %u", s.temperature, s.top_k, s.top_p, s.min_p,
                          s.repeat_penalty, (unsigned)seed);
    }
}

// Pearson's chi-square of 65,536 draws; with 299 degrees of freedom it is above 420 once in 10^5 times.
static void test_draw_frequencies(void **state)
{
    (void)state;
    const struct ReferenceSampling s = SAMPLING(1.5, 1, 0, 1, 0);
    const uint32_t draws = 65536;
    float logits[MANY];
    double scratch[MANY], p[MANY], chi_square = 0;
    uint32_t seen[MANY] = {0};
    fill_logits(logits, 1, -40, false);
    reference_sample(&s, MANY, logits, scratch, p);
    for (uint64_t seed = 0; seed < draws; seed++) seen[drawn(&s, logits, seed)]++;
    for (uint32_t i = 0; i < MANY; i++) {
        double expected = draws * p[i];
        chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    assert_true(chi_square < 420);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits), cmocka_unit_test(test_order), cmocka_unit_test(test_changes),
        cmocka_unit_test(test_random), cmocka_unit_test(test_draw),  cmocka_unit_test(test_draw_frequencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
