// The program with several texts at once: the same texts as one by one; and what is refused.
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

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define GENERATE(...) RUN("generate", "-m", TALES, "-c", "64", __VA_ARGS__)

static char prompts_path[64];

static int write_prompts(const char *text)
{
    FILE *file = fopen(prompts_path, "wb");
    if (!file) return -1;
    fputs(text, file);
    return fclose(file);
}

static int make_name(void **state)
{
    (void)state;
    snprintf(prompts_path, sizeof prompts_path, "test_gpu_cli_batch.%ld.tmp", (long)getpid());
    return 0;
}

static int drop_file(void **state)
{
    (void)state;
    remove(prompts_path);
    return 0;
}

static const char *text_of(const cJSON *json)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "text"));
    assert_non_null(text);
    return text;
}

// Text `at` of a batch is the same as the text of a run with one sequence.
static void same_text(const cJSON *batch, int at, struct Output alone)
{
    cJSON *json = output_json(alone);
    const cJSON *completions = cJSON_GetObjectItemCaseSensitive(batch, "completions");
    assert_string_equal(text_of(cJSON_GetArrayItem(completions, at)), text_of(json));
    cJSON_Delete(json);
}

static void test_seeds_rise(void **state)
{
    (void)state;
    cJSON *json = output_json(GENERATE("-p", "The king", "-n", "8", "--seed", "5", "--parallel", "3", "--json"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "completions")), 3);
    same_text(json, 0, GENERATE("-p", "The king", "-n", "8", "--seed", "5", "--json"));
    same_text(json, 2, GENERATE("-p", "The king", "-n", "8", "--seed", "7", "--json"));
    cJSON_Delete(json);
}

// Five prompts, two at once; one is empty and begins with the model's first token.
static void test_prompts(void **state)
{
    (void)state;
    assert_int_equal(write_prompts("The king\nOnce upon a time\r\n\nA bird sang\\n\nThe end"), 0);
    cJSON *json =
        output_json(GENERATE("--prompts", prompts_path, "-e", "-n", "6", "--seed", "9", "--parallel", "2", "--json"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "completions")), 5);
    same_text(json, 1, GENERATE("-p", "Once upon a time", "-n", "6", "--seed", "9", "--json"));
    same_text(json, 2, GENERATE("-p", "", "-n", "6", "--seed", "9", "--json"));
    same_text(json, 3, GENERATE("-p", "A bird sang\n", "-n", "6", "--seed", "9", "--json"));
    cJSON_Delete(json);

    struct Output o = GENERATE("--prompts", prompts_path, "-n", "3", "--temp", "0");
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, "--- line 1\n"));
    assert_non_null(strstr(o.out, "--- line 5\n"));
    output_free(&o);
}

static double steps_of(const cJSON *json)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "timings"), "decode_steps"));
}

static void test_drafts_change_nothing(void **state)
{
    (void)state;
    cJSON *json = output_json(GENERATE("-p", "a cat, a dog, a cat, a dog, a", "-n", "12", "--temp", "0", "--json"));
    struct Output drafted =
        GENERATE("-p", "a cat, a dog, a cat, a dog, a", "-n", "12", "--temp", "0", "--lookup", "4", "--json");
    cJSON *other = output_json(drafted);
    assert_string_equal(text_of(json), text_of(other));
    assert_true(steps_of(json) >= 12); // one step per token, and those in flight after the last
    assert_true(steps_of(other) > 0 && steps_of(other) < 12);
    cJSON_Delete(json);
    cJSON_Delete(other);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_int_equal(write_prompts("short\na b c d e f g h i j k l m n o p q r s t u v w x y z\n"), 0);
    assert_sentence(RUN("generate", "-m", TALES, "-c", "8", "--prompts", prompts_path), 1, "line 2: ");
    assert_int_equal(write_prompts(""), 0);
    assert_sentence(GENERATE("--prompts", prompts_path), 1, "holds no line");
    assert_sentence(GENERATE("--prompts", "no/such/file"), 1, "no/such/file");
    assert_sentence(GENERATE("--prompts", prompts_path, "-p", "x"), 2, "given twice");
    assert_sentence(GENERATE("-p", "x", "--parallel", "0"), 2, "between 1 and 64");
    assert_sentence(GENERATE("-p", "x", "--lookup", "32"), 2, "between 0 and 31");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds_rise),
        cmocka_unit_test_setup_teardown(test_prompts, make_name, drop_file),
        cmocka_unit_test(test_drafts_change_nothing),
        cmocka_unit_test_setup_teardown(test_refusals, make_name, drop_file),
    };
    return cmocka_run_group_tests_name("gpu_cli_batch", tests, NULL, NULL);
}
