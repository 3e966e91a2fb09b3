// The split of layers over devices against all splits that there are.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/split.h"

#include <cmocka.h> // last: it has a macro called fail

#define MOST 12

struct Chain {
    double layer[MOST], embed, head; // bytes
    double speed[MOST], memory[MOST];
    uint32_t layers, stages;
};

static double stage_time(void *user, uint32_t stage, uint32_t first, uint32_t end)
{
    const struct Chain *c = user;
    double bytes = (first == 0 ? c->embed : 0) + (end == c->layers ? c->head : 0);
    assert_true(first < end && end <= c->layers && stage < c->stages);
    for (uint32_t l = first; l < end; l++) bytes += c->layer[l];
    return bytes > c->memory[stage] ? INFINITY : bytes / c->speed[stage];
}

// Tries each cut.
static double slowest_of_all(struct Chain *c, uint32_t stage, uint32_t first)
{
    if (stage + 1 == c->stages) return stage_time(c, stage, first, c->layers);
    double best = INFINITY;
    for (uint32_t end = first + 1; end + (c->stages - 1 - stage) <= c->layers; end++)
        best = fmin(best, fmax(stage_time(c, stage, first, end), slowest_of_all(c, stage + 1, end)));
    return best;
}

static double find(struct Chain *c, uint32_t *ends)
{
    vkgpt_error err;
    double slowest;
    if (split_find(c->layers, c->stages, stage_time, c, ends, &slowest, &err)) fail_msg("%s", err.text);
    return slowest;
}

static void assert_ends(struct Chain *c, const uint32_t *wanted)
{
    uint32_t ends[MOST];
    assert_true(isfinite(find(c, ends)));
    for (uint32_t i = 0; i < c->stages; i++)
        if (ends[i] != wanted[i]) fail_msg("stage %u ends at %u, not %u", i, ends[i], wanted[i]);
}

static void test_known(void **state)
{
    (void)state;
    struct Chain c = {.layers = 12, .stages = 5};
    for (uint32_t i = 0; i < MOST; i++) c.layer[i] = 1, c.speed[i] = 1, c.memory[i] = 100;
    uint32_t ends[MOST];
    assert_true(find(&c, ends) == 3);
    for (uint32_t i = 0, begin = 0; i < 5; begin = ends[i], i++) // balanced: none has one layer
        assert_in_range(ends[i] - begin, 2, 3);
    c.stages = 1;
    assert_ends(&c, (uint32_t[]){12});
    c.stages = 12;
    assert_ends(&c, (uint32_t[]){1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    c.stages = 2, c.head = 4; // the head is as much as four layers
    assert_ends(&c, (uint32_t[]){8, 12});
    c.head = 0, c.speed[1] = 3;
    assert_ends(&c, (uint32_t[]){3, 12});
    c.memory[1] = 6; // the fast one is small
    assert_ends(&c, (uint32_t[]){6, 12});
    c.memory[0] = 5;
    assert_true(isinf(find(&c, ends)));
    // a device that takes no other layer than the third
    c = (struct Chain){{1, 1, 5, 1}, 0, 0, {1, 1, 1}, {2, 1, 6}, 4, 3};
    assert_ends(&c, (uint32_t[]){1, 2, 4});
}

static void test_all_cuts(void **state)
{
    (void)state;
    uint32_t random = 12345, ends[MOST], unfit = 0;
    for (int i = 0; i < 2000; i++) {
        struct Chain c = {.layers = 1 + (uint32_t)i % 9};
        c.stages = 1 + (uint32_t)(i / 9) % c.layers;
#define RANDOM(n) (double)((random = random * 1664525 + 1013904223) >> 16 & ((n)-1))
        for (uint32_t l = 0; l < c.layers; l++) c.layer[l] = 1 + RANDOM(8);
        for (uint32_t s = 0; s < c.stages; s++) c.speed[s] = 1 + RANDOM(4), c.memory[s] = 8 + RANDOM(64);
        c.embed = RANDOM(8), c.head = RANDOM(16);
        double wanted = slowest_of_all(&c, 0, 0), slowest = find(&c, ends), own = 0;
        if (slowest != wanted) fail_msg("case %d: %g, not %g", i, slowest, wanted);
        unfit += isinf(slowest) != 0;
        if (isinf(slowest)) continue;
        for (uint32_t s = 0, begin = 0; s < c.stages; begin = ends[s], s++)
            own = fmax(own, stage_time(&c, s, begin, ends[s]));
        assert_true(own == slowest && ends[c.stages - 1] == c.layers);
    }
    assert_in_range(unfit, 100, 1900); // both kinds are met
}

static double even_time(void *user, uint32_t stage, uint32_t first, uint32_t end)
{
    (void)user, (void)stage;
    return end - first;
}

static void test_large(void **state)
{
    (void)state;
    static uint32_t ends[4096];
    vkgpt_error err;
    double slowest;
    assert_int_equal(split_find(4096, 1024, even_time, NULL, ends, &slowest, &err), 0);
    assert_true(slowest == 4 && ends[0] == 4 && ends[1023] == 4096);
}

static void test_refused(void **state)
{
    (void)state;
    uint32_t ends[4];
    vkgpt_error err;
    double slowest;
    assert_int_equal(split_find(2, 3, even_time, NULL, ends, &slowest, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "3 devices: the model has 2 layers to cut over them");
    assert_int_equal(split_find(2, 0, even_time, NULL, ends, &slowest, &err), VKGPT_BAD_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_all_cuts),
                                       cmocka_unit_test(test_large), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
