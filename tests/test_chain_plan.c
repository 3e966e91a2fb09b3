// The plan of a model over several devices: the split, the memory of each, what fits, and the cost model.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory_advice.h"

#include "preset_config.h"

#define GIB (UINT64_C(1) << 30)

static struct ChainAsk ask_of(const struct Config *config, uint32_t devices, uint64_t memory)
{
    return (struct ChainAsk){
        .memory = {.config = config, .context = config->context, .batch = 1},
        .devices = devices,
        .device_memory = memory,
        .device = {1e12, INFINITY, 5e-6},
        .link = {50e9, 5e-6},
    };
}

static struct ChainPlan plan_of(const struct ChainAsk *ask)
{
    vkgpt_error err;
    struct ChainPlan plan;
    if (chain_plan(ask, &plan, &err)) fail_msg("%s", err.text);
    return plan;
}

static void assert_about(double is, double wanted)
{
    if (!(fabs(is - wanted) <= 1e-9 * fabs(wanted))) fail_msg("%.17g, not %.17g", is, wanted);
}

static void test_split(void **state)
{
    (void)state;
    struct Config config = config_of("gpt2");
    struct ChainAsk ask = ask_of(&config, 3, 0);
    struct ChainPlan plan = plan_of(&ask);
    assert_int_equal(plan.count, 3);
    // the head reads as much as 5.4 layers, so of the 12 layers the last stage has two
    const uint32_t ends[] = {5, 10, 12};
    for (int i = 0; i < 3; i++) assert_int_equal(plan.stages[i].end, ends[i]);
    assert_int_equal(plan.stages[2].memory.tables, 50264 * 768 * 2);
    assert_true(plan.fits && plan.stages[1].fits);
    double bytes = (double)plan.stages[1].memory.step; // 5 layers of 5 dispatches
    assert_about(plan.stages[1].seconds, bytes / 1e12 + 25 * 5e-6);
    assert_about(plan.stages[0].seconds, bytes / 1e12 + 26 * 5e-6);
    chain_plan_free(&plan);
    ask.devices = 100;
    plan = plan_of(&ask);
    assert_int_equal(plan.count, 12);
    chain_plan_free(&plan);
}

// The least number of devices is that with the first plan that fits.
static void test_least_devices(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2-xl", "gpt3-13b"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct Config config = config_of(names[n]);
        struct ChainAsk ask = ask_of(&config, 1, 0);
        struct ChainPlan whole = plan_of(&ask);
        const uint64_t all = whole.stages[0].memory.device;
        chain_plan_free(&whole);
        for (uint64_t part = 1; part <= 8; part++) {
            ask.device_memory = all / part;
            const uint32_t least = chain_least_devices(&ask);
            uint32_t first = 0;
            for (ask.devices = 1; !first && ask.devices <= config.layers; ask.devices++) {
                struct ChainPlan plan = plan_of(&ask);
                assert_int_equal(plan.fits, plan.stages[plan.fullest].memory.device <= ask.device_memory);
                assert_int_equal(plan.fits, chain_fits(&ask));
                if (plan.fits) first = ask.devices;
                chain_plan_free(&plan);
            }
            if (first != least) fail_msg("%s in 1/%d: %u, not %u", names[n], (int)part, least, first);
            if (part == 1) assert_int_equal(least, 1);
        }
    }
    struct Config config = config_of("gpt2");
    struct ChainAsk ask = ask_of(&config, 12, 1 << 20);
    assert_int_equal(chain_least_devices(&ask), 0);
}

// Memory decides before time does: a split that fits is taken where the fastest one does not fit.
static void test_memory_first(void **state)
{
    (void)state;
    struct Config config = config_of("gpt2");
    struct ChainAsk ask = ask_of(&config, 2, 0);
    ask.memory.batch = 64; // the cache is most of what a layer needs
    struct ChainPlan fast = plan_of(&ask);
    assert_int_equal(fast.stages[0].end, 7);
    assert_int_equal(fast.fullest, 0);
    ask.device_memory = fast.stages[0].memory.device - 1;
    struct ChainPlan fits = plan_of(&ask);
    assert_true(fits.fits);
    assert_int_equal(fits.stages[0].end, 6);
    chain_plan_free(&fast);
    chain_plan_free(&fits);
}

static void test_costs(void **state)
{
    (void)state;
    const struct CostDevice device = {100, 10, 0.5};
    const struct CostLink link = {400, 0.25};
    const struct StageWork one = {.weights = 50, .cache = 10, .flops = 1, .dispatches = 2};
    assert_about(cost_stage(&device, &one, 1), 0.6 + 1); // bytes
    assert_about(cost_stage(&device, &one, 50), 5.5 + 1);
    const struct StageWork much = {.weights = 50, .flops = 20, .dispatches = 2};
    assert_about(cost_stage(&device, &much, 3), 6 + 1); // FLOPs
    assert_about(cost_transfers(&link, 1, 4, 100), 0);
    assert_about(cost_transfers(&link, 3, 4, 100), 2 * (0.25 + 4) + 0.25);

    const struct StageWork stages[] = {{.weights = 100}, {.weights = 300}, {.weights = 200}};
    const struct CostLink fast = {INFINITY, 0.1};
    struct CostTimes t;
    cost_chain(&device, &fast, stages, 3, 100, 1, 1, &t);
    assert_about(t.token, 6 + 0.3);
    assert_about(t.round, t.token);
    assert_about(t.rate, 1 / 6.3);
    assert_about(t.bubble, 1 - 3 / 6.3);
    cost_chain(&device, &fast, stages, 3, 100, 6, 2, &t); // two micro-batches still leave gaps
    assert_about(t.token, 6.3);
    assert_about(t.round, 6.3);
    assert_about(t.rate, 6 / 6.3);
    cost_chain(&device, &fast, stages, 3, 100, 6, 3, &t); // three keep the slowest stage busy
    assert_about(t.round, 9);
    assert_about(t.slowest, 9);
    assert_about(t.rate, 6 / 9.0);
    assert_true(t.bubble == 0);
    const struct CostLink slow = {50, 0.1}; // 2 rows x 4 x 100 bytes take 16 s
    cost_chain(&device, &slow, stages, 3, 100, 6, 3, &t);
    assert_about(t.round, 48);
}

static void test_micro_batches(void **state)
{
    (void)state;
    struct Config config = config_of("gpt2");
    struct ChainAsk ask = ask_of(&config, 3, 0);
    static const uint32_t wanted[][3] = {{0, 1, 1}, {0, 2, 2}, {0, 8, 3}, {5, 8, 5}, {5, 2, 2}, {1, 8, 1}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        ask.micro_batches = wanted[i][0], ask.memory.batch = wanted[i][1];
        struct ChainPlan plan = plan_of(&ask);
        assert_int_equal(plan.micro_batches, wanted[i][2]);
        chain_plan_free(&plan);
    }
}

static void test_advice(void **state)
{
    (void)state;
    struct Config config = config_of("gpt3-13b");
    struct ChainAsk ask = ask_of(&config, 1, 38 * GIB);
    struct MemoryAdvice advice[MAX_ADVICE];
    ask.memory.batch = 8;
    assert_false(chain_fits(&ask));
    uint32_t count = memory_advise(&ask, 1, advice);
    const char *const wanted[] = {"-c ", "--batch ", "--kv q8_0", "--weights q8_0", "--devices-per-machine 2"};
    assert_int_equal(count, 5);
    for (uint32_t i = 0; i < count; i++) {
        if (strncmp(advice[i].flags, wanted[i], strlen(wanted[i])) != 0)
            fail_msg("%s, not %s", advice[i].flags, wanted[i]);
        assert_true(advice[i].device <= ask.device_memory);
    }
    ask.memory.context = (uint32_t)atoi(advice[0].flags + 3); // the largest context that fits
    assert_true(chain_fits(&ask));
    ask.memory.context++;
    assert_false(chain_fits(&ask));

    ask = ask_of(&config, 1, 8 * GIB);
    count = memory_advise(&ask, 1, advice); // fits only with both formats narrower
    assert_int_equal(count, 2);
    assert_string_equal(advice[0].flags, "--weights q4_0 --kv q8_0");
    assert_int_equal(strncmp(advice[1].flags, "--devices-per-machine ", 22), 0);
    ask.device_memory = 1 << 20;
    assert_int_equal(memory_advise(&ask, 1, advice), 0); // nothing fits
    ask = ask_of(&config, 2, 8 * GIB);                   // two machines with a device each
    count = memory_advise(&ask, 1, advice);
    assert_string_equal(advice[count - 1].flags, "--machines 5");
    assert_true(advice[count - 1].device <= 8 * GIB);
}

static void test_bad_asks(void **state)
{
    (void)state;
    vkgpt_error err;
    struct ChainPlan plan;
    struct Config config = config_of("gpt2");
    struct ChainAsk ask = ask_of(&config, 2, 0);
    ask.memory.context = 1025;
    assert_int_equal(chain_plan(&ask, &plan, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "a context of 1025 tokens: the model has 1024 positions");
    assert_null(plan.stages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),    cmocka_unit_test(test_least_devices), cmocka_unit_test(test_memory_first),
        cmocka_unit_test(test_costs),    cmocka_unit_test(test_micro_batches), cmocka_unit_test(test_advice),
        cmocka_unit_test(test_bad_asks),
    };
    return cmocka_run_group_tests_name("chain_plan", tests, NULL, NULL);
}
