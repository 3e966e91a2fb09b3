// Devices with low limits: tests/faults sets a device's limits to those that vkgpt requires, and the others to the
// lowest values that Vulkan allows, and reports what exceeds them. The tokens stay the same. A device with less is not
// used.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "check.h"
#include "few_tokens.h"
#include "model_files.h"
#include "program.h"

#define PROMPT 70
#define TOKENS 24
#define TALES VKGPT_SOURCE_DIR "/models/tales"

// Vulkan's lowest values (chapter "Limits"), except for the two that vkgpt requires: workgroups of 256, 8 buffers.
#define FLOOR "invocations=256 buffers=8 "
#define LEAST "range=134217728 allocation=1073741824 shared=16384 sets=4 push=128 alignment=256 texels=65536 "

static const struct SyntheticModel LARGER = {
    .layers = 2, .heads = 3, .dim = 96, .context = 100, .vocab = 307, .inner = 128, .seed = 11, .dtype = DTYPE_F32};

static void run_model(vkgpt_device *device, const char *dir, vkgpt_format format, struct FewTokens *tokens)
{
    vkgpt_error err;
    check(few_tokens(device, dir, format, PROMPT, TOKENS, tokens, &err), &err);
    assert_int_equal(tokens->count, TOKENS);
}

#define RUNS 4

// Runs all models and formats that are compared.
static void run_all(const char *limits, const char *dir, struct FewTokens tokens[RUNS], vkgpt_device_info *info)
{
    static const vkgpt_format formats[RUNS] = {VKGPT_F32, VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_0};
    vkgpt_error err;
    vkgpt_device *device;
    setenv("VKGPT_LIMITS", limits, 1);
    check(vkgpt_device_open(NULL, &device, &err), &err);
    *info = *vkgpt_device_describe(device);
    for (int i = 0; i < RUNS; i++) run_model(device, i < 2 ? dir : TALES, formats[i], &tokens[i]);
    if (strstr(limits, "texels")) assert_false(device->texels); // they do not reach all of a buffer
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    unsetenv("VKGPT_LIMITS");
}

static void test_same_tokens(void **state)
{
    static const char *const less[] = {FLOOR LEAST, FLOOR LEAST "memory=uncached", "alignment=256",
                                       "memory=incoherent"};
    struct FewTokens want[RUNS], got[RUNS];
    vkgpt_device_info info;
    run_all("", *state, want, &info);
    for (size_t i = 0; i < sizeof less / sizeof *less; i++) {
        run_all(less[i], *state, got, &info);
        for (int k = 0; k < RUNS; k++) assert_memory_equal(&got[k], &want[k], sizeof want[k]);
        if (!strstr(less[i], FLOOR)) continue;
        assert_int_equal(info.max_workgroup, 256);
        assert_int_equal(info.max_buffer_range, 128 << 20);
        assert_int_equal(info.max_allocation, 1 << 30);
        assert_int_equal(info.offset_alignment, 256);
        assert_int_equal(info.shared_bytes, 16 << 10);
    }
}

static void test_below_the_floor(void **state)
{
    (void)state;
    static const struct {
        const char *limits, *why;
    } cases[] = {
        {"invocations=128", "workgroups of 256 are needed"},
        {"buffers=7", "8 storage buffers a kernel are needed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vkgpt_error err;
        vkgpt_device *device;
        setenv("VKGPT_LIMITS", cases[i].limits, 1);
        expect_sentence(vkgpt_device_open(NULL, &device, &err), VKGPT_NO_DEVICE, &err, cases[i].why, NULL);
        struct Output output = RUN("devices");
        assert_status(&output, 0);
        if (!strstr(output.out, cases[i].why)) fail_msg("%s lacks: %s", output.out, cases[i].why);
        output_free(&output);
        assert_sentence(RUN("generate", "-m", TALES, "-n", "1", "-p", "a"), 1, cases[i].why);
    }
    unsetenv("VKGPT_LIMITS");
}

static int setup(void **state)
{
    static char dir[256];
    vkgpt_error err;
    *state = dir;
    return synthetic_model_temporary(&LARGER, dir, sizeof dir, &err);
}

static int teardown(void **state)
{
    synthetic_model_remove(*state);
    return 0;
}

int main(void)
{
    setenv("VK_ADD_LAYER_PATH", VKGPT_FAULTS_DIR, 1);
    setenv("VK_INSTANCE_LAYERS", FAULTS_LAYER, 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_tokens), cmocka_unit_test(test_below_the_floor)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
