// vkgpt eval without a device: the errors of bad input.
#define _POSIX_C_SOURCE 200809L
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

static void assert_refused(const char *tasks, int status, const char *part)
{
    assert_sentence(RUN("eval", "--tasks", tasks), status, part);
}

// Checks that a file of this task, with this text, is refused.
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
    // clang-format off
    assert_refused("", 1, "--tasks: is empty");
    assert_refused("sing:x", 1, "there is no task 'sing'; there are lambada, hellaswag, piqa, arc_easy, arc_challenge, winogrande, wikitext");
    assert_refused("lambada", 1, "lambada has no file; it is given as lambada:FILE");
    assert_refused("lambada:", 1, "lambada has no file");
    assert_refused("lambada:/no/such/file", 1, "/no/such/file");
    assert_refused("lambada:" FIXTURES, 1, "is a directory");
    assert_refused("lambada:" FIXTURES "/lambada.jsonl,lambada:" FIXTURES "/lambada.jsonl", 1, "lambada is given twice");
    assert_refused("lambada:" FIXTURES "/lambada.jsonl,hellaswag:" FIXTURES "/lambada.jsonl", 1, "lambada.jsonl:1: ");
    // clang-format on
    assert_bad_file("lambada", "a.jsonl", "{\"text\": \"one two\"}\n{\"text\": \"one\n", "a.jsonl:2: ");
    assert_bad_file("lambada", "a.jsonl", "\n", "a.jsonl: has no items");
    assert_bad_file(
        "hellaswag", "a.jsonl",
        "{\"activity_label\": \"a\", \"ctx_a\": \"b\", \"ctx_b\": \"c\", \"endings\": [\"d\", \"e\"], \"label\": 2}\n",
        "a.jsonl:1: ");
    assert_bad_file("wikitext", "a.txt", " \n\n", "a.txt: has no text");
    assert_bad_file("wikitext", "a.jsonl", "{\"page\": \"x\"}\n{\"text\": \"x\"}\n",
                    "a.jsonl:2: the field \"page\" is missing");
    assert_bad_file("wikitext", "a.jsonl", "{\"page\": \"\"}\n",
                    "a.jsonl:1: the field \"page\" is not a text, or empty");
    // clang-format off
    assert_refused("lambada:" FIXTURES "/lambada.jsonl", 1, "Vulkan");
    // clang-format on
}

int main(void)
{
    // whatever opens a device here fails
    setenv("VK_DRIVER_FILES", "/no/such/place", 1);
    setenv("VK_ICD_FILENAMES", "/no/such/place", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_input, test_dir_setup, test_dir_teardown),
    };
    return cmocka_run_group_tests_name("cli_eval", tests, NULL, NULL);
}
