// The sampling reference against what its definition gives by hand.
#include "engine/reference_sample.h"

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

// in the order of struct ReferenceSampling
#define SAMPLING(temperature, top_p, min_p, penalty, top_k) \
    ((struct ReferenceSampling){temperature, top_p, min_p, penalty, top_k, NULL, 0})
#define E exp(1.0)

static void test_limits(void **state)
{
    (void)state;
    samples(SAMPLING(0, 1, 0, 1, 0), (double[]){0, 1, 0, 0, 0}); // the lowest id of two
    samples(SAMPLING(1, 1, 0, 1, 0), (double[]){1, E * E, E, E * E, 1 / E});
    samples(SAMPLING(1, 1, 0, 1, 1), (double[]){0, 1, 0, 1, 0}); // equals stay together
    samples(SAMPLING(1, 1, 0, 1, 3), (double[]){0, E, 1, E, 0});
    samples(SAMPLING(1, 1, 0, 1, 9), (double[]){1, E * E, E, E * E, 1 / E});
    samples(SAMPLING(1, 0, 0, 1, 0), (double[]){0, 1, 0, 1, 0});
    samples(SAMPLING(1, 0.80, 0, 1, 0), (double[]){0, E, 1, E, 0}); // the two largest have 0.77
    samples(SAMPLING(1, 0.95, 0, 1, 0), (double[]){1, E * E, E, E * E, 0});
    samples(SAMPLING(1, 1, 0.3, 1, 0), (double[]){0, E, 1, E, 0}); // exp(-1) = 0.37
    samples(SAMPLING(1, 1, 1, 1, 0), (double[]){0, 1, 0, 1, 0});
}

// The limits come before the temperature, the penalty before both.
static void test_order(void **state)
{
    (void)state;
    const uint32_t recent[] = {1, 4, 1, 1};
    struct ReferenceSampling again = {1, 1, 0, 2, 0, recent, 4}, greedy = {0, 1, 0, 2, 0, recent, 1};
    samples(SAMPLING(2, 1, 0, 1, 3), (double[]){0, sqrt(E), 1, sqrt(E), 0});
    samples(SAMPLING(100, 0.80, 0, 1, 0), (double[]){0, exp(0.01), 1, exp(0.01), 0});
    samples(again, (double[]){1, E, E, E * E, exp(-2.0)}); // 2 / 2, once, and -1 * 2
    samples(greedy, (double[]){0, 0, 0, 1, 0});
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
