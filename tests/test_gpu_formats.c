// Weights in the quantised formats on a device: their memory, how much they change the model's results, and which
// matrices cannot have them. The selftest compares the kernels with a reference. Runs twice, as test_gpu_model does.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function

#include "check.h"
#include "compare.h"
#include "fixture.h"
#include "short_run.h"

#define MODEL VKGPT_SOURCE_DIR "/models/tales"
#define TOKENS 32
#define VOCAB 4096

static vkgpt_model *open_model(vkgpt_device *device, const char *dir, vkgpt_format format)
{
    vkgpt_error err;
    vkgpt_model *model;
    check(vkgpt_model_open(device, dir, &(vkgpt_model_options){.weights = format}, &model, &err), &err);
    return model;
}

// -------------------------------------------------------------------------------------------- the answers

static bool keep_rows(void *user, const float *logits, size_t first, size_t rows)
{
    memcpy((float *)user + first * VOCAB, logits, rows * VOCAB * sizeof *logits);
    return true;
}

static uint32_t token(uint32_t i) { return (i * 2654435761u >> 16) % VOCAB; }

static float *logits_of(vkgpt_device *device, vkgpt_format format, vkgpt_format kv, uint64_t *bytes)
{
    vkgpt_error err;
    vkgpt_model *model = open_model(device, MODEL, format);
    vkgpt_session *session;
    uint32_t ids[TOKENS];
    float *logits = calloc(TOKENS * VOCAB, sizeof *logits);
    assert_non_null(logits);
    for (uint32_t i = 0; i < TOKENS; i++) ids[i] = token(i);
    check(vkgpt_session_open(model, &(vkgpt_session_options){.kv = kv}, &session, &err), &err);
    check(vkgpt_logits(session, ids, TOKENS, keep_rows, logits, &err), &err);
    assert_string_equal(vkgpt_model_describe(model)->note, "");
    *bytes = vkgpt_model_describe(model)->device_bytes;
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    return logits;
}

static double log_sum(const float *row)
{
    double most = (double)row[0], sum = 0;
    for (int i = 1; i < VOCAB; i++) most = fmax(most, (double)row[i]);
    for (int i = 0; i < VOCAB; i++) sum += exp((double)row[i] - most);
    return most + log(sum);
}

// The mean over the rows of sum p log(p / q).
static double divergence(const float *p, const float *q)
{
    double total = 0;
    for (int r = 0; r < TOKENS; r++, p += VOCAB, q += VOCAB) {
        double p_sum = log_sum(p), q_sum = log_sum(q);
        for (int i = 0; i < VOCAB; i++) {
            double log_p = (double)p[i] - p_sum;
            total += exp(log_p) * (log_p - ((double)q[i] - q_sum));
        }
    }
    return total / TOKENS;
}

static void at_most(double value, double bound, const char *format, const char *what)
{
    if (!(value <= bound)) fail_msg("%s: %s is %g, more than %g", format, what, value, bound);
}

// Bounds are a few times the values measured on random tokens, for which the model is the least certain.
static void formats_agree(vkgpt_device *device)
{
    const struct {
        vkgpt_format format;
        const char *name;
        double bound, size; // size: relative to the fp32 model
    } cases[] = {{VKGPT_F16, "f16", device->matrix.m ? 5e-6 : 1e-6, 0.51},
                 {VKGPT_Q8_0, "q8_0", 2e-3, 0.29},
                 {VKGPT_Q4_0, "q4_0", 0.5, 0.19},
                 {VKGPT_Q4_K, "q4_k", 0.3, 0.20}};
    uint64_t full, bytes;
    float *want = logits_of(device, VKGPT_F32, VKGPT_F32, &full);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *got = logits_of(device, cases[i].format, VKGPT_F32, &bytes);
        at_most(divergence(want, got), cases[i].bound, cases[i].name, "divergence from f32");
        at_most((double)bytes / (double)full, cases[i].size, cases[i].name, "size against f32");
        free(got);
    }
    free(want);
}

// --------------------------------------------------------------------------------------------- the tokens

struct Tokens {
    uint32_t ids[TOKENS];
    size_t count;
};

static bool keep_token(void *user, uint32_t id)
{
    struct Tokens *tokens = user;
    tokens->ids[tokens->count++] = id;
    return tokens->count < TOKENS;
}

static void generate(vkgpt_model *model, uint32_t per_submission, struct Tokens *tokens)
{
    vkgpt_error err;
    vkgpt_session *session;
    vkgpt_stop stop;
    vkgpt_sampling sampling = VKGPT_SAMPLING_DEFAULT;
    uint32_t prompt[] = {token(1), token(2), token(3)};
    *tokens = (struct Tokens){.count = 0};
    check(vkgpt_session_open(model, &(vkgpt_session_options){.tokens_per_submission = per_submission}, &session, &err),
          &err);
    check(vkgpt_prompt(session, prompt, 3, &err), &err);
    check(vkgpt_generate(session, &sampling, 24, keep_token, tokens, &stop, &err), &err);
    vkgpt_session_close(session);
}

static void submissions_agree(vkgpt_device *device)
{
    static const vkgpt_format formats[] = {VKGPT_Q8_0, VKGPT_Q4_0, VKGPT_Q4_K};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        vkgpt_model *model = open_model(device, MODEL, formats[i]);
        struct Tokens one, eight;
        generate(model, 1, &one);
        generate(model, 8, &eight);
        assert_int_equal(one.count, eight.count);
        assert_memory_equal(one.ids, eight.ids, one.count * sizeof one.ids[0]);
        vkgpt_model_close(model);
    }
}

// ----------------------------------------------------------------------------------------- rows that do not fit

// The widths of the fixtures are not a multiple of the block size: they run in other formats, and report them.
static void odd_widths_fall_back(vkgpt_device *device)
{
    vkgpt_error err;
    for (size_t i = 0; fixture_name(i); i++) {
        struct Fixture fixture;
        check(fixture_open(fixture_name(i), &fixture, &err), &err);
        vkgpt_model *model = open_model(device, fixture.dir, VKGPT_Q4_K);
        const vkgpt_model_info *info = vkgpt_model_describe(model);
        assert_string_equal(info->weights, "q4_k");
        if (info->dim % 256) assert_non_null(strstr(info->note, "not a multiple of the block size of q4_k"));
        if (info->dim % 32) assert_non_null(strstr(info->note, "matrices are f16"));
        vkgpt_model_close(model);
        fixture_close(&fixture);
    }
}

// A cache in q8_0 is different, but nearly as good; there are no narrower ones.
static void caches_agree(vkgpt_device *device)
{
    vkgpt_error err;
    vkgpt_session *session;
    uint64_t bytes;
    float *want = logits_of(device, VKGPT_F16, VKGPT_F32, &bytes),
          *got = logits_of(device, VKGPT_F16, VKGPT_Q8_0, &bytes);
    at_most(divergence(want, got), 2e-3, "a cache in q8_0", "divergence from f32");
    assert_memory_not_equal(want, got, TOKENS * VOCAB * sizeof *want);
    free(want);
    free(got);
    vkgpt_model *model = open_model(device, MODEL, VKGPT_Q8_0);
    assert_int_equal(vkgpt_session_open(model, &(vkgpt_session_options){.kv = VKGPT_Q4_0}, &session, &err),
                     VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "f32, f16 or q8_0"));
    vkgpt_model_close(model);
}

static void all(const char *disable, bool quick)
{
    vkgpt_error err;
    vkgpt_device *device;
    setenv("VKGPT_DISABLE", disable, 1);
    check(vkgpt_device_open(NULL, &device, &err), &err);
    formats_agree(device);
    if (!quick) {
        submissions_agree(device);
        odd_widths_fall_back(device);
        caches_agree(device);
    }
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    unsetenv("VKGPT_DISABLE");
}

// ------------------------------------------------------------------------------------------ matrices of the device

// *has: whether the device had cooperative matrices (`texels` false) or read texels.
static float *logits_without(const char *disable, vkgpt_format format, bool texels, bool *has)
{
    vkgpt_error err;
    vkgpt_device *device;
    uint64_t bytes;
    setenv("VKGPT_DISABLE", disable, 1);
    check(vkgpt_device_open(NULL, &device, &err), &err);
    unsetenv("VKGPT_DISABLE");
    float *logits = logits_of(device, format, VKGPT_F32, &bytes);
    *has = texels ? device->texels : device->matrix.m != 0;
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    return logits;
}

// A block of a prompt with the device's cooperative matrices, which round their factors to halves: activations, and
// weights in a quantised format. With f32 weights they are not used.
static void test_matrices_of_the_device(void **state)
{
    static const vkgpt_format formats[] = {VKGPT_F32, VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_0, VKGPT_Q4_K};
    bool with, without;
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        float *got = logits_without("software_kernels", formats[i], false, &with);
        if (!with) free(got);
        if (!with) skip(); // without such matrices both runs are the same
        float *want = logits_without("software_kernels,coopmat", formats[i], false, &without);
        assert_false(without);
        struct Difference error = difference_f32(got, want, TOKENS * VOCAB);
        if (formats[i] != VKGPT_F32) {
            assert_within(error, formats[i] == VKGPT_F16 ? 2e-2 : 4e-2, "logits by matrices, format %d",
                          (int)formats[i]);
            assert_true(error.most > 0);
        } else {
            assert_memory_equal(got, want, TOKENS * VOCAB * sizeof *got);
        }
        free(got);
        free(want);
    }
}

// On lavapipe, which reads texels: the kernels that do give the same bits as those that read storage buffers.
static void test_texels(void **state)
{
    bool with, without;
    (void)state;
    for (vkgpt_format format = VKGPT_F32; format <= VKGPT_Q4_K; format++) {
        float *got = logits_without("", format, true, &with);
        if (!with) {
            free(got);
            skip();
            return;
        }
        float *want = logits_without("texels", format, true, &without);
        assert_false(without);
        assert_memory_equal(got, want, TOKENS * VOCAB * sizeof *got);
        free(got);
        free(want);
    }
}

static void test_formats(void **state)
{
    (void)state;
    all("", false);
}

static void test_formats_without_options(void **state)
{
    (void)state;
    if (short_run()) skip(); // test_gpu_kernels has each of these kernels
    all("software_kernels,shuffle,unified,subgroup_size_control,timestamps,f16", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formats), cmocka_unit_test(test_formats_without_options),
                                       cmocka_unit_test(test_matrices_of_the_device), cmocka_unit_test(test_texels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
