// The arithmetic of the papers, and the memory of models that are too large to load here.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bounds.h"
#include "engine/memory_plan.h"
#include "model/arithmetic.h"

#include "preset_config.h"

#define GIB (UINT64_C(1) << 30)

static struct Arithmetic arithmetic(const char *name)
{
    struct Arithmetic a;
    struct Config config = config_of(name);
    arithmetic_of(&config, &(struct TrainingPlan){300e9, 28e12, 1.5}, &a);
    return a;
}

static void assert_about(double is, double wanted, double within)
{
    if (!(fabs(is - wanted) <= within)) fail_msg("%.17g, not %.17g", is, wanted);
}

static void test_papers(void **state)
{
    (void)state;
    struct Arithmetic small = arithmetic("gpt2"), xl = arithmetic("gpt2-xl"), gpt3 = arithmetic("gpt3-175b");
    assert_int_equal(small.params, 124439808);
    assert_int_equal(small.disk_f32, 497759232);
    assert_int_equal(small.disk_f16, 248879616);
    assert_int_equal(xl.params, 1557611200);
    assert_int_equal(gpt3.params, UINT64_C(174600720384)); // table D.1: 174,600M
    assert_about((double)gpt3.disk_f32, 700e9, 2e9);
    assert_about(gpt3.training_flops, 3.14e23, 0.005e23); // table D.1
    assert_true(floor(gpt3.years) == 355);
    assert_about(gpt3.cost, 4.68e6, 0.01e6);
    assert_about(gpt3.forward_flops, 3.492e11, 0.001e11);
    assert_about(gpt3.attention_flops, 4.0 * 12288 * 48 * (2048 + 256), 1); // half of the layers are banded
    assert_about(small.attention_flops, 4.0 * 768 * 12 * 1024, 1);
    // table D.1's FLOPs of the others
    static const struct {
        const char *name;
        double flops, within;
    } trained[] = {{"gpt3-125m", 2.25e20, 0.01e20}, {"gpt3-350m", 6.41e20, 0.01e20}, {"gpt3-760m", 1.37e21, 0.01e21},
                   {"gpt3-1.3b", 2.38e21, 0.02e21}, {"gpt3-2.7b", 4.77e21, 0.01e21}, {"gpt3-6.7b", 1.20e22, 0.01e22},
                   {"gpt3-13b", 2.31e22, 0.01e22}};
    for (size_t i = 0; i < sizeof trained / sizeof *trained; i++)
        assert_about(arithmetic(trained[i].name).training_flops, trained[i].flops, trained[i].within);
}

static struct MemoryPlan plan_of(const struct MemoryAsk *ask)
{
    vkgpt_error err;
    struct MemoryPlan plan;
    if (memory_plan(ask, &plan, &err)) fail_msg("%s", err.text);
    return plan;
}

static void test_parts(void **state)
{
    (void)state;
    struct Config config = config_of("gpt2");
    struct MemoryAsk ask = {.config = &config, .context = 1024, .batch = 1};
    struct MemoryPlan plan = plan_of(&ask);
    assert_int_equal(plan.layers, 12 * 12 * 768 * 768 * 2);
    assert_int_equal(plan.tables, (50264 + 1024) * 768 * 2);
    assert_int_equal(plan.vectors, (12 * 13 + 2) * 768 * 4);
    assert_int_equal(plan.cache, 2 * 12 * 1024 * 768 * 2);
    assert_int_equal(plan.activations, 1024 * 8 * 768 * 4);
    assert_int_equal(plan.rows, 1024);
    assert_int_equal(plan.step, plan.layers + plan.vectors + 50264 * 768 * 2);
    assert_int_equal(plan.step_cache, plan.cache);
    assert_int_equal(plan.device, plan.weight_blocks + plan.session_blocks);
    assert_true(plan.device >=
                plan.layers + plan.tables + plan.vectors + plan.cache + plan.activations + plan.logits + plan.state);
    assert_int_equal(plan.staging, 32 << 20);

    ask.batch = 5, ask.kv = VKGPT_F32, ask.context = 100;
    assert_int_equal(plan_of(&ask).cache, 5 * 2 * 12 * 100 * 768 * 4);
    ask.kv = VKGPT_Q8_0;
    assert_int_equal(plan_of(&ask).cache, 5 * 2 * 12 * 100 * 768 / 32 * 34);
}

// A stage has its own layers, the first one the tables of the embedding, the last one the head and all that it makes.
static void test_stages(void **state)
{
    (void)state;
    struct Config config = config_of("gpt2");
    const uint64_t layer = 12 * 768 * 768 * 2, vectors = 13 * 768 * 4, norm = 2 * 768 * 4, wte = 50264 * 768 * 2;
    struct MemoryAsk ask = {.config = &config, .context = 1024, .batch = 3};
    struct MemoryPlan all = plan_of(&ask), first, middle, last;
    ask.stages = 3;
    ask.first = 0, ask.end = 5, first = plan_of(&ask);
    ask.first = 5, ask.end = 6, middle = plan_of(&ask);
    ask.first = 6, ask.end = 12, last = plan_of(&ask);
    assert_int_equal(first.layers, 5 * layer);
    assert_int_equal(middle.layers, layer);
    assert_int_equal(first.layers + middle.layers + last.layers, all.layers);
    assert_int_equal(first.cache + middle.cache + last.cache, all.cache);
    assert_int_equal(middle.cache, 3 * 2 * 1024 * 768 * 2);
    assert_int_equal(first.tables, wte + 1024 * 768 * 2);
    assert_int_equal(middle.tables, 0);
    assert_int_equal(last.tables, wte);                         // the head is tied
    assert_int_equal(first.step, 5 * (layer + vectors) + norm); // of its tables it reads single rows
    assert_int_equal(middle.step, layer + vectors + norm);
    assert_int_equal(last.step, 6 * (layer + vectors) + norm + wte);
    assert_int_equal(first.step_cache + middle.step_cache + last.step_cache, all.step_cache);
    assert_int_equal(first.activations, all.activations);
    assert_true(!first.logits && !middle.logits && last.logits == all.logits && last.read >= all.read);
    assert_true(middle.device < first.device && first.device < all.device);
    const uint64_t streams = 4 * 768 * 4 * (uint64_t)middle.rows, few = 1 << 16; // of the 4 flights of 3 stages
    assert_true(middle.read >= streams && middle.read < streams + few);
    assert_true(middle.upload >= first.upload + streams && middle.upload < first.upload + streams + few);

    struct Config untied = config;
    untied.tied_head = false;
    ask = (struct MemoryAsk){.config = &untied, .context = 1024, .batch = 1, .end = 6};
    assert_int_equal(plan_of(&ask).tables, wte + 1024 * 768 * 2);
    ask.first = 6, ask.end = 12;
    assert_int_equal(plan_of(&ask).tables, wte);
}

static void test_local_layers_read_less(void **state)
{
    (void)state;
    struct Config config = config_of("gpt3-125m");
    struct MemoryPlan plan = plan_of(&(struct MemoryAsk){.config = &config, .context = 2048, .batch = 1});
    assert_int_equal(plan.cache, 2 * 12 * 2048 * 768 * 2);
    assert_int_equal(plan.step_cache, 2 * 6 * (2048 + 256) * 768 * 2);
}

static void test_small_formats(void **state)
{
    (void)state;
    struct Config config = config_of("gpt2"), xl = config_of("gpt2-xl");
    struct MemoryAsk ask = {.config = &config, .weights = VKGPT_Q8_0, .context = 1024, .batch = 1};
    uint64_t tables = 50264ull * 768 / 32 * 34 + 1024 * 768 * 2;
    assert_int_equal(plan_of(&ask).layers, 12 * 12 * 768 * 768 / 32 * 34);
    assert_int_equal(plan_of(&ask).tables, tables);
    ask.weights = VKGPT_Q4_0;
    assert_int_equal(plan_of(&ask).layers, 12 * 12 * 768 * 768 / 32 * 18);
    assert_int_equal(plan_of(&ask).tables, tables); // not in four bits
    ask.weights = VKGPT_Q4_K;
    assert_int_equal(plan_of(&ask).layers, 12 * 12 * 768 * 768 / 32 * 20);
    ask.config = &xl; // rows of 1600 are not a multiple of 256, rows of 6400 are
    assert_int_equal(plan_of(&ask).layers, 48 * (8ull * 1600 * 1600 / 32 * 18 + 1600 * 6400 / 32 * 20));
}

static void test_bad_asks(void **state)
{
    (void)state;
    vkgpt_error err;
    struct MemoryPlan plan;
    struct Config config = config_of("gpt2");
    struct MemoryAsk ask = {.config = &config, .context = 1025, .batch = 1};
    assert_int_equal(memory_plan(&ask, &plan, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "a context of 1025 tokens: the model has 1024 positions");
    ask.context = 1024, ask.end = 13;
    assert_int_equal(memory_plan(&ask, &plan, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "a stage of the layers from 0 up to 13: the model has 12 layers");
    ask.first = 12, ask.end = 0;
    assert_int_equal(memory_plan(&ask, &plan, &err), VKGPT_BAD_ARGUMENT);
    ask.first = 0, ask.batch = 0;
    assert_int_equal(memory_plan(&ask, &plan, &err), VKGPT_BAD_ARGUMENT);
}

// ------------------------------------------------------------------------------------- the first submissions

// The most FLOPs in a part, if a block of rows is cut after every `cut` dispatches.
static double largest_part(const struct Config *c, double rows, uint32_t cut)
{
    double dim = c->dim, width = (double)c->heads * c->head_dim, part = 0, most = 0;
    const double layer[] = {6 * dim * width, 4 * width * c->context, 2 * dim * width, 2 * dim * c->inner,
                            2 * dim * c->inner};
    for (uint32_t i = 0; i < c->layers * LAYER_DISPATCHES; i++) {
        if (cut && i % cut == 0) part = 0;
        part += rows * layer[i % LAYER_DISPATCHES];
        most = fmax(most, part);
    }
    return most;
}

// Without measurements, no submission takes more than 100 ms on a device with 200 GFLOP/s.
static void test_first_submissions(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
    static const double rows[] = {1, 16, 64, 128, 256};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct Config c = config_of(names[n]);
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            double flops = rows[r] * bounds_row_flops(&c, c.context, false);
            uint32_t cut = bounds_cut(flops, FIRST_FLOPS, c.layers * LAYER_DISPATCHES);
            assert_about(flops, largest_part(&c, rows[r], 0), 1e-6 * flops);
            assert_true(largest_part(&c, rows[r], cut) <= 20e9);
            assert_int_equal(cut == 0, flops <= 20e9);
        }
    }
    struct Config small = config_of("gpt2"), xl = config_of("gpt2-xl");
    assert_int_equal(bounds_cut(64 * bounds_row_flops(&small, 1024, false), FIRST_FLOPS, 60),
                     0); // the smallest block in one piece
    assert_true(bounds_cut(64 * bounds_row_flops(&xl, 1024, false), FIRST_FLOPS, 240) > 0);
    assert_int_equal(bounds_cut(1e15, 0, 240), 0); // a software driver
    assert_int_equal(bounds_cut(1e15, FIRST_FLOPS, 240), 1);
}

// Matrix kernels need both a required subgroup size and full subgroups.
static void test_matrices_want_subgroups(void **state)
{
    (void)state;
    const struct MatrixShape shape = {16, 16, 16};
    assert_int_equal(coopmat_usable(true, true, shape).m, 16);
    assert_int_equal(coopmat_usable(false, true, shape).m, 0);
    assert_int_equal(coopmat_usable(true, false, shape).m, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_papers),
        cmocka_unit_test(test_first_submissions),
        cmocka_unit_test(test_matrices_want_subgroups),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_local_layers_read_less),
        cmocka_unit_test(test_small_formats),
        cmocka_unit_test(test_bad_asks),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
