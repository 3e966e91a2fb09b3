// Many openings of device, model and session in one process: memory, descriptors and mappings do not grow, no object of
// Vulkan is left (tests/faults counts them), the tokens stay the same, and the last openings are as fast as the first.
#define _POSIX_C_SOURCE 200809L
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "faults.h"
#include "few_tokens.h"
#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "check.h"
#include "held.h"
#include "short_run.h"

#define SHORT_OPENINGS 12
#define ALL_OPENINGS 300
#define WARM 4 // openings until everything that is kept permanently exists
#define TOKENS 4
#define PROMPT 5

static const struct SyntheticModel TINY = {
    .layers = 1, .heads = 3, .dim = 48, .context = 64, .vocab = 107, .inner = 77, .seed = 12, .dtype = DTYPE_F32};

static void open_and_close(const char *dir, struct FewTokens *tokens)
{
    vkgpt_error err;
    vkgpt_device *device;
    check(vkgpt_device_open(NULL, &device, &err), &err);
    check(few_tokens(device, dir, VKGPT_AUTO, PROMPT, TOKENS, tokens, &err), &err);
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    const char *made_by;
    int64_t left = faults_objects(&made_by);
    if (left) fail_msg("%lld objects are left, one of them made by %s", (long long)left, made_by);
}

static void test_openings(void **state)
{
    static double seconds[ALL_OPENINGS];
    struct Held before = {0};
    struct FewTokens first, next;
    bool all = !short_run() && !on_swiftshader();
    size_t count = all ? ALL_OPENINGS : SHORT_OPENINGS;
    for (size_t i = 0; i < count; i++) {
        if (i == WARM) before = held();
        double start = os_processor_seconds();
        open_and_close(*state, i ? &next : &first);
        seconds[i] = os_processor_seconds() - start;
        if (i) assert_memory_equal(&next, &first, sizeof first);
    }
    expect_flat(before, held(), "openings");
    expect_as_fast(seconds + WARM, count - WARM, all, "openings");
}

static int setup(void **state)
{
    static char dir[256];
    vkgpt_error err;
    *state = dir;
    // 300 openings under the validation layer take too long; a short run has it
    if (!short_run() && !on_swiftshader()) unsetenv("VKGPT_VALIDATE");
    return synthetic_model_temporary(&TINY, dir, sizeof dir, &err);
}

static int teardown(void **state)
{
    synthetic_model_remove(*state);
    return 0;
}

int main(void)
{
#ifdef M_ARENA_MAX // of glibc: what its arenas keep depends on which threads meet, and hides what grows
    mallopt(M_ARENA_MAX, 1);
#endif
    setenv("VK_ADD_LAYER_PATH", VKGPT_FAULTS_DIR, 1);
    setenv("VK_INSTANCE_LAYERS", FAULTS_LAYER, 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_openings)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
