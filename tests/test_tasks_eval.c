// The parts of an evaluation without a device: WikiText's pages and words, fingerprints, and records of results.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "tasks/eval_record.h"
#include "tasks/fingerprint.h"
#include "tasks/wikitext.h"

#include <cjson/cJSON.h>
#include <cmocka.h>

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/eval"
#define SHORT "hellaswag:" FIXTURES "/hellaswag.jsonl,winogrande:" FIXTURES "/winogrande.jsonl"

static struct Bytes fixture(const char *name)
{
    struct Bytes bytes = file_read(FIXTURES, name);
    bytes_number(&bytes, 0, 1);
    bytes.count--;
    return bytes;
}

// Each page, detokenized, is the same as the output of tools/fixtures_eval.py.
static void test_pages(void **state)
{
    (void)state;
    struct Bytes file = fixture("wikitext.txt"), json = fixture("expected.json");
    cJSON *expected = cJSON_Parse((const char *)json.data);
    const cJSON *plain = cJSON_GetObjectItem(expected, "plain");
    const char *at = (const char *)file.data, *end = at + file.count, *page;
    size_t length;
    int count = 0;
    struct Buffer text = {0};
    for (; wikitext_page(&at, end, &page, &length); count++) {
        wikitext_detokenize(page, length, &text);
        assert_string_equal(text.data, cJSON_GetStringValue(cJSON_GetArrayItem(plain, count)));
    }
    assert_int_equal(count, cJSON_GetArraySize(plain));
    assert_int_equal(count, 3);
    buffer_free(&text);
    cJSON_Delete(expected);
    bytes_free(&file);
    bytes_free(&json);
}

static void assert_words(const char *text, size_t words)
{
    assert_int_equal(wikitext_words(text, strlen(text)), words);
}

static void test_words(void **state)
{
    (void)state;
    // clang-format off
    assert_words("one two", 2);
    assert_words("", 1);
    assert_words(" one \n\n two ", 4); // the empty pieces at both ends count
    assert_words("a\xC2\xA0" "b\xE3\x80\x80" "c\xE2\x80\x8B" "d", 3); // no-break and wide spaces part words, zero-width ones do not
    assert_words("\xFF \xC2", 2);
    // clang-format on
}

static void test_no_pages(void **state)
{
    (void)state;
    const char *blank = " \n \n\n", *at = blank, *page;
    size_t length;
    assert_false(wikitext_page(&at, blank + strlen(blank), &page, &length));
    const char *untitled = "= = Part = =\ntext\n = A =", *end = untitled + strlen(untitled);
    at = untitled;
    assert_true(wikitext_page(&at, end, &page, &length));
    assert_int_equal(length, strlen("= = Part = =\ntext"));
    assert_true(wikitext_page(&at, end, &page, &length));
    assert_int_equal(length, strlen(" = A ="));
    assert_false(wikitext_page(&at, end, &page, &length));
}

static void test_fingerprint(void **state)
{
    (void)state;
    char path[DIR_BYTES + 16], first[FINGERPRINT_BYTES], second[FINGERPRINT_BYTES];
    uint64_t bytes;
    vkgpt_error err;
    snprintf(path, sizeof path, "%s/a.json", test_dir);
    file_write(test_dir, "a.json", "{}", 2);
    assert_int_equal(fingerprint_file(path, first, &bytes, &err), 0);
    assert_int_equal(bytes, 2);
    file_write(test_dir, "a.json", "[]", 2);
    assert_int_equal(fingerprint_file(path, second, &bytes, &err), 0);
    assert_string_not_equal(first, second);

    assert_int_equal(fingerprint_model(test_dir, first, &err), 0);
    file_write(test_dir, "card.md", "text", 4); // not a part of a model
    assert_int_equal(fingerprint_model(test_dir, second, &err), 0);
    assert_string_equal(first, second);
    file_write(test_dir, "merges.txt", "a b", 3);
    assert_int_equal(fingerprint_model(test_dir, second, &err), 0);
    assert_string_not_equal(first, second);
    assert_int_not_equal(fingerprint_model("/no/such/place", second, &err), 0);

    memcpy(second, first, sizeof second);
    assert_int_equal(fingerprint_add(NEED_ADAPTER, NULL, second, &err), 0); // no adapter
    assert_string_equal(first, second);
    assert_int_equal(fingerprint_add(NEED_ADAPTER, VKGPT_SOURCE_DIR "/tests/fixtures/lora/gpt1/adapter", second, &err),
                     0);
    assert_string_not_equal(first, second);
    assert_int_equal(fingerprint_add(NEED_ADAPTER, VKGPT_SOURCE_DIR "/tests/fixtures/lora/neo/adapter", first, &err),
                     0);
    assert_string_not_equal(first, second);
    assert_int_not_equal(fingerprint_add(NEED_ADAPTER, "/no/such/place", first, &err), 0);
}

// ---------------------------------------------------------------------------------------------- records

static char record[DIR_BYTES + 16];

static void write_record(const char *text, size_t bytes) { file_write(test_dir, "record", text, bytes); }

// The result of opening the record, which is closed again.
static int open_record(const struct EvalSubject *subject, vkgpt_error *err)
{
    struct EvalTask *tasks;
    size_t count;
    struct EvalRecord opened = {0};
    int code = eval_tasks_read(SHORT, 1, &tasks, &count, err);
    assert_int_equal(code, 0);
    code = eval_record_open(&opened, record, subject, tasks, count, err);
    eval_record_close(&opened, NULL);
    eval_tasks_free(tasks, count);
    return code;
}

static const struct Case {
    const char *from, *to, *part;
} CASES[] = {
    {"\"model_hash\":\"", "\"model_hash\":\"0", "its results are of model gpt2 ("},
    {"\"model\":", "\"modal\":", "does not say its model"},
    {"\"f32\"", "\"q8_0\"", "its results are of weights q8_0, and this run is of f32"},
    {"\"64\"", "\"128\"", "its results are of context 128, and this run is of 64"},
    {"\"weights\":", "\"wait\":", "does not say its weights"},
    {"\"bytes\":745", "\"bytes\":744", "its results of hellaswag are of "},
    {"\"bytes\":745", "\"bytes\":\"745\"", ":2: is not a line of results: file, bytes and hash"},
    {"vkgpt-eval-1", "other", "its results are of format other"},
    {"{\"format\"", "{\"form\"", "holds no results of vkgpt eval"},
    {"{\"task\":\"hellaswag\",\"item\":0", "{\"task\":\"hellaswag\",\"item\":-1", "is not a number of an item"},
    {"\"logprobs\":[", "\"logprobs\":[1,", "logprobs has to have one number for each answer"},
    {"\"logprobs\":[-1,", "\"logprobs\":[true,", "logprobs has to have one number for each answer"},
    {"\"greedy\":", "\"greed\":", "greedy has to be true or false"},
    {"\"cut\":0", "\"cut\":0.5", "cut is not a number of tokens"},
    {"{\"task\":\"hellaswag\",\"item\":0,", "{\"task\":\"hellaswag\",\"item\":0", ":3: "},
    {"{\"task\":\"hellaswag\",\"file\"", "{\"tusk\":\"hellaswag\",\"file\"", "it names no task"},
    {"{\"task\":\"hellaswag\",\"file\"", "{\"task\":\"other\",\"file\"", "has to come first"},
};

static const char RECORD[] = // without the hashes; the model's name is not compared
    "{\"format\":\"vkgpt-eval-1\",\"model\":\"gpt2\",\"model_hash\":\"HASH\",\"weights\":\"f32\",\"kv\":\"f32\",\"context\":\"64\"}\n"
    "{\"task\":\"hellaswag\",\"file\":\"x\",\"bytes\":745,\"hash\":\"FILE\"}\n"
    "{\"task\":\"hellaswag\",\"item\":0,\"logprobs\":[-1,-2.5,-3e1],\"greedy\":false,\"cut\":0}\n"
    "{\"task\":\"other\",\"item\":0,\"logprobs\":[-9],\"greedy\":false,\"cut\":0}\n";

static char *good_record(const char *dir)
{
    char model[FINGERPRINT_BYTES], file[FINGERPRINT_BYTES];
    uint64_t bytes;
    // clang-format off
    assert_int_equal(fingerprint_model(dir, model, NULL), 0);
    assert_int_equal(fingerprint_file(FIXTURES "/hellaswag.jsonl", file, &bytes, NULL), 0);
    // clang-format on
    char *half = text_replace(RECORD, "HASH", model), *whole = text_replace(half, "FILE", file);
    free(half);
    return whole;
}

static void test_foreign_records(void **state)
{
    (void)state;
    const vkgpt_model_info model = {.name = "renamed", .weights = "f32"};
    struct EvalSubject subject = {
        .dir = VKGPT_SOURCE_DIR "/models/tales", .model = &model, .kv = VKGPT_F32, .context = 64};
    vkgpt_error err;
    snprintf(record, sizeof record, "%s/record", test_dir);
    char *good = good_record(subject.dir);
    write_record(good, strlen(good));
    assert_int_equal(open_record(&subject, &err), 0);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char *text = text_replace(good, CASES[i].from, CASES[i].to);
        write_record(text, strlen(text));
        free(text);
        int code = open_record(&subject, &err);
        expect_sentence(code, code ? code : VKGPT_BAD_FILE, &err, CASES[i].part, NULL);
    }
    subject.kv = VKGPT_F16;
    write_record(good, strlen(good));
    assert_int_equal(open_record(&subject, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "its results are of kv f32, and this run is of f16"));
    write_record("# a text of mine", 16);
    assert_int_equal(open_record(&subject, &err), VKGPT_BAD_FILE);
    assert_non_null(strstr(err.text, "holds no results of vkgpt eval"));
    struct Bytes kept = file_read(test_dir, "record");
    assert_int_equal(kept.count, 16); // and is not changed
    bytes_free(&kept);
    snprintf(record, sizeof record, "/no/such/place/record");
    assert_int_equal(open_record(&subject, &err), VKGPT_BAD_FILE);
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_pages),
        cmocka_unit_test_setup_teardown(test_fingerprint, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_records, test_dir_setup, test_dir_teardown),
    };
    return cmocka_run_group_tests_name("tasks_eval", tests, NULL, NULL);
}
