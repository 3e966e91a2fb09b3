// The selftest under the validation layer: every kernel of the library on this device, in its normal use; with robust
// access (neither driver nor layer reports an index out of bounds, but it reads zeros); and without the features that
// select the variants for software drivers.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "gpu/recording.h" // before cmocka, whose macro fail() hides a function
#include "gpu/spirv.h"
#include "selftest/selftest.h"

#include "compare.h"
#include "short_run.h"

#define MAX_KERNELS 128

struct Seen {
    bool kernels[MAX_KERNELS]; // of SPIRV_TABLE
    size_t results, failures;
};

static void on_result(void *user, const vkgpt_selftest_result *r)
{
    struct Seen *seen = user;
    seen->results++;
    for (size_t i = 0; i < SPIRV_COUNT; i++)
        if (!strcmp(SPIRV_TABLE[i].name, r->kernel)) seen->kernels[i] = true;
    bool pass = r->error <= r->bound; // false for a NaN
    assert_int_equal(pass, r->pass);
    if (pass) return;
    seen->failures++;
    print_error("%s (%s): off by %.3g, more than %.3g\n", r->kernel, r->size, r->error, r->bound);
}

// Every kernel that this device runs was tested, except the persistent one, which consists of the others:
// test_gpu_persistent compares it with them.
static void every_kernel_was_seen(const vkgpt_device *device, const struct Seen *seen)
{
    for (size_t i = 0; i < SPIRV_COUNT; i++) {
        const char *name = SPIRV_TABLE[i].name;
        bool replaced = kernel_variant(device, name) != name; // by the variant that reads texels
        if (!seen->kernels[i] && !replaced && strcmp(name, "persistent") &&
            (device->software_kernels || !strstr(name, "software")) && (device->texels || !strstr(name, "texels")) &&
            (device->matrix.m || !strstr(name, "coopmat")))
            fail_msg("kernel %s was not tested", name);
    }
}

static void selftest_passes(bool rest_only)
{
    vkgpt_error err;
    vkgpt_device *device;
    struct Seen seen = {0};
    assert_true(SPIRV_COUNT <= MAX_KERNELS);
    if (vkgpt_device_open(NULL, &device, &err)) fail_msg("%s", err.text);
    bool software = device->software_kernels;
    uint32_t pipelines = device->pipeline_count, shared_bytes = device->info.shared_bytes;
    struct Selftest test = {
        .device = device, .on_result = on_result, .user = &seen, .err = &err, .rest_only = rest_only};
    if (selftest_run(&test)) fail_msg("%s", err.text);
    assert_int_equal(seen.failures, 0);
    assert_int_equal(test.failures, 0);
    assert_int_equal(device->validation_messages, 0);
    assert_true(seen.results > 0);
    if (!rest_only) every_kernel_was_seen(device, &seen);
    // the device is as it was
    assert_int_equal(device->software_kernels, software);
    assert_int_equal(device->pipeline_count, pipelines);
    assert_int_equal(device->info.shared_bytes, shared_bytes);
    vkgpt_device_close(device);
}

static void test_selftest(void **state)
{
    (void)state;
    if (short_run_on_lavapipe()) skip(); // SwiftShader runs this one
    selftest_passes(false);
}

static void test_selftest_with_robust_access(void **state)
{
    (void)state;
    if (short_run()) skip(); // it compiles every kernel once more
    setenv("VKGPT_ROBUST", "1", 1);
    selftest_passes(false);
    unsetenv("VKGPT_ROBUST");
}

// In a short run SwiftShader tests GPUs' kernels on the foreign sizes, and this driver on the others.
static void test_selftest_without_options(void **state)
{
    (void)state;
    if (short_run_on_swiftshader()) skip();
    setenv("VKGPT_DISABLE", "shuffle,subgroup_size_control,unified", 1);
    selftest_passes(short_run());
    unsetenv("VKGPT_DISABLE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selftest),
        cmocka_unit_test(test_selftest_with_robust_access),
        cmocka_unit_test(test_selftest_without_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
