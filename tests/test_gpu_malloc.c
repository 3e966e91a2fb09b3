// Host memory that runs out, from the opening of a device to the last token: one sentence, and nothing is left; or the
// right tokens, if only a cache failed.
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "compare.h"
#include "failing_malloc.h"
#include "few_tokens.h"
#include "model_files.h"
#include "short_run.h"

#define PROMPT 20
#define TOKENS 8
#define SHORT 40 // allocations that fail in a short run, and on SwiftShader, spread over all

static const struct SyntheticModel SMALL = {
    .layers = 1, .heads = 3, .dim = 48, .context = 64, .vocab = 107, .inner = 77, .seed = 12, .dtype = DTYPE_F32};

static int run_model(const char *dir, struct FewTokens *tokens, vkgpt_error *err)
{
    vkgpt_device *device = NULL;
    *tokens = (struct FewTokens){.count = 0};
    int status = vkgpt_device_open(NULL, &device, err);
    if (!status) status = few_tokens(device, dir, VKGPT_AUTO, PROMPT, TOKENS, tokens, err);
    unsigned messages = device ? device->validation_messages : 0;
    vkgpt_device_close(device);
    assert_int_equal(messages, 0);
    return status;
}

static void allocation_fails(const char *dir, uint64_t n, bool all, const struct FewTokens *right)
{
    vkgpt_error err = {0};
    struct FewTokens tokens;
    malloc_fail_at(n, all);
    int status = run_model(dir, &tokens, &err);
    int64_t left = malloc_allocated();
    malloc_fail_at(0, false);
    if (left) fail_msg("allocation %llu: %lld are left", (unsigned long long)n, (long long)left);
    if (status) expect_sentence(status, VKGPT_OUT_OF_MEMORY, &err, NULL);
    else assert_memory_equal(&tokens, right, sizeof tokens);
}

static void test_each_allocation(void **state)
{
    vkgpt_error err;
    struct FewTokens right, tokens;
    if (run_model(*state, &right, &err)) fail_msg("%s", err.text);
    malloc_fail_at(0, false);
    if (run_model(*state, &tokens, &err)) fail_msg("%s", err.text);
    uint64_t calls = malloc_calls(), stride = (short_run() || on_swiftshader()) && calls > SHORT ? calls / SHORT : 1;
    assert_int_equal(malloc_allocated(), 0);
    for (uint64_t n = 1; n <= calls; n += stride) {
        allocation_fails(*state, n, false, &right);
        allocation_fails(*state, n, true, &right);
    }
    if (run_model(*state, &tokens, &err)) fail_msg("afterwards: %s", err.text);
    assert_memory_equal(&tokens, &right, sizeof tokens);
}

static int setup(void **state)
{
    static char dir[256];
    vkgpt_error err;
    *state = dir;
    return synthetic_model_temporary(&SMALL, dir, sizeof dir, &err);
}

static int teardown(void **state)
{
    synthetic_model_remove(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
