// The whole model on a device against Hugging Face transformers: logits of every fixture, greedy continuations,
// negative log likelihoods. Runs twice: as the device is normally used, and with its optional features switched off (on
// a software driver: the kernels for GPUs, and weights through the staging ring). With names of fixtures as arguments
// it runs only those, once. The short run has one fixture of each class instead of all.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function

#include "check.h"
#include "compare.h"
#include "fixture.h"
#include "short_run.h"

struct Opened {
    struct Fixture fixture;
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
};

static void open_fixture(struct Opened *o, vkgpt_device *device, const char *name, vkgpt_format format)
{
    vkgpt_error err;
    *o = (struct Opened){.device = device};
    check(fixture_open(name, &o->fixture, &err), &err);
    check(vkgpt_model_open(device, o->fixture.dir, &(vkgpt_model_options){.weights = format}, &o->model, &err), &err);
    check(vkgpt_session_open(o->model, &(vkgpt_session_options){.kv = format}, &o->session, &err), &err);
}

static void close_fixture(struct Opened *o)
{
    vkgpt_session_close(o->session);
    vkgpt_model_close(o->model);
    fixture_close(&o->fixture);
}

struct Rows {
    const struct Fixture *fixture;
    const char *name;
    double bound;
    size_t next, seen;    // the next row of the fixture; rows that were passed to the callback
    const uint32_t *text; // for nll, or NULL
    size_t text_count;
};

static bool compare_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    const struct Fixture *f = r->fixture;
    assert_int_equal(first, r->seen);
    r->seen += rows;
    for (; r->next < f->row_count && f->rows[r->next] < first + rows; r->next++) {
        const float *got = logits + (f->rows[r->next] - first) * f->vocab, *want = f->logits + r->next * f->vocab;
        assert_within(difference_f32(got, want, f->vocab), r->bound, "%s: logits after token %u", r->name,
                      f->rows[r->next]);
    }
    return true;
}

static double row_nll(const float *row, uint32_t vocab, uint32_t id)
{
    double most = row[0], sum = 0;
    for (uint32_t i = 1; i < vocab; i++) most = row[i] > most ? row[i] : most;
    for (uint32_t i = 0; i < vocab; i++) sum += exp(row[i] - most);
    return most + log(sum) - row[id];
}

static bool compare_nll(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    const struct Fixture *f = r->fixture;
    for (size_t t = first; t < first + rows && t < f->nll_count; t++) {
        double got = row_nll(logits + (t - first) * f->vocab, f->vocab, f->text[t + 1]), want = f->nll[t];
        assert_within(difference_f64(&got, &want, 1), r->bound, "%s: nll of token %zu", r->name, t + 1);
    }
    r->seen += rows;
    return true;
}

struct Tokens {
    uint32_t ids[4096];
    size_t count;
};

static bool keep_token(void *user, uint32_t id)
{
    struct Tokens *tokens = user;
    tokens->ids[tokens->count++] = id;
    return tokens->count < 4096;
}

static void greedy_equals(struct Opened *o, const char *name, uint32_t per_submission)
{
    vkgpt_error err;
    const struct Fixture *f = &o->fixture;
    struct Tokens tokens = {.count = 0};
    vkgpt_sampling greedy = VKGPT_SAMPLING_DEFAULT;
    greedy.temperature = 0;
    greedy.ignore_eos = true;
    vkgpt_session *session;
    vkgpt_stop stop;
    check(vkgpt_session_open(o->model,
                             &(vkgpt_session_options){.kv = VKGPT_F32, .tokens_per_submission = per_submission},
                             &session, &err),
          &err);
    check(vkgpt_prompt(session, f->prompt, f->prompt_count, &err), &err);
    check(vkgpt_generate(session, &greedy, f->greedy_count, keep_token, &tokens, &stop, &err), &err);
    assert_int_equal(tokens.count, f->greedy_count);
    for (size_t i = 0; i < tokens.count; i++)
        if (tokens.ids[i] != f->greedy[i])
            fail_msg("%s: greedy token %zu is %u, should be %u", name, i, tokens.ids[i], f->greedy[i]);
    vkgpt_session_close(session);
}

static void fixture_agrees(vkgpt_device *device, const char *name)
{
    vkgpt_error err;
    struct Opened o;
    open_fixture(&o, device, name, VKGPT_F32);
    const struct Fixture *f = &o.fixture;
    struct Rows rows = {.fixture = f, .name = name, .bound = fmax(1e-3, 3 * f->float32_error)};
    check(vkgpt_logits(o.session, f->ids, f->id_count, compare_rows, &rows, &err), &err);
    assert_int_equal(rows.seen, f->id_count);
    assert_int_equal(rows.next, f->row_count);

    rows.seen = 0;
    check(vkgpt_session_rewind(o.session, 0, &err), &err);
    size_t count = f->text_count < f->context ? f->text_count : f->context;
    check(vkgpt_logits(o.session, f->text, count, compare_nll, &rows, &err), &err);
    assert_int_equal(rows.seen, count);

    if (f->greedy_count) {
        greedy_equals(&o, name, 1);
        greedy_equals(&o, name, 8);
    }
    close_fixture(&o);
}

static const char *const ONE_OF_EACH_CLASS[] = {"gelu-new-48", "gpt1/gelu-48", "neo/alternating-48", "opt/before-48",
                                                NULL};

static const char *const *given = ONE_OF_EACH_CLASS; // names of fixtures, NULL at the end

static void fixtures_agree(const char *disable, bool all)
{
    vkgpt_error err;
    vkgpt_device *device;
    setenv("VKGPT_DISABLE", disable, 1);
    check(vkgpt_device_open(NULL, &device, &err), &err);
    for (const char *const *name = given; !all && *name; name++) fixture_agrees(device, *name);
    for (size_t i = 0; all && fixture_name(i); i++) fixture_agrees(device, fixture_name(i));
    for (size_t i = 0; all && fixture_family_name(i); i++) fixture_agrees(device, fixture_family_name(i));
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    unsetenv("VKGPT_DISABLE");
}

static void test_given(void **state)
{
    (void)state;
    fixtures_agree("", false);
}

static void test_fixtures(void **state)
{
    (void)state;
    fixtures_agree("", !short_run_on_swiftshader());
}

static void test_fixtures_without_options(void **state)
{
    (void)state;
    if (short_run_on_swiftshader()) skip(); // test_gpu_kernels has every one of these kernels on lavapipe
    fixtures_agree("software_kernels,shuffle,unified,subgroup_size_control,timestamps,f16", !short_run());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest some[] = {cmocka_unit_test(test_given)};
    if (argc > 1) {
        given = (const char *const *)argv + 1;
        return cmocka_run_group_tests(some, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixtures),
                                       cmocka_unit_test(test_fixtures_without_options)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
