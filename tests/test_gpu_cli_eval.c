// vkgpt eval on a device against the results of tools/fixtures_eval.py with transformers; and interrupted runs that go
// on.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "program.h"

#include <cjson/cJSON.h>
#include <cmocka.h>

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/eval"
#define LAMBADA "lambada:" FIXTURES "/lambada.jsonl"
#define SHORT "hellaswag:" FIXTURES "/hellaswag.jsonl,winogrande:" FIXTURES "/winogrande.jsonl"
#define EVAL(...)                                                                                                      \
    RUN("eval", "-m", VKGPT_SOURCE_DIR "/models/tales", "--weights", "f32", "--kv", "f32", "-c", "64", "--json",       \
        "--tasks", __VA_ARGS__)

static char record[DIR_BYTES + 16];

static int setup(void **state)
{
    int status = test_dir_setup(state);
    snprintf(record, sizeof record, "%s/record", test_dir);
    return status;
}

static char *read_text(const char *dir, const char *name)
{
    struct Bytes bytes = file_read(dir, name);
    bytes_number(&bytes, 0, 1);
    return (char *)bytes.data; // the caller owns it now
}

static void assert_close(const char *what, double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance * fmax(1, fabs(expected))))
        fail_msg("%s is %.9g, expected %.9g", what, value, expected);
}

static double result_of(const cJSON *json, const char *task, const char *measure)
{
    const cJSON *item = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "results"), task), measure);
    if (!cJSON_IsNumber(item)) fail_msg("%s has no number %s", task, measure);
    return item->valuedouble;
}

// -------------------------------------------------------------------------------------- beside the script

// Compares every number of the script, except those of single items.
static void check_results(const cJSON *expected, const cJSON *json)
{
    const cJSON *task, *measure;
    size_t checked = 0;
    cJSON_ArrayForEach(task, expected)
    {
        cJSON_ArrayForEach(measure, task)
        {
            if (!cJSON_IsNumber(measure)) continue;
            assert_close(measure->string, result_of(json, task->string, measure->string), measure->valuedouble, 1e-3);
            checked++;
        }
    }
    assert_int_equal(checked, 5 + 4 + 4 + 4 + 2 + 6);
}

static void check_item(const cJSON *expected, const cJSON *line)
{
    const cJSON *task = cJSON_GetObjectItem(expected, cJSON_GetStringValue(cJSON_GetObjectItem(line, "task")));
    const cJSON *item = cJSON_GetObjectItem(line, "item");
    const cJSON *logprobs = cJSON_GetArrayItem(cJSON_GetObjectItem(task, "logprobs"), item->valueint),
                *found = cJSON_GetObjectItem(line, "logprobs");
    assert_int_equal(cJSON_GetArraySize(logprobs), cJSON_GetArraySize(found));
    for (int i = 0; i < cJSON_GetArraySize(found); i++)
        assert_close(task->string, cJSON_GetArrayItem(found, i)->valuedouble,
                     cJSON_GetArrayItem(logprobs, i)->valuedouble, 1e-4);
}

static void test_expected(void **state)
{
    (void)state;
    char *text = read_text(FIXTURES, "expected.json");
    cJSON *expected = cJSON_Parse(text);
    assert_non_null(expected);
    cJSON *json = output_json(EVAL(LAMBADA "," SHORT ",piqa:" FIXTURES "/piqa.jsonl,arc_easy:" FIXTURES
                                           "/arc.jsonl,wikitext:" FIXTURES "/wikitext.txt",
                                   "--resume", record));
    check_results(expected, json);
    cJSON_Delete(json);
    free(text);

    char *lines = read_text(test_dir, "record"), *rest = lines;
    int items = 0;
    for (char *line; (line = strtok_r(rest, "\n", &rest));) {
        cJSON *object = cJSON_Parse(line);
        assert_non_null(object);
        if (cJSON_GetObjectItem(object, "item")) check_item(expected, object), items++;
        cJSON_Delete(object);
    }
    assert_int_equal(items, 6 + 3 + 2 + 2 + 2 + 3);
    free(lines);
    cJSON_Delete(expected);
}

// Pages of JSON are those of the text, and --limit takes the first ones.
static void test_pages_and_limit(void **state)
{
    (void)state;
    cJSON *text = output_json(EVAL("wikitext:" FIXTURES "/wikitext.txt", "--limit", "1")),
          *json = output_json(EVAL("wikitext:" FIXTURES "/wikitext.jsonl", "--limit", "1"));
    assert_true(result_of(text, "wikitext", "word_perplexity") == result_of(json, "wikitext", "word_perplexity"));
    assert_true(result_of(json, "wikitext", "items") == 1);
    const cJSON *error = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "results"), "wikitext"),
                                             "word_perplexity_stderr");
    assert_true(cJSON_IsNull(error)); // a single page has none
    cJSON_Delete(text);
    cJSON_Delete(json);
}

// ----------------------------------------------------------------------------------------- runs that go on

static void write_record(const char *text, size_t bytes) { file_write(test_dir, "record", text, bytes); }

static size_t lines_with(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++) count++;
    return count;
}

static void test_resume(void **state)
{
    (void)state;
    cJSON *whole = output_json(EVAL(LAMBADA));
    cJSON_Delete(output_json(EVAL(LAMBADA, "--limit", "3", "--resume", record)));
    char *before = read_text(test_dir, "record");
    assert_int_equal(lines_with(before, "\"item\":"), 3);
    size_t bytes = strlen(before) - 9; // a crash in the middle of the last line
    write_record(before, bytes);
    cJSON *resumed = output_json(EVAL(LAMBADA, "--resume", record));
    char *after = read_text(test_dir, "record");
    assert_int_equal(lines_with(after, "\"item\":"), 6);
    assert_int_equal(lines_with(after, "\"format\":"), 1);
    assert_int_equal(strncmp(before, after, bytes), 0); // the old lines stay
    static const char *const measures[] = {"acc", "acc_stderr", "perplexity", "perplexity_stderr", "truncated"};
    for (int i = 0; i < 5; i++)
        assert_true(result_of(whole, "lambada", measures[i]) == result_of(resumed, "lambada", measures[i]));
    cJSON_Delete(resumed);

    // results in the record are not computed again, and other tasks may be added to it
    char *item = strstr(after, "\"greedy\":false");
    memcpy(item, "\"greedy\":true ", 14);
    write_record(after, strlen(after));
    resumed = output_json(EVAL(LAMBADA "," SHORT, "--resume", record));
    assert_close("acc", result_of(resumed, "lambada", "acc"), result_of(whole, "lambada", "acc") + 1.0 / 6, 1e-9);
    assert_true(result_of(resumed, "winogrande", "items") == 2);
    cJSON_Delete(resumed);
    cJSON_Delete(whole);
    free(before);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expected, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_pages_and_limit, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, test_dir_teardown),
    };
    return cmocka_run_group_tests_name("gpu_cli_eval", tests, NULL, NULL);
}
