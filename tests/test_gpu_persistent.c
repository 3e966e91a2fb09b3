// Decode as one kernel against decode as dispatches: the same bits, on SwiftShader with two workgroups. On lavapipe,
// whose loops end after 65,535 turns, the trial run finds that the workgroups cannot wait for each other.
#define _POSIX_C_SOURCE 200809L // setenv
#include <stdlib.h>
#include <string.h>

#include "engine/persistent.h" // before cmocka, whose macro fail() hides a function
#include "decode_bits.h"
#include "fixture.h"
#include "short_run.h"
#include "synthetic_model.h"

#include "check.h"

#define GROUPS 2
#define TRIES 20 // two workgroups need two of the driver's threads at once, which a busy machine may not give them

static char model_dir[256];
static vkgpt_device *device;

static bool meets(void) { return strstr(device->info.name, "SwiftShader") != NULL; }

static vkgpt_model *open_model(const char *dir, vkgpt_format weights)
{
    vkgpt_error err;
    vkgpt_model *model;
    const vkgpt_model_options options = {.weights = weights};
    CHECK(vkgpt_model_open(device, dir, &options, &model, &err));
    return model;
}

// With groups 0 the session uses dispatches.
static vkgpt_session *open_session(vkgpt_model *model, vkgpt_session_options options, uint32_t groups,
                                   uint32_t stays_away)
{
    vkgpt_error err;
    vkgpt_session *s;
    CHECK(vkgpt_session_open(model, &options, &s, &err));
    assert_int_equal(s->persistent.groups, 0);
    s->persistent.stays_away = stays_away;
    for (int i = 0; groups && !s->persistent.groups && i < (meets() ? TRIES : 1); i++)
        CHECK(persistent_open(s, groups, &err));
    assert_int_equal(s->persistent.groups, meets() ? groups : 0);
    return s;
}

// ---------------------------------------------------------------------------------------- the same bits

// Compares the results of both forms. If a busy machine made a wait too long, which is not a wrong result, it tries
// again.
static void same_bits(vkgpt_model *model, vkgpt_session_options options, uint32_t prompt)
{
    struct Decoded dispatched, whole;
    vkgpt_session *s = open_session(model, options, 0, 0);
    decode_bits(s, prompt, &dispatched);
    vkgpt_session_close(s);
    bool met = false;
    for (int i = 0; !met && i < TRIES; i++) {
        s = open_session(model, options, GROUPS, 0);
        decode_bits(s, prompt, &whole);
        met = !s->persistent.gave_up;
        if (met && meets()) assert_int_equal(vkgpt_session_counters(s).dispatches_per_token, 1);
        vkgpt_session_close(s);
        assert_memory_equal(&dispatched, &whole, sizeof whole);
    }
    assert_true(met);
}

static void test_bits(void **state)
{
    (void)state;
    const vkgpt_format formats[] = {VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        // SwiftShader takes seconds to compile the kernel for each of these
        if (short_run() && formats[i] != VKGPT_F16) continue;
        vkgpt_model *model = open_model(model_dir, formats[i]);
        same_bits(model, (vkgpt_session_options){.tokens_per_submission = 1}, 63); // into the second split of the cache
        same_bits(model, (vkgpt_session_options){.tokens_per_submission = 2, .sequences = 3, .kv = VKGPT_F32}, 2);
        vkgpt_model_close(model);
        if (!meets()) break;
    }
}

// ------------------------------------------------------------------------------------- the other classes

static bool count(void *user, uint32_t id)
{
    uint32_t *ids = user;
    ids[++ids[0]] = id;
    return true;
}

// Writes the number of tokens to ids[0], then the tokens.
static void greedy(vkgpt_model *model, const struct Fixture *f, uint32_t groups, uint32_t ids[5], bool *met)
{
    vkgpt_error err;
    const vkgpt_sampling sampling = {.temperature = 0, .top_p = 1, .repeat_penalty = 1, .ignore_eos = true};
    vkgpt_session *s = open_session(model, (vkgpt_session_options){.tokens_per_submission = 2}, groups, 0);
    ids[0] = 0;
    CHECK(vkgpt_prompt(s, f->prompt, f->prompt_count, &err));
    CHECK(vkgpt_generate(s, &sampling, 4, count, ids, NULL, &err));
    *met = !s->persistent.gave_up;
    vkgpt_session_close(s);
}

// A norm after each half of a layer, a window of attention, a position offset, relu.
static void test_classes(void **state)
{
    (void)state;
    const char *names[] = {"gpt1/", "neo/", "opt/"};
    vkgpt_error err;
    if (!meets()) skip();
    for (size_t i = 0; i < (short_run() ? 1 : sizeof names / sizeof *names); i++) { // 13 s each
        size_t n = 0;
        while (strncmp(fixture_family_name(n), names[i], strlen(names[i]))) n++;
        struct Fixture f;
        CHECK(fixture_open(fixture_family_name(n), &f, &err));
        vkgpt_model *model = open_model(f.dir, VKGPT_F32);
        uint32_t dispatched[5], whole[5];
        bool met = false;
        greedy(model, &f, 0, dispatched, &met);
        for (int t = 0; t == 0 || (!met && t < TRIES); t++) {
            greedy(model, &f, model->projected ? 0 : GROUPS, whole, &met);
            assert_memory_equal(dispatched, whole, sizeof whole);
        }
        assert_true(met);
        vkgpt_model_close(model);
        fixture_close(&f);
    }
}

// --------------------------------------------------------------------------------- a meeting that fails

// The first workgroup is missing at a barrier in the middle of the second token: the kernel ends, and the session goes
// on with dispatches. The tokens are the same; none is lost, and none comes twice.
static void test_gives_up(void **state)
{
    (void)state;
    vkgpt_error err;
    if (!meets()) skip();
    vkgpt_model *model = open_model(model_dir, VKGPT_F16);
    for (uint32_t sequences = short_run() ? 3 : 1; sequences <= 3; sequences += 2) {
        // the kernels are those of test_bits
        const vkgpt_session_options options = {
            .tokens_per_submission = 4, .sequences = sequences, .kv = sequences > 1 ? VKGPT_F32 : VKGPT_AUTO};
        struct Decoded dispatched, whole;
        vkgpt_session *s = open_session(model, options, 0, 0);
        decode_bits(s, 2, &dispatched);
        vkgpt_session_close(s);
        s = open_session(model, options, GROUPS, 20);
        decode_bits(s, 2, &whole);
        assert_true(s->persistent.gave_up);
        assert_int_equal(s->persistent.groups, 0);
        for (uint32_t i = 0; i < sequences; i++) assert_int_equal(whole.counts[i], DECODED_TOKENS);
        assert_memory_equal(&dispatched, &whole, sizeof whole);
        assert_int_equal(vkgpt_session_counters(s).gave_up, 1);
        assert_int_equal(vkgpt_session_counters(s).steps, DECODED_TOKENS);
        for (uint32_t i = 0; i < sequences; i++) CHECK(vkgpt_batch_rewind(s, i, 0, &err));
        decode_bits(s, 2, &whole); // once more, in the same session
        assert_memory_equal(&dispatched, &whole, sizeof whole);
        vkgpt_session_close(s);
    }
    vkgpt_model_close(model);
}

// Work that the persistent kernel does not support is done by dispatches.
static void test_refused(void **state)
{
    (void)state;
    char why[96];
    vkgpt_error err;
    vkgpt_session *s;
    vkgpt_model *model = open_model(model_dir, VKGPT_F16);
    const struct {
        vkgpt_session_options options;
        const char *why;
    } cases[] = {
        {{.kv = VKGPT_Q8_0}, "the cache is quantised"},
        {{.lookup = 2}, "steps have drafts"},
        {{.sequences = PERSISTENT_ROWS + 1}, "there are too many sequences"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(vkgpt_session_open(model, &cases[i].options, &s, &err));
        assert_false(persistent_fits(s, why, sizeof why));
        assert_string_equal(why, cases[i].why);
        CHECK(persistent_open(s, GROUPS, &err));
        assert_int_equal(s->persistent.groups, 0);
        vkgpt_session_close(s);
    }
    vkgpt_model_close(model);
}

static int setup(void **state)
{
    (void)state;
    vkgpt_error err;
    setenv("VKGPT_DISABLE", "software_kernels", 1);
    if (vkgpt_device_open(NULL, &device, &err)) return -1;
    return synthetic_model_temporary(&DECODED_MODEL, model_dir, sizeof model_dir, &err);
}

static int teardown(void **state)
{
    (void)state;
    synthetic_model_remove(model_dir);
    int messages = (int)device->validation_messages;
    vkgpt_device_close(device);
    return messages;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
