// The program with --devices: a model that is cut over two drivers gives the text of one; and what is refused. Runs
// once, where both drivers are.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "program.h"
#include "short_run.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define SWIFTSHADER "/usr/lib/chromium/vk_swiftshader_icd.json"
#define BOTH "--devices", "SwiftShader,llvmpipe", "--split", "1,5"
#define SPLIT "split 1,5 over SwiftShader"

static bool both_are_here;

static int find_drivers(void **state)
{
    const char *lavapipe = getenv("VK_DRIVER_FILES");
    char files[1024];
    (void)state;
    both_are_here = lavapipe && strstr(lavapipe, "lvp_icd") && access(SWIFTSHADER, R_OK) == 0;
    if (!both_are_here) return 0;
    snprintf(files, sizeof files, "%s:" SWIFTSHADER, lavapipe);
    unsetenv("VKGPT_VALIDATE"); // test_gpu_stages has it
    return setenv("VK_DRIVER_FILES", files, 1);
}

// What a command prints over both drivers.
static struct Output over_both(struct Output output)
{
    assert_status(&output, 0);
    if (!strstr(output.err, SPLIT)) fail_msg("stderr does not say \"" SPLIT "\": %s", output.err);
    return output;
}

static double number_in(struct Output output, const char *name)
{
    cJSON *json = output_json(output);
    double number = json_member(json, name)->valuedouble;
    cJSON_Delete(json);
    return number;
}

static void test_same_text(void **state)
{
    (void)state;
    if (!both_are_here) skip();
#define TEXT "generate", "-m", TALES, "-p", "Once upon a time there", "-n", "24", "--temp", "0", "-c", "64"
    struct Output one = RUN(TEXT, "--device", "llvmpipe"), two = over_both(RUN(TEXT, BOTH));
    assert_status(&one, 0);
    assert_string_equal(one.out, two.out);
    output_free(&one);
    output_free(&two);
}

static void test_commands(void **state)
{
    (void)state;
    if (!both_are_here) skip();
#define LIKELY "perplexity", "-m", TALES, "--ids", "400,21,300,17,18,2000,9,77,1005,30", "-c", "64", "--json"
    double one = number_in(RUN(LIKELY, "--device", "llvmpipe"), "ppl");
    double two = number_in(over_both(RUN(LIKELY, BOTH)), "ppl");
    if (!(two > 0.999 * one && two < 1.001 * one)) fail_msg("the perplexity is %g, on one device %g", two, one);
    struct Output bench = over_both(
        RUN("bench", "-m", TALES, "-p", "0", "-n", "4", "-r", "1", "-np", "2", "-o", "json", "-c", "64", BOTH));
    assert_non_null(strstr(bench.out, "SwiftShader"));
    assert_non_null(strstr(bench.out, "llvmpipe"));
    output_free(&bench);
    if (short_run()) return; // each run compiles SwiftShader's kernels anew
    const char *const others[][16] = {
        {"score", "-m", TALES, "-p", "Once upon a", "--continuation", " time", "-c", "64", BOTH},
        {"embed", "-m", TALES, "Once upon a time", "-c", "64", BOTH},
        {"chat", "-m", TALES, "-n", "4", "-c", "64", BOTH},
        {"few-shot", "-m", TALES, "--task", "context/mapping", "--limit", "1", BOTH},
        {"logits", "-m", TALES, "-p", "Once", "-o", "/dev/null", "-c", "64", BOTH},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct Output output = over_both(program_run("Hello\n", 6, others[i]));
        output_free(&output);
    }
}

// Without a split the devices are measured, and all layers are given out.
static void test_chosen_split(void **state)
{
    (void)state;
    if (!both_are_here) skip();
    struct Output output =
        RUN("generate", "-m", TALES, "-p", "Once", "-n", "1", "-c", "64", "--devices", "llvmpipe,SwiftShader");
    assert_status(&output, 0);
    const char *split = strstr(output.err, "split ");
    unsigned first, second;
    assert_non_null(split);
    assert_int_equal(sscanf(split, "split %u,%u over llvmpipe", &first, &second), 2);
    assert_true(first && second);
    assert_int_equal(first + second, 6);
    output_free(&output);
}

static void test_refusals(void **state)
{
    (void)state;
    if (!both_are_here) skip();
#define WITH(...) RUN("generate", "-m", TALES, "-p", "Once", __VA_ARGS__)
    assert_sentence(WITH("--devices", "0,0"), 1, "is named twice");
    assert_sentence(WITH("--devices", "0,7"), 1, "device 7: there are 2 devices");
    assert_sentence(WITH("--devices", "0,nothing"), 1, "none of the 2 devices has that in its name");
    assert_sentence(WITH("--devices", "0,"), 1, "--devices 0,: a name is empty");
    assert_sentence(WITH("--devices", "0,1", "--split", "6"), 1, "--split has 1 numbers, --devices names 2 devices");
    assert_sentence(WITH("--devices", "0,1", "--split", "3,4"), 1, "the split has 7 layers, the model has 6");
    assert_sentence(WITH("--devices", "0,1", "--split", "6,0"), 2, "--split");
    assert_sentence(WITH("--split", "3,3"), 2, "--split needs --devices");
    assert_sentence(WITH("--device", "0", "--devices", "0,1"), 2, "only one of them can be given");
    assert_sentence(RUN("explain", "-m", TALES, "-p", "Once", "-o", "x.html", "--devices", "0,1"), 2,
                    "it works on one device, which --device names");
    assert_sentence(RUN("selftest", "--devices", "0,1"), 2, "it works on one device");
    assert_sentence(RUN("bench", "-m", TALES, "--profile", "--devices", "0,1"), 2, "--profile is of one device");
    assert_sentence(
        RUN("generate", "-m", VKGPT_SOURCE_DIR "/tests/fixtures/gpt1/relu-45-bin", "--ids", "1,2", "--devices", "0,1"),
        1, "2 devices for 1 layer: each needs one at least");
    assert_sentence(RUN("tune", "-m", TALES, "--split", "3,3"), 2, "it works on one device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_same_text),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_chosen_split),
    };
    return cmocka_run_group_tests_name("gpu_cli_stages", tests, find_drivers, NULL);
}
