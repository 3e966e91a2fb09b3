// vkgpt eval without any device: WikiText's pages and words, and what bad input gets.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fingerprint.h"
#include "cli/wikitext.h"
#include "model_files.h"
#include "program.h"

#include <cjson/cJSON.h>
#include <cmocka.h>

#define FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/eval"

static struct Bytes fixture(const char *name)
{
    struct Bytes bytes = file_read(FIXTURES, name);
    bytes_number(&bytes, 0, 1);
    bytes.count--;
    return bytes;
}

// Each page, detokenized, is what tools/fixtures_eval.py made of it.
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
    assert_words("one two", 2);
    assert_words("", 1);
    assert_words(" one \n\n two ", 4); // the empty pieces at both ends count
    assert_words("a\xC2\xA0" "b\xE3\x80\x80" "c\xE2\x80\x8B" "d", 3); // no-break and wide spaces part words, a zero-width one does not
    assert_words("\xFF \xC2", 2);
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
    file_write(test_dir, "card.md", "text", 4); // is no part of a model
    assert_int_equal(fingerprint_model(test_dir, second, &err), 0);
    assert_string_equal(first, second);
    file_write(test_dir, "merges.txt", "a b", 3);
    assert_int_equal(fingerprint_model(test_dir, second, &err), 0);
    assert_string_not_equal(first, second);
    assert_int_not_equal(fingerprint_model("/no/such/place", second, &err), 0);

    memcpy(second, first, sizeof second);
    assert_int_equal(fingerprint_add(NEED_ADAPTER, NULL, second, &err), 0); // no adapter
    assert_string_equal(first, second);
    assert_int_equal(fingerprint_add(NEED_ADAPTER, VKGPT_SOURCE_DIR "/tests/fixtures/lora/gpt1/adapter", second, &err), 0);
    assert_string_not_equal(first, second);
    assert_int_equal(fingerprint_add(NEED_ADAPTER, VKGPT_SOURCE_DIR "/tests/fixtures/lora/neo/adapter", first, &err), 0);
    assert_string_not_equal(first, second);
    assert_int_not_equal(fingerprint_add(NEED_ADAPTER, "/no/such/place", first, &err), 0);
}

static void assert_refused(const char *tasks, int status, const char *part)
{
    assert_sentence(RUN("eval", "--tasks", tasks), status, part);
}

// That a file of this task, with this text, is refused.
static void assert_bad_file(const char *task, const char *name, const char *text, const char *part)
{
    char tasks[DIR_BYTES + 64];
    file_write(test_dir, name, text, strlen(text));
    snprintf(tasks, sizeof tasks, "%s:%s/%s", task, test_dir, name);
    assert_refused(tasks, 1, part);
}

static void test_bad_input(void **state)
{
    (void)state;
    assert_sentence(RUN("eval"), 2, "eval needs --tasks");
    assert_refused("", 1, "--tasks: is empty");
    assert_refused("sing:x", 1, "there is no task 'sing'; there are lambada, hellaswag, piqa, arc_easy, arc_challenge, winogrande, wikitext");
    assert_refused("lambada", 1, "lambada has no file; it is given as lambada:FILE");
    assert_refused("lambada:", 1, "lambada has no file");
    assert_refused("lambada:/no/such/file", 1, "/no/such/file");
    assert_refused("lambada:" FIXTURES, 1, "is a directory");
    assert_refused("lambada:" FIXTURES "/lambada.jsonl,lambada:" FIXTURES "/lambada.jsonl", 1, "lambada is given twice");
    assert_refused("lambada:" FIXTURES "/lambada.jsonl,hellaswag:" FIXTURES "/lambada.jsonl", 1, "lambada.jsonl:1: ");
    assert_bad_file("lambada", "a.jsonl", "{\"text\": \"one two\"}\n{\"text\": \"one\n", "a.jsonl:2: ");
    assert_bad_file("lambada", "a.jsonl", "\n", "a.jsonl: has no items");
    assert_bad_file("hellaswag", "a.jsonl", "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"d\", \"e\"], \"label\": 2}\n", "a.jsonl:1: ");
    assert_bad_file("wikitext", "a.txt", " \n\n", "a.txt: has no text");
    assert_bad_file("wikitext", "a.jsonl", "{\"page\": \"x\"}\n{\"text\": \"x\"}\n", "a.jsonl:2: the field \"page\" is missing");
    assert_bad_file("wikitext", "a.jsonl", "{\"page\": \"\"}\n", "a.jsonl:1: the field \"page\" is no text, or empty");
    assert_refused("lambada:" FIXTURES "/lambada.jsonl", 1, "Vulkan");
}

int main(void)
{
    // whatever opens a device here fails
    setenv("VK_DRIVER_FILES", "/no/such/place", 1);
    setenv("VK_ICD_FILENAMES", "/no/such/place", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_no_pages),
        cmocka_unit_test_setup_teardown(test_fingerprint, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_input, test_dir_setup, test_dir_teardown),
    };
    return cmocka_run_group_tests_name("cli_eval", tests, NULL, NULL);
}
