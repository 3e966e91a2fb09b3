// vkgpt tune as a user runs it, on a model of two layers, and what other commands report about its file.
#define _POSIX_C_SOURCE 200809L // setenv
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "program.h"
#include "synthetic_model.h"

#include <cjson/cJSON.h>
#include <cmocka.h>

static const struct SyntheticModel SMALL = {.layers = 2,
                                            .heads = 4,
                                            .dim = 64,
                                            .context = 64,
                                            .vocab = 300,
                                            .seed = 5,
                                            .dtype = DTYPE_F32,
                                            .activation = ACTIVATION_GELU_TANH};

static char model_dir[256];

static void in_dir(char path[2 * DIR_BYTES], const char *name)
{
    snprintf(path, 2 * DIR_BYTES, "%s/%s", test_dir, name);
}

#define SCORE(...) RUN("perplexity", "-m", model_dir, "--ids", "1,2,3,4", __VA_ARGS__)

static void test_tune(void **state)
{
    (void)state;
    char path[2 * DIR_BYTES];
    in_dir(path, "tuning.txt");
    setenv("VKGPT_TUNING", "off", 1);
    struct Output o = RUN("tune", "-m", model_dir, "--json", "-o", path);
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, path));
    cJSON *json = cJSON_Parse(o.out);
    assert_non_null(json);
    const cJSON *results = cJSON_GetObjectItemCaseSensitive(json, "results"), *first = cJSON_GetArrayItem(results, 0);
    assert_true(cJSON_GetArraySize(results) >= 2); // project and contract have variants everywhere
    assert_non_null(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "kernel")));
    assert_true(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(first, "best"), "seconds")->valuedouble > 0);
    const cJSON *best = json_member(first, "best");
    assert_true(json_member(best, "loads")->valuedouble > 0);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(json, "step"); // only where a product has a better one
    assert_true(!step || json_member(step, "best_seconds")->valuedouble > 0);
    cJSON_Delete(json);
    output_free(&o);

    struct Bytes file = file_read(test_dir, "tuning.txt");
    bytes_add(&file, "", 1);
    assert_int_equal(strncmp((char *)file.data, "vkgpt-tuning 5 ", 15), 0);
    assert_non_null(strstr((char *)file.data, "\ncontract "));
    bytes_free(&file);

    struct Output untuned = SCORE("--json");
    setenv("VKGPT_TUNING", path, 1);
    struct Output tuned = SCORE("--json");
    assert_status(&untuned, 0);
    assert_status(&tuned, 0);
    assert_null(strstr(tuned.err, "tuning"));
    output_free(&untuned);
    output_free(&tuned);
}

static void test_bad_file(void **state)
{
    (void)state;
    char path[2 * DIR_BYTES];
    in_dir(path, "bad.txt");
    file_write(test_dir, "bad.txt", "hello\n", 6);
    setenv("VKGPT_TUNING", path, 1);
    struct Output o = SCORE("--json");
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, "vkgpt: the tuning file is ignored: "));
    assert_non_null(strstr(o.err, path));
    output_free(&o);
}

// How often a word occurs in a text.
static int count_words(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) count++;
    return count;
}

#define WRITE() RUN("generate", "-m", model_dir, "--ids", "1,2,3,4", "-n", "5", "-s", "7")

// The quick tuning is reported once, in one line, and the text is the same.
static void test_quick(void **state)
{
    (void)state;
    char path[2 * DIR_BYTES], *cache = getenv("XDG_CACHE_HOME") ? strdup(getenv("XDG_CACHE_HOME")) : NULL;
    in_dir(path, "quick");
    setenv("XDG_CACHE_HOME", path, 1);
    setenv("VKGPT_QUICK_TUNING", "force", 1);
    setenv("VKGPT_TUNING", "off", 1);
    struct Output off = WRITE();
    unsetenv("VKGPT_TUNING");
    struct Output first = WRITE(), second = WRITE();
    assert_status(&off, 0);
    assert_status(&first, 0);
    assert_status(&second, 0);
    assert_null(strstr(off.err, "tuned"));
    assert_int_equal(count_words(first.err, "tuned"), 1);
    assert_non_null(strstr(first.err, "vkgpt: "));
    assert_null(strstr(second.err, "tuned"));
    assert_true(off.out_bytes > 0);
    assert_string_equal(off.out, first.out);
    assert_string_equal(off.out, second.out);
    output_free(&off);
    output_free(&first);
    output_free(&second);
    unsetenv("VKGPT_QUICK_TUNING");
    if (cache) setenv("XDG_CACHE_HOME", cache, 1);
    free(cache);
}

static void test_bad_usage(void **state)
{
    (void)state;
    setenv("VKGPT_TUNING", "off", 1);
    assert_sentence(RUN("tune", "--kv", "f16"), 2, "--kv");
    assert_sentence(RUN("tune", "--start", "a"), 2, "--start is a flag of other commands");
    assert_sentence(RUN("tune", "-m", "no/such/model"), 1, "no/such/model");
}

static int setup(void **state)
{
    vkgpt_error err;
    assert_int_equal(synthetic_model_temporary(&SMALL, model_dir, sizeof model_dir, &err), 0);
    return test_dir_setup(state);
}

static int teardown(void **state)
{
    synthetic_model_remove(model_dir);
    return test_dir_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tune), cmocka_unit_test(test_bad_file),
                                       cmocka_unit_test(test_quick), cmocka_unit_test(test_bad_usage)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
