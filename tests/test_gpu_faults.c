// A driver that fails, in each function and at several calls of it: one sentence, within a second, and no object is
// left. tests/faults plays the driver; calls that succeed go to the real one, under the validation layer.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "engine/session.h"
#include "faults.h"
#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "compare.h"
#include "few_tokens.h"
#include "model_files.h"
#include "program.h"
#include "short_run.h"

#define PROMPT 40
#define TOKENS 24
#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define TRIES 3 // of a case that takes too long, on a busy machine

static const VkResult RESULTS[] = {VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_DEVICE_LOST,
                                   VK_ERROR_INITIALIZATION_FAILED, VK_TIMEOUT};
#define RESULT_COUNT (sizeof RESULTS / sizeof *RESULTS)

static const struct SyntheticModel LARGER = {
    .layers = 2, .heads = 3, .dim = 96, .context = 100, .vocab = 307, .inner = 128, .seed = 11, .dtype = DTYPE_F32};
static const struct SyntheticModel SMALLER = {
    .layers = 1, .heads = 3, .dim = 48, .context = 100, .vocab = 107, .inner = 77, .seed = 12, .dtype = DTYPE_F32};
static char larger[256], smaller[256];

// A model from its files to its tokens, on a device that is open.
static int run_model(vkgpt_device *device, const char *dir, struct FewTokens *tokens, vkgpt_error *err)
{
    return few_tokens(device, dir, VKGPT_AUTO, PROMPT, TOKENS, tokens, err);
}

static int run_all(struct FewTokens *tokens, vkgpt_error *err)
{
    vkgpt_device *device;
    int status = vkgpt_device_open(NULL, &device, err);
    if (status) return status;
    status = run_model(device, larger, tokens, err);
    unsigned messages = device->validation_messages;
    vkgpt_device_close(device);
    assert_int_equal(messages, 0);
    return status;
}

static void expect_no_objects(void)
{
    const char *made_by;
    int64_t left = faults_objects(&made_by);
    if (left) fail_msg("%lld objects are left, one of them made by %s", (long long)left, made_by);
}

// Functions whose failure may cost time, a reported figure or an optional kernel, but not the result.
static bool is_optional(const char *call)
{
    static const char *const optional[] = {"vkDeviceWaitIdle",      "vkGetPipelineCacheData",
                                           "vkGetQueryPoolResults", "vkCreatePipelineCache",
                                           "vkCreateShaderModule",  "vkCreateComputePipelines"};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (!strcmp(call, optional[i])) return true;
    return false;
}

static int code_of(VkResult result)
{
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY) return VKGPT_OUT_OF_MEMORY;
    if (result == VK_TIMEOUT) return VKGPT_DEVICE_HUNG;
    return result == VK_ERROR_DEVICE_LOST ? VKGPT_DEVICE_LOST : VKGPT_NO_DEVICE;
}

// One fault. Returns the seconds from it to the end of all that was open.
static double play(unsigned call, uint64_t n, VkResult result, const struct FewTokens *right)
{
    struct FewTokens tokens;
    vkgpt_error err = {0};
    faults_set(call, n, result);
    int status = run_all(&tokens, &err);
    double seconds = faults_time() > 0.0 ? os_seconds() - faults_time() : 0.0;
    const char *name = faults_call(call);
    expect_no_objects();
    if (!status) { // the fault did not occur, or the result does not depend on it
        if (faults_time() > 0.0 && !is_optional(name))
            fail_msg("%s %llu: %d is lost", name, (unsigned long long)n, result);
        assert_memory_equal(&tokens, right, sizeof tokens);
        return 0.0;
    }
    expect_sentence(status, code_of(result), &err, NULL);
    if (status == VKGPT_OUT_OF_MEMORY) { // the same process goes on
        faults_set(0, 0, 0);
        if (run_all(&tokens, &err)) fail_msg("%s %llu, afterwards: %s", name, (unsigned long long)n, err.text);
        assert_memory_equal(&tokens, right, sizeof tokens);
    }
    return seconds;
}

// Kernels are compiled in other threads. The caller gets the error when it needs the kernel: up to a whole run later.
static void play_in_time(unsigned call, uint64_t n, VkResult result, const struct FewTokens *right, double run_seconds)
{
    const char *name = faults_call(call);
    bool beside = !strcmp(name, "vkCreateShaderModule") || !strcmp(name, "vkCreateComputePipelines");
    double most = beside ? 1.0 + run_seconds : 1.0;
    double seconds = 0.0;
    for (unsigned i = 0; i < TRIES; i++)
        if ((seconds = play(call, n, result, right)) <= most) return;
    fail_msg("%s %llu: %.2f s until all is closed", faults_call(call), (unsigned long long)n, seconds);
}

// SwiftShader takes a second to compile the kernels, and a failure has the same effect on each driver. So there only
// the first call of each function fails.
static bool is_slow(void)
{
    vkgpt_error err;
    vkgpt_device *device;
    if (vkgpt_device_open(NULL, &device, &err)) fail_msg("%s", err.text);
    bool slow = strstr(vkgpt_device_describe(device)->name, "SwiftShader") != NULL;
    vkgpt_device_close(device);
    return slow;
}

// The first call, one in the middle and the last one, each with its own result; calls of the queue with all results. A
// short run has the first call only.
static void test_each_call(void **state)
{
    (void)state;
    struct FewTokens right;
    vkgpt_error err;
    uint64_t counts[64] = {0};
    bool first_only = is_slow() || short_run();
    faults_set(0, 0, 0);
    if (run_all(&right, &err) || run_all(&right, &err)) fail_msg("%s", err.text);
    assert_int_equal(right.count, TOKENS);
    faults_set(0, 0, 0);
    double start = os_seconds();
    if (run_all(&right, &err)) fail_msg("%s", err.text);
    double run_seconds = os_seconds() - start;
    for (unsigned call = 0; faults_call(call); call++) counts[call] = faults_calls(call);
    unsigned turn = 0;
    for (unsigned call = 0; faults_call(call); call++) {
        const uint64_t at[] = {1, counts[call] / 2, counts[call]};
        bool all = !strcmp(faults_call(call), "vkQueueSubmit") || !strcmp(faults_call(call), "vkWaitSemaphores");
        for (unsigned i = 0; i < (first_only ? 1 : 3); i++) {
            if (!at[i] || at[i] > counts[call] || (i && at[i] <= at[i - 1])) continue;
            for (unsigned r = 0; r < (all && !first_only ? RESULT_COUNT : 1); r++)
                play_in_time(call, at[i], RESULTS[turn++ % RESULT_COUNT], &right, run_seconds);
        }
    }
    print_message("%u faults\n", turn);
}

static unsigned call_named(const char *name)
{
    unsigned call = 0;
    while (strcmp(faults_call(call), name)) call++;
    return call;
}

// After a model that did not fit, a smaller one does; a kernel whose compilation failed is compiled again.
static void test_smaller_model(void **state)
{
    (void)state;
    static const char *const calls[] = {"vkAllocateMemory",        "vkMapMemory",   "vkCreateComputePipelines",
                                        "vkCreateShaderModule",    "vkQueueSubmit", "vkWaitSemaphores",
                                        "vkAllocateCommandBuffers"};
    struct FewTokens right, tokens;
    vkgpt_error err;
    vkgpt_device *device;
    faults_set(0, 0, 0);
    if (vkgpt_device_open(NULL, &device, &err) || run_model(device, smaller, &right, &err)) fail_msg("%s", err.text);
    vkgpt_device_close(device);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (vkgpt_device_open(NULL, &device, &err)) fail_msg("%s", err.text);
        faults_set(call_named(calls[i]), 1, VK_ERROR_OUT_OF_DEVICE_MEMORY);
        expect_sentence(run_model(device, larger, &tokens, &err), VKGPT_OUT_OF_MEMORY, &err, NULL);
        if (run_model(device, smaller, &tokens, &err)) fail_msg("%s, afterwards: %s", calls[i], err.text);
        assert_memory_equal(&tokens, &right, sizeof tokens);
        vkgpt_device_close(device);
        expect_no_objects();
    }
}

// On a lost device every later call fails at once with the same error.
static void test_lost_device(void **state)
{
    (void)state;
    struct FewTokens tokens;
    vkgpt_error err;
    vkgpt_device *device;
    if (vkgpt_device_open(NULL, &device, &err)) fail_msg("%s", err.text);
    faults_set(call_named("vkQueueSubmit"), 1, VK_ERROR_DEVICE_LOST);
    expect_sentence(run_model(device, larger, &tokens, &err), VKGPT_DEVICE_LOST, &err, ", submitting ",
                    ": Vulkan says device lost (-4)", NULL);
    uint64_t submissions = faults_calls(call_named("vkQueueSubmit"));
    expect_sentence(run_model(device, smaller, &tokens, &err), VKGPT_DEVICE_LOST, &err, "device lost", NULL);
    assert_int_equal(faults_calls(call_named("vkQueueSubmit")), submissions);
    vkgpt_device_close(device);
    expect_no_objects();
}

// What the driver says of a loss stands in the sentence, without control characters; not when it is switched off.
static void test_reason(void **state)
{
    (void)state;
    struct FewTokens tokens;
    vkgpt_error err;
    vkgpt_device *device;
    setenv("VKGPT_FAULT_REASON", "page fault\tof a shader", 1);
    for (int off = 0; off < 2; off++) {
        if (off) setenv("VKGPT_DISABLE", "device_fault", 1);
        if (vkgpt_device_open(NULL, &device, &err)) fail_msg("%s", err.text);
        assert_int_equal(vkgpt_device_describe(device)->device_fault, !off);
        faults_set(call_named("vkWaitSemaphores"), 2, VK_ERROR_DEVICE_LOST);
        expect_sentence(run_model(device, larger, &tokens, &err), VKGPT_DEVICE_LOST, &err, "device lost (-4)", NULL);
        const char *says = strstr(err.text, "; ");
        if (off) assert_null(says);
        else
            assert_string_equal(says, "; the driver says: page fault?of a shader; invalid write at 0xdead0000; "
                                      "ring 0 (code 7, data 9); ring 1 (code 8, data 9)");
        assert_int_equal(device->validation_messages, 0);
        vkgpt_device_close(device);
        expect_no_objects();
    }
    unsetenv("VKGPT_FAULT_REASON");
    unsetenv("VKGPT_DISABLE");
}

// What the header says a program can do: after a loss it opens all of it again and repeats its calls, and the tokens
// are the same ones.
static void test_library_goes_on(void **state)
{
    (void)state;
    struct FewTokens right, before, again;
    vkgpt_error err;
    faults_set(0, 0, 0);
    if (run_all(&right, &err)) fail_msg("%s", err.text);
    faults_set(0, 0, 0);
    if (run_all(&right, &err)) fail_msg("%s", err.text);
    uint64_t waits = faults_calls(call_named("vkWaitSemaphores"));
    faults_set(call_named("vkWaitSemaphores"), waits - 1, VK_ERROR_DEVICE_LOST);
    expect_sentence(run_all(&before, &err), VKGPT_DEVICE_LOST, &err, "device lost", NULL);
    assert_true(before.count > 0 && before.count < TOKENS);
    assert_memory_equal(before.ids, right.ids, before.count * sizeof *right.ids);
    if (run_all(&again, &err)) fail_msg("%s", err.text);
    assert_memory_equal(&again, &right, sizeof right);
}

static void cut_file(void *user, uint64_t done, uint64_t total)
{
    (void)total;
    if (done) assert_int_equal(truncate(user, 4096), 0);
}

// A file that shrinks while its weights are uploaded.
static void test_cut_file(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_model *model;
    char dir[256], path[300];
    faults_set(0, 0, 0);
    if (synthetic_model_temporary(&LARGER, dir, sizeof dir, &err)) fail_msg("%s", err.text);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (vkgpt_device_open(NULL, &device, &err)) fail_msg("%s", err.text);
    const vkgpt_model_options options = {.progress = cut_file, .user = path};
    expect_sentence(vkgpt_model_open(device, dir, &options, &model, &err), VKGPT_BAD_FILE, &err, path, "cut", NULL);
    vkgpt_device_close(device);
    expect_no_objects();
    synthetic_model_remove(dir);
}

// The program: one sentence and status 1.
static void test_program(void **state)
{
    (void)state;
    static const char *const faults[] = {
        "vkQueueSubmit 1 -4",  "vkQueueSubmit 3 -2",    "vkWaitSemaphores 2 -4",          "vkAllocateMemory 2 -2",
        "vkCreateDevice 1 -3", "vkCreateInstance 1 -1", "vkEnumeratePhysicalDevices 1 -1"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        setenv("VKGPT_FAULT", faults[i], 1);
        double start = os_seconds();
        struct Output output = strstr(faults[i], "-4") ? RUN("bench", "-m", TALES, "-p", "8", "-n", "8")
                                                       : RUN("generate", "-m", TALES, "-n", "8", "-p", "Once");
        if (os_seconds() - start > 20.0) fail_msg("%s: %.1f s", faults[i], os_seconds() - start);
        output.out_bytes = 0; // tokens from before the fault
        assert_sentence(output, 1, "");
    }
    unsetenv("VKGPT_FAULT");
}

// With each of these faults (NULL: no more) the program prints the same as without one, and one more line on stderr.
static void goes_on(const char *const *arguments, const char *one, const char *other)
{
    const char *const faults[] = {one, other};
    struct Output want = program_run(NULL, 0, arguments);
    assert_status(&want, 0);
    for (int i = 0; i < 2 && faults[i]; i++) {
        setenv("VKGPT_FAULT", faults[i], 1);
        struct Output got = program_run(NULL, 0, arguments);
        unsetenv("VKGPT_FAULT");
        assert_status(&got, 0);
        if (!strstr(got.err, "device lost") || !strstr(got.err, "begins again on a new device"))
            fail_msg("%s", got.err);
        assert_string_equal(got.out, want.out);
        output_free(&got);
    }
    output_free(&want);
}

#define EVAL_FILE(name) name ":" VKGPT_SOURCE_DIR "/tests/fixtures/eval/" name ".jsonl"
#define GENERATE "generate", "-m", TALES, "-p", "Once", "-n", "24", "--submit", "1", "--seed", "7"

// A device is lost in the middle: the text goes on with the same bits on a new device, once.
static void test_program_goes_on(void **state)
{
    (void)state;
    static const char *const generate[] = {GENERATE, NULL}, *const drafts[] = {GENERATE, "--echo", "--lookup", "3",
                                                                               NULL};
    static const char *const eval[] = {"eval", "-m", TALES, "--tasks", EVAL_FILE("lambada") "," EVAL_FILE("piqa"),
                                       NULL};
    static const char lines[] = "Once\nThe old man\nA dog\n";
    char prompts[300];
    const char *const batch[] = {"generate", "-m",       TALES, "--seed",     "7", "--prompts", prompts, "-n",
                                 "12",       "--submit", "1",   "--parallel", "2", "-r",        " the",  NULL};
    snprintf(prompts, sizeof prompts, "%s/prompts", smaller);
    file_write(smaller, "prompts", lines, strlen(lines));
    goes_on(generate, "vkQueueSubmit 12 -4", "vkWaitSemaphores 9 -4");
    goes_on(drafts, "vkQueueSubmit 12 -4", NULL);
    goes_on(batch, "vkQueueSubmit 8 -4", "vkQueueSubmit 20 -4"); // the second: among the second two texts
    unlink(prompts);
    goes_on(eval, "vkQueueSubmit 2 -4", // the first one is of the session that opens
            "vkQueueSubmit 3 -4");      // with the results of the first task
    setenv("VKGPT_FAULT", "vkQueueSubmit 12 -4 2", 1);
    struct Output output = RUN(GENERATE);
    unsetenv("VKGPT_FAULT");
    assert_status(&output, 1);
    const char *first = strstr(output.err, "begins again on a new device");
    if (!first || strstr(first + 1, "begins again") || !strstr(first, "device lost")) fail_msg("%s", output.err);
    output_free(&output);
}

// What hangs would hang again: one sentence, and no second attempt.
static void test_program_hangs(void **state)
{
    (void)state;
    static const char *const eval[] = {"eval", "-m", TALES, "--tasks", EVAL_FILE("lambada"), NULL},
                             *const generate[] = {GENERATE, NULL};
    setenv("VKGPT_FAULT", "vkWaitSemaphores 9 2", 1);
    struct Output output = program_run(NULL, 0, generate);
    output.out_bytes = 0; // tokens from before it
    assert_sentence(output, 1, "did not finish within 1800 s");
    setenv("VKGPT_FAULT", "vkWaitSemaphores 2 2", 1);
    assert_sentence(program_run(NULL, 0, eval), 1, "did not finish within 1800 s");
    unsetenv("VKGPT_FAULT");
}

static int setup(void **state)
{
    (void)state;
    vkgpt_error err;
    if (synthetic_model_temporary(&LARGER, larger, sizeof larger, &err)) fail_msg("%s", err.text);
    if (synthetic_model_temporary(&SMALLER, smaller, sizeof smaller, &err)) fail_msg("%s", err.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    synthetic_model_remove(larger);
    synthetic_model_remove(smaller);
    return 0;
}

int main(void)
{
    setenv("VK_ADD_LAYER_PATH", VKGPT_FAULTS_DIR, 1);
    setenv("VK_INSTANCE_LAYERS", FAULTS_LAYER, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_device),   cmocka_unit_test(test_smaller_model),
        cmocka_unit_test(test_cut_file),      cmocka_unit_test(test_each_call),
        cmocka_unit_test(test_reason),        cmocka_unit_test(test_library_goes_on),
        cmocka_unit_test(test_program),       cmocka_unit_test(test_program_goes_on),
        cmocka_unit_test(test_program_hangs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
