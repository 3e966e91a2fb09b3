// vkgpt task on a device against `generate` and `score` with the same prompts.
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

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define TEXT "A fox lived in the forest. He was hungry and he went out to look for a hare."
#define TASK(...) RUN("task", __VA_ARGS__, "-m", TALES, "--json")

static const char *text_of(const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, name));
    if (!text) fail_msg("no text %s", name);
    return text;
}

static void assert_same_ids(const cJSON *a, const cJSON *b, const char *name)
{
    const cJSON *x = cJSON_GetObjectItem(a, name), *y = cJSON_GetObjectItem(b, name);
    assert_true(cJSON_GetArraySize(x) > 0);
    assert_true(cJSON_Compare(x, y, true));
}

// The task's flags are those of its header; the command line has priority.
static void test_settings(void **state)
{
    (void)state;
    cJSON *task = output_json(TASK("summarize", "-p", TEXT, "-n", "24", "-s", "3"));
    cJSON *same = output_json(RUN("generate", "-m", TALES, "--json", "-p", TEXT "\nTL;DR:", "-n", "24", "-s", "3",
                                  "--temp", "1", "--top-k", "2", "--top-p", "1", "--min-p", "0"));
    assert_same_ids(task, same, "prompt_ids");
    assert_same_ids(task, same, "ids");
    assert_string_equal(text_of(task, "task"), "summarize");
    assert_string_equal(text_of(task, "prompt"), TEXT "\nTL;DR:");
    const char *whole = text_of(same, "text");
    assert_string_equal(text_of(task, "text"), whole + strspn(whole, " \n"));
    cJSON_Delete(task);
    cJSON_Delete(same);
    task = output_json(TASK("summarize", "-p", TEXT, "-n", "8", "--temp", "0"));
    same = output_json(RUN("generate", "-m", TALES, "--json", "-p", TEXT "\nTL;DR:", "-n", "8", "--temp", "0"));
    assert_same_ids(task, same, "ids");
    cJSON_Delete(task);
    cJSON_Delete(same);
}

// Stops and `keep` end the text, and nothing after them is printed.
static void test_ends(void **state)
{
    (void)state;
    static const char task[] = "field text: a text\nn: 40\ntemp: 0\nkeep: 1 sentence\n\n{text}";
    char path[DIR_BYTES + 16];
    snprintf(path, sizeof path, "%s/a.task", test_dir);
    file_write(test_dir, "a.task", task, sizeof task - 1);
    cJSON *json = output_json(TASK(path, "-p", TEXT));
    const char *text = text_of(json, "text");
    assert_true(strlen(text) > 2);
    assert_non_null(strchr(".!?\"", text[strlen(text) - 1]));
    assert_null(strstr(text, ". "));
    assert_string_equal(text_of(json, "stop"), "stop");
    struct Output plain = RUN("task", path, "-p", TEXT, "-m", TALES);
    assert_status(&plain, 0);
    assert_string_equal(plain.out, text);
    output_free(&plain);
    cJSON_Delete(json);

    static const char lines[] = "field text: a text\nn: 40\ntemp: 0\nstop: \\x2e\n\n{text}"; // a full stop
    file_write(test_dir, "a.task", lines, sizeof lines - 1);
    json = output_json(TASK(path, "-p", TEXT));
    assert_null(strchr(text_of(json, "text"), '.'));
    assert_string_equal(text_of(json, "stop"), "stop");
    cJSON_Delete(json);
}

// Each answer's score is the one that `vkgpt score` gives for the same context and continuation.
static void check_answers(const cJSON *task, const cJSON *score, int count)
{
    const cJSON *answers = cJSON_GetObjectItem(task, "answers"),
                *continuations = cJSON_GetObjectItem(score, "continuations");
    assert_int_equal(cJSON_GetArraySize(answers), count);
    assert_int_equal(cJSON_GetArraySize(continuations), count);
    int best = 0;
    for (int i = 0; i < count; i++) {
        const cJSON *answer = cJSON_GetArrayItem(answers, i), *other = cJSON_GetArrayItem(continuations, i);
        double logprob = cJSON_GetObjectItem(answer, "logprob")->valuedouble,
               value = cJSON_GetObjectItem(answer, "score")->valuedouble;
        assert_true(fabs(logprob - cJSON_GetObjectItem(other, "logprob")->valuedouble) < 1e-4);
        assert_true(fabs(value - cJSON_GetObjectItem(other, "score")->valuedouble) < 1e-4);
        assert_string_equal(text_of(answer, "continuation"), text_of(other, "text"));
        if (value > cJSON_GetObjectItem(cJSON_GetArrayItem(answers, best), "score")->valuedouble) best = i;
    }
    assert_int_equal(cJSON_GetObjectItem(task, "best")->valueint, best);
    assert_string_equal(text_of(task, "answer"), text_of(cJSON_GetArrayItem(answers, best), "text"));
}

static void test_classify(void **state)
{
    (void)state;
    cJSON *task =
        output_json(TASK("classify", "-p", TEXT, "--field", "labels=sad , very happy", "--normalize", "tokens"));
    cJSON *score = output_json(RUN("score", "-m", TALES, "--json", "-p", TEXT "\nQ: Is this positive or negative?\nA:",
                                   "--continuation", " sad", "--continuation", " very happy", "--normalize", "tokens"));
    check_answers(task, score, 2);
    cJSON_Delete(task);
    cJSON_Delete(score);
}

static void test_cloze(void **state)
{
    (void)state;
    cJSON *task = output_json(TASK("cloze", "-p", "The ___ lived in the forest.", "--field", "words=hill|a, b|fox"));
    cJSON *score =
        output_json(RUN("score", "-m", TALES, "--json", "-p", "The ", "--continuation", "hill lived in the forest.",
                        "--continuation", "a, b lived in the forest.", "--continuation", "fox lived in the forest."));
    check_answers(task, score, 3);
    assert_string_equal(text_of(task, "answer"), "fox");
    cJSON_Delete(task);
    cJSON_Delete(score);
    struct Output written = RUN("task", "cloze", "-m", TALES, "-p", "Once upon a ___ there lived a king.");
    assert_status(&written, 0);
    assert_string_equal(written.out, "time");
    output_free(&written);
}

static void test_no_room(void **state)
{
    (void)state;
    assert_sentence(RUN("task", "summarize", "-m", TALES, "-c", "16", "-p", TEXT), 1,
                    " tokens: the context has room for 16; -c ");
    assert_sentence(RUN("task", "classify", "-m", TALES, "-c", "16", "-p", TEXT), 1,
                    " tokens, 17 at most fit into the context");
    struct Output o = RUN("task", "summarize", "-m", TALES, "-c", "40", "-p", TEXT);
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, " of 100 new ones\n"));
    assert_non_null(strstr(o.err, "vkgpt: a prompt of "));
    output_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings), cmocka_unit_test_setup_teardown(test_ends, test_dir_setup, test_dir_teardown),
        cmocka_unit_test(test_classify), cmocka_unit_test(test_cloze),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests_name("gpu_cli_task", tests, NULL, NULL);
}
