// vkgpt few-shot without a device: the prompts it shows, what does not fit, and wrong flags.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define SHOW(...) RUN("few-shot", "-m", TALES, "--task", task, "--show", __VA_ARGS__)

static char task[DIR_BYTES + 16];

static void write_task(const char *text)
{
    file_write(test_dir, "task.jsonl", text, strlen(text));
    snprintf(task, sizeof task, "%s/task.jsonl", test_dir);
}

static const char SUMS[] = "{\"context\": \"\\n\\nQ: What is 1 plus 2?\\n\\nA:\", \"completion\": \" 3\"}\n"
                           "{\"context\": \"\\n\\nQ: What is 4 plus 4?\\n\\nA:\", \"completion\": \" 8\"}\n";
static const char WORDS[] = "{\"context\": \"red\", \"completion\": \" rouge\", \"description\": \"To French:\"}\n"
                            "{\"context\": \"blue\", \"completion\": \" bleu\", \"description\": \"To French:\"}\n";

static void shown(struct Output o, const char *expected)
{
    assert_status(&o, 0);
    assert_string_equal(o.out, expected);
    assert_int_equal(o.err_bytes, 0);
    output_free(&o);
}

static void test_prompts(void **state)
{
    (void)state;
    write_task(SUMS);
    shown(SHOW("--limit", "1"), "\n\nQ: What is 1 plus 2?\n\nA:");
    shown(SHOW("--limit", "1", "--shots", "1"), "\n\nQ: What is 4 plus 4?\n\nA: 8\n\nQ: What is 1 plus 2?\n\nA:");
    shown(SHOW("--limit", "1", "--shots", "1", "--description", "Add:\\n", "-e", "--separator", ""),
          "Add:\n\n\nQ: What is 4 plus 4?\n\nA: 8\n\nQ: What is 1 plus 2?\n\nA:");
    write_task(WORDS);
    shown(SHOW("--limit", "1", "--shots", "1"), "To French:\n\nblue bleu\n\nred");
    shown(SHOW("--limit", "1", "--shots", "1", "--separator", "; ", "--description", ""), "blue bleu; red");
    struct Output all = SHOW("--shots", "1,0");
    assert_status(&all, 0);
    assert_non_null(strstr(all.out, "---- line 1, 0 shots, "));
    assert_non_null(strstr(all.out, " tokens\nTo French:\n\nblue bleu\n\nred\n---- line 2, 1 shots, "));
    output_free(&all);
}

static void test_examples(void **state)
{
    (void)state;
    write_task(WORDS);
    char other[DIR_BYTES + 16];
    static const char text[] =
        "{\"context\": \"green\", \"completion\": \" vert\"}\n{\"context\": \"red\", \"completion\": \" rouge\"}\n";
    file_write(test_dir, "other.jsonl", text, strlen(text));
    snprintf(other, sizeof other, "%s/other.jsonl", test_dir);
    shown(SHOW("--limit", "1", "--shots", "1", "--examples", other), "To French:\n\ngreen vert\n\nred");
    assert_sentence(SHOW("--limit", "1", "--shots", "2", "--examples", other), 1,
                    "has 1 examples for the item of line 1");
    assert_sentence(SHOW("--limit", "1", "--shots", "3", "--examples", other), 1, "3 shots need 3");
}

// 30 sums of the same length; a small context holds a few of them.
static void write_sums(void)
{
    struct Bytes text = {0};
    char line[128];
    for (int i = 0; i < 30; i++) {
        snprintf(line, sizeof line, "{\"context\": \"\\nQ: %d and %d\\nA:\", \"completion\": \" %d\"}\n", 10 + i,
                 50 - i, 60);
        bytes_text(&text, line);
    }
    bytes_add(&text, "", 1);
    write_task((const char *)text.data);
    bytes_free(&text);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    write_sums();
    struct Output o = SHOW("--shots", "0,16", "--limit", "3", "-c", "60", "-n", "4", "--json");
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, "at 16 shots 3 of 3 prompts did not fit the context of 60 tokens"));
    assert_null(strstr(o.err, "at 0 shots"));
    cJSON *json = cJSON_Parse(o.out);
    const cJSON *prompts = cJSON_GetObjectItem(json, "prompts"), *prompt;
    assert_int_equal(cJSON_GetArraySize(prompts), 6);
    size_t dropped = 0;
    cJSON_ArrayForEach(prompt, prompts)
    {
        int shots = cJSON_GetObjectItem(prompt, "shots")->valueint,
            left = cJSON_GetObjectItem(prompt, "examples_dropped")->valueint;
        int tokens = cJSON_GetObjectItem(prompt, "tokens")->valueint;
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(prompt, "prompt"));
        int answers = 0;
        for (const char *at = text; (at = strstr(at, "\nA: 60\n")) != NULL; at++) answers++;
        assert_int_equal(answers, shots); // whole examples, and the query after them
        assert_int_equal(strcmp(text + strlen(text) - 3, "\nA:"), 0);
        assert_int_equal(strncmp(text, "\nQ: ", 4), 0);
        assert_true(shots + left == 0 || shots + left == 16);
        assert_true(tokens + 4 <= 61);
        if (left) assert_true(shots > 0 && tokens + 4 + 22 > 61); // one more would not have fitted
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(prompt, "ids")), tokens);
        dropped += (size_t)left;
    }
    char says[64];
    snprintf(says, sizeof says, ": %zu examples were left out", dropped);
    assert_non_null(strstr(o.err, says));
    cJSON_Delete(json);
    output_free(&o);
    assert_sentence(SHOW("--limit", "1", "-c", "12", "-n", "4"), 1, "task.jsonl:1: is ");
    assert_sentence(SHOW("--limit", "1", "-c", "40", "-n", "400"), 1, "with 400 for the answer 41 at most fit");
    o = SHOW("--limit", "1", "-c", "400"); // more than the model has
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, "vkgpt: -c 400: the model has 256 positions, and all of them are taken\n"));
    output_free(&o);
}

static int member_of_first(struct Output o, const char *name)
{
    assert_status(&o, 0);
    cJSON *json = cJSON_Parse(o.out);
    int number = cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "prompts"), 0), name)->valueint;
    cJSON_Delete(json);
    output_free(&o);
    return number;
}

// A context of n positions holds n tokens, and one more token is predicted.
static void test_what_just_fits(void **state)
{
    (void)state;
    write_sums();
    char context[16];
    int tokens = member_of_first(SHOW("--limit", "1", "--shots", "3", "-n", "4", "--json"), "tokens");
    snprintf(context, sizeof context, "%d", tokens + 3);
    assert_int_equal(
        member_of_first(SHOW("--limit", "1", "--shots", "3", "-n", "4", "--json", "-c", context), "examples_dropped"),
        0);
    snprintf(context, sizeof context, "%d", tokens + 2);
    assert_int_equal(
        member_of_first(SHOW("--limit", "1", "--shots", "3", "-n", "4", "--json", "-c", context), "examples_dropped"),
        1);
}

static void test_choices(void **state)
{
    (void)state;
    write_task(
        "{\"sentence\": \"Ann met Eve; _ had a map.\", \"option1\": \"Ann\", \"option2\": \"Eve\", \"answer\": \"2\"}\n");
    struct Output o = SHOW("--json");
    assert_status(&o, 0);
    cJSON *json = cJSON_Parse(o.out);
    const cJSON *answers = cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "prompts"), 0), "answers");
    assert_int_equal(cJSON_GetArraySize(answers), 2);
    const cJSON *second = cJSON_GetArrayItem(answers, 1);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(second, "context")), "Ann met Eve; Eve");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(second, "text")), " had a map.");
    struct Output ids = RUN("tokenize", "-m", TALES, "-p", "Ann met Eve; Eve had a map.", "--json");
    cJSON *whole = cJSON_Parse(ids.out);
    assert_true(cJSON_Compare(cJSON_GetObjectItem(whole, "ids"), cJSON_GetObjectItem(second, "ids"), true));
    shown(SHOW("--measure", "exact"), "Ann met Eve; Eve"); // written after all
    cJSON_Delete(whole);
    cJSON_Delete(json);
    output_free(&ids);
    output_free(&o);
}

static void test_list(void **state)
{
    (void)state;
    struct Output o = RUN("few-shot", "--list");
    assert_status(&o, 0);
    assert_non_null(strstr(o.out, "two_digit_addition            1000 items, such as Q: What is "));
    assert_non_null(strstr(o.out, "\nreversed_words "));
    output_free(&o);
    o = RUN("few-shot", "-m", TALES, "--task", "reversed_words", "--show", "--limit", "1");
    assert_status(&o, 0);
    assert_int_equal(strncmp(o.out, "Please unscramble", 17), 0);
    output_free(&o);
    assert_sentence(RUN("few-shot", "-m", TALES, "--task", "no_such_task"), 1, "no_such_task");
}

static void test_refusals(void **state)
{
    (void)state;
    write_task(SUMS);
    assert_sentence(RUN("few-shot", "-m", TALES), 2, "few-shot needs the task's examples");
    assert_sentence(RUN("few-shot", "-m", TALES, "--task", "/nowhere/x.jsonl"), 1, "/nowhere/x.jsonl");
    assert_sentence(SHOW("--shots", "2"), 1, "has 2 items, 2 shots need 3, the query and its examples");
    static const char *const bad[] = {"", "x", "1,", ",1", "1 2", "-1", "1,,2", "1025", "99999999999999999999", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) assert_sentence(SHOW("--shots", bad[i]), 2, "--shots is '");
    assert_sentence(SHOW("--measure", "choice"), 2, "has no answers to choose from");
    assert_sentence(SHOW("--seed", "-1"), 2, "--seed is -1");
    write_task("{\"context\": \"c\", \"completion\": \" d\"}\n{\"context\": \"c\", \"completion\": \" d\"}\n");
    assert_sentence(SHOW("--shots", "1"), 1, "whose own context is none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts),           cmocka_unit_test(test_examples),
        cmocka_unit_test(test_what_does_not_fit), cmocka_unit_test(test_what_just_fits),
        cmocka_unit_test(test_choices),           cmocka_unit_test(test_list),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("cli_few_shot", tests, test_dir_setup, test_dir_teardown);
}
