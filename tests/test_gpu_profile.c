// The limits of a device, and the profile of a token: every dispatch is found, every byte of weights and cache is
// counted once, and the session is unchanged. Times are not compared, because they depend on the machine.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session_open.h" // before cmocka, whose macro fail() hides a function

#include "check.h"
#include "compare.h"
#include "fixture.h"
#include "synthetic_model.h"

#define MAX_LINES 64

struct Opened {
    struct Fixture fixture;
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
};

static void open_fixture(struct Opened *o, const char *name)
{
    vkgpt_error err;
    *o = (struct Opened){0};
    CHECK(fixture_open(name, &o->fixture, &err));
    CHECK(vkgpt_device_open(NULL, &o->device, &err));
    CHECK(vkgpt_model_open(o->device, o->fixture.dir, NULL, &o->model, &err));
    CHECK(vkgpt_session_open(o->model, NULL, &o->session, &err));
}

static void close_fixture(struct Opened *o)
{
    uint32_t messages = o->device->validation_messages;
    vkgpt_session_close(o->session);
    vkgpt_model_close(o->model);
    vkgpt_device_close(o->device);
    fixture_close(&o->fixture);
    assert_int_equal(messages, 0);
}

// ------------------------------------------------------------------------------------------------- limits

static void test_limits(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_limits limits;
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(vkgpt_device_limits(device, &limits, &err));
    assert_true(isfinite(limits.copy_bytes_per_s) && limits.copy_bytes_per_s > 1e6 && limits.copy_bytes_per_s < 1e15);
    assert_true(limits.dispatch_seconds >= 0 && limits.dispatch_seconds < 1);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
}

// ------------------------------------------------------------------------------------------------ profiles

struct Lines {
    vkgpt_profile_line lines[MAX_LINES];
    size_t count;
    uint32_t calls;
    uint64_t bytes;
    double seconds, plain_seconds, flops, flops_done;
};

static void keep_line(void *user, const vkgpt_profile_line *line)
{
    struct Lines *lines = user;
    assert_true(lines->count < MAX_LINES);
    assert_true(line->calls > 0 && line->seconds >= 0);
    lines->lines[lines->count++] = *line;
    lines->calls += line->calls;
    lines->bytes += line->bytes;
    lines->seconds += line->seconds;
    lines->flops += line->flops;
    lines->flops_done += line->flops_done;
}

static const vkgpt_profile_line *line_of(const struct Lines *lines, const char *step)
{
    for (size_t i = 0; i < lines->count; i++)
        if (!strcmp(lines->lines[i].step, step)) return &lines->lines[i];
    fail_msg("no step %s", step);
    return NULL;
}

static struct Lines profile_runs(struct Opened *o, uint32_t rows, uint32_t repetitions)
{
    struct Lines lines = {.count = 0};
    vkgpt_error err;
    CHECK(vkgpt_profile(o->session, rows, repetitions, keep_line, &lines, &lines.plain_seconds, &err));
    assert_true(lines.seconds > 0);
    // the same dispatches: neither a small part of the time nor many times as much, even on a busy machine
    assert_true(lines.plain_seconds > 0.1 * lines.seconds && lines.plain_seconds < 10 * lines.seconds);
    return lines;
}

static struct Lines profile(struct Opened *o, uint32_t rows) { return profile_runs(o, rows, 8); }

static bool keep_id(void *user, uint32_t id)
{
    uint32_t **next = user;
    *(*next)++ = id;
    return true;
}

// Generates `count` tokens greedily, and rewinds.
static void go_on(struct Opened *o, uint32_t count, uint32_t *ids)
{
    vkgpt_error err;
    const vkgpt_sampling greedy = {.top_p = 1, .repeat_penalty = 1, .ignore_eos = true};
    uint32_t position = vkgpt_session_position(o->session);
    CHECK(vkgpt_generate(o->session, &greedy, count, keep_id, &ids, NULL, &err));
    CHECK(vkgpt_session_rewind(o->session, position, &err));
}

static uint64_t vector_bytes(const struct Opened *o)
{
    return ((uint64_t)o->model->at.count * o->model->config.layers + 2 * o->model->dim) * 4;
}

static void check_step(struct Opened *o, uint32_t tokens)
{
    vkgpt_error err;
    uint32_t before[4], after[4], layers = o->model->config.layers;
    CHECK(vkgpt_session_rewind(o->session, 0, &err));
    CHECK(vkgpt_prompt(o->session, o->fixture.ids, tokens, &err));
    go_on(o, 4, before);
    uint32_t *ring = (uint32_t *)o->session->b.ring.host;
    ring[tokens] = UINT32_MAX;
    struct Lines lines = profile(o, 0);
    assert_int_equal(ring[tokens], before[0]); // it was the next step
    assert_int_equal(vkgpt_session_position(o->session), tokens);
    go_on(o, 4, after);
    assert_memory_equal(before, after, sizeof before);

    assert_int_equal(lines.calls, vkgpt_session_counters(o->session).dispatches_per_token);
    assert_true(lines.bytes == vkgpt_step_bytes(o->session, tokens - 1) - vector_bytes(o));
    static const char *const steps[] = {"qkv", "attend", "project", "expand", "contract"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(line_of(&lines, steps[i])->calls, layers);
        assert_true(line_of(&lines, steps[i])->bytes > 0);
    }
    assert_true(line_of(&lines, "head")->bytes > 0);
    assert_int_equal(line_of(&lines, "sample")->calls, 1);
    assert_int_equal(line_of(&lines, "sample")->rows, 1);
}

// In the last layer a block computes only k and v. `attended`: bytes of the cache that the layers before it read.
static void check_block(struct Opened *o, uint32_t tokens, uint32_t rows, uint64_t attended)
{
    vkgpt_error err;
    uint32_t layers = o->model->config.layers;
    CHECK(vkgpt_session_rewind(o->session, 0, &err));
    CHECK(vkgpt_prompt(o->session, o->fixture.ids, tokens, &err));
    struct Lines lines = profile(o, rows), step = profile(o, 0);
    assert_int_equal(vkgpt_session_position(o->session), tokens);
    assert_int_equal(line_of(&lines, "expand")->rows, rows);
    assert_int_equal(line_of(&lines, "qkv")->calls, layers);
    assert_int_equal(line_of(&lines, "project")->calls, layers - 1);
    // without the bytes of contract, which uses the same kernel
    assert_true(line_of(&lines, "project")->bytes * layers == line_of(&step, "project")->bytes * (layers - 1));
    assert_true(line_of(&lines, "attend")->bytes == attended);
}

// Layers that look back at 65 positions, and layers that look back at all.
static void test_windows(void **state)
{
    (void)state;
    struct Opened o;
    vkgpt_error err;
    open_fixture(&o, "neo/long-300");
    const uint32_t cached = 2 * 2 * 32; // K and V of a position, of one layer, in f16
    uint64_t near = vkgpt_step_bytes(o.session, 64) - vkgpt_step_bytes(o.session, 63);
    uint64_t far = vkgpt_step_bytes(o.session, 65) - vkgpt_step_bytes(o.session, 64);
    assert_int_equal(near, 2 * cached);
    assert_int_equal(far, cached);
    check_step(&o, 1);
    check_step(&o, 200);
    check_block(&o, 200, 50, (65 + 50 - 1) * cached);
    assert_int_equal(vkgpt_profile(o.session, 201, 1, keep_line, NULL, NULL, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "201 tokens: the session has 200"));
    assert_int_equal(vkgpt_profile(o.session, 0, 0, keep_line, NULL, NULL, &err), VKGPT_BAD_ARGUMENT);
    close_fixture(&o);
}

// A token table with its own width, and two projections.
static void test_projections(void **state)
{
    (void)state;
    struct Opened o;
    vkgpt_error err;
    open_fixture(&o, "opt/before-projected-40");
    assert_int_equal(vkgpt_profile(o.session, 0, 1, keep_line, NULL, NULL, &err),
                     VKGPT_BAD_ARGUMENT); // no token has been read yet
    check_step(&o, 20);
    struct Lines lines = profile(&o, 0);
    assert_true(line_of(&lines, "embed_up")->bytes > 0);
    assert_true(line_of(&lines, "embed_down")->bytes > 0);
    close_fixture(&o);
}

// The FLOPs of a block in whole tiles against those that it needs: for a few tokens at most a tile, from 128 tokens on
// little more. The model has two layers, and its sizes are multiples of the tile; in the last layer a block computes
// only k and v.
static void padding(const char *disable, const char *dir, const uint32_t *counts, size_t n)
{
    vkgpt_error err;
    struct Opened o = {.device = NULL};
    uint32_t ids[1024];
    for (uint32_t i = 0; i < 1024; i++) ids[i] = i * 7 % 300;
    setenv("VKGPT_DISABLE", disable, 1);
    CHECK(vkgpt_device_open(NULL, &o.device, &err));
    unsetenv("VKGPT_DISABLE");
    CHECK(vkgpt_model_open(o.device, dir, NULL, &o.model, &err));
    o.device->software = false; // a software driver gets smaller blocks
    CHECK(session_open(o.model, NULL, &o.session, &err));
    o.device->software = true;
    for (size_t i = 0; i < n; i++) {
        const double count = counts[i], qkv = 6 * count * 128 * 128;
        const double least = 2 * qkv + 18 * count * 128 * 128 + 4 * 128 * count * (count + 1) / 2;
        CHECK(vkgpt_session_rewind(o.session, 0, &err));
        CHECK(vkgpt_prompt(o.session, ids, counts[i], &err));
        struct Lines lines = profile_runs(&o, counts[i], 1);
        assert_int_equal(line_of(&lines, "expand")->rows, counts[i]);
        assert_within(difference_f64(&lines.flops, &least, 1), 1e-9 * least, "FLOPs of %u tokens", counts[i]);
        assert_true(lines.flops_done >= lines.flops &&
                    line_of(&lines, "attend")->flops_done > line_of(&lines, "attend")->flops);
        assert_true(lines.flops_done < lines.flops * (counts[i] < 128 ? 70 : 1.12));
        assert_true(line_of(&lines, "qkv")->flops == 2 * qkv && line_of(&lines, "norm")->flops == 0);
    }
    vkgpt_session_close(o.session);
    vkgpt_model_close(o.model);
    assert_int_equal(o.device->validation_messages, 0);
    vkgpt_device_close(o.device);
}

static void test_padding(void **state)
{
    (void)state;
    vkgpt_error err;
    char dir[256];
    static const struct SyntheticModel model = {.layers = 2,
                                                .heads = 2,
                                                .dim = 128,
                                                .context = 1024,
                                                .vocab = 307,
                                                .inner = 512,
                                                .seed = 3,
                                                .dtype = DTYPE_F16};
    CHECK(synthetic_model_temporary(&model, dir, sizeof dir, &err));
    padding("", dir, (const uint32_t[]){1, 17, 64, 128, 512, 1000, 1024}, 7);
    padding("software_kernels", dir, (const uint32_t[]){1, 17, 64, 128, 1000}, 5); // fewer sizes, because it takes long
    synthetic_model_remove(dir);
}

static void test_no_timestamps(void **state)
{
    (void)state;
    struct Opened o;
    vkgpt_error err;
    vkgpt_limits limits;
    setenv("VKGPT_DISABLE", "timestamps", 1);
    open_fixture(&o, "opt/before-projected-40");
    unsetenv("VKGPT_DISABLE");
    CHECK(vkgpt_prompt(o.session, o.fixture.ids, 2, &err));
    assert_int_equal(vkgpt_profile(o.session, 0, 1, keep_line, NULL, NULL, &err), VKGPT_NO_DEVICE);
    assert_non_null(strstr(err.text, "timestamps"));
    CHECK(vkgpt_device_limits(o.device, &limits, &err)); // by the host's clock
    assert_true(limits.copy_bytes_per_s > 1e6);
    close_fixture(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_windows),       cmocka_unit_test(test_projections),
        cmocka_unit_test(test_padding), cmocka_unit_test(test_no_timestamps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
