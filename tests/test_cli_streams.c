// What a command writes goes to a full device, or to a pipe that nobody reads: the first is a failure with one
// sentence, the second the quiet end that shells expect. And there is no home, or none that can be written.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "homes.h"
#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define CLOSED 141 // 128 + SIGPIPE

static const char *const COMMANDS[][8] = {
    {"--version"},
    {"--help"},
    {"help", "generate"},
    {"help", "--man"},
    {"help", "--completions", "bash"},
    {"tokenize", "-m", TALES, "-p", "Once upon a time"},
    {"tokenize", "-m", TALES, "-p", "Once upon a time", "--json"},
    {"detokenize", "-m", TALES, "--ids", "1,2,3"},
    {"models", "--json"},
    {"plan", "-m", TALES, "--device-memory", "1GB"},
    {"few-shot", "--list"},
    {"task", "--list"},
};
#define COUNT (sizeof COMMANDS / sizeof *COMMANDS)

static void test_full(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        assert_sentence(program_into("/dev/full", COMMANDS[i]), 1, "stdout: cannot write all of the output");
}

static void expect_quiet(struct Output output, const char *command)
{
    if (output.status != CLOSED || output.err_bytes)
        fail_msg("%s: status %d, and on stderr: %s", command, output.status, output.err);
    output_free(&output);
}

static void test_closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) expect_quiet(program_into(NULL, COMMANDS[i]), COMMANDS[i][0]);
}

// What is written to a folder is whole there, also when nobody reads what is printed.
static void test_closed_while_writing(void **state)
{
    (void)state;
    char out[2 * DIR_BYTES], part[3 * DIR_BYTES], name[256];
    struct Checkpoint checkpoint;
    vkgpt_error err;
    snprintf(out, sizeof out, "%s/out", test_dir);
    expect_quiet(program_into(NULL, (const char *const[]){"make-model", "gpt2", "--layers", "1", "--dim", "64",
                                                          "--heads", "2", "--context", "16", "-o", out, NULL}),
                 "make-model");
    if (checkpoint_open(out, &checkpoint, &err)) fail_msg("%s", err.text);
    checkpoint_close(&checkpoint);
    assert_int_equal(os_find(out, ".part", name, sizeof name), 0);
    for (*name = '\0'; os_next(out, "", name, sizeof name);) {
        snprintf(part, sizeof part, "%s/%s", out, name);
        remove(part);
    }
    rmdir(out);
}

// stderr itself is closed: a note of `convert` that nobody reads does not end it half-way.
static void test_closed_stderr(void **state)
{
    (void)state;
    char model[2 * DIR_BYTES], out[2 * DIR_BYTES], command[8 * DIR_BYTES], path[3 * DIR_BYTES], name[256] = "";
    vkgpt_error err;
    snprintf(model, sizeof model, "%s/model", test_dir);
    snprintf(out, sizeof out, "%s/out", test_dir);
    assert_int_equal(os_make_dirs(model), 0);
    while (os_next(VKGPT_SOURCE_DIR "/tests/fixtures/gpt2/smallest", "", name, sizeof name)) {
        if (name[0] == '.') continue;
        struct Bytes file = file_read(VKGPT_SOURCE_DIR "/tests/fixtures/gpt2/smallest", name);
        file_write(model, name, file.data, file.count);
        bytes_free(&file);
    }
    file_write(model, "vocab.json", "{\"a\": ", 6); // a tokenizer that cannot be read: a note, and it is copied
    file_write(model, "merges.txt", "#version: 0.2\n", 14);
    snprintf(command, sizeof command,
             "exec 3>&1; { sleep 0.3; '%s' convert -m '%s' -o '%s' 2>&1 >&3; echo $? >&3; } | true", VKGPT_PROGRAM,
             model, out);
    FILE *run = popen(command, "r");
    char text[256] = "";
    assert_non_null(run);
    assert_non_null(fgets(text, sizeof text, run));
    pclose(run);
    assert_string_equal(text, "0\n");
    struct Checkpoint checkpoint;
    if (checkpoint_open(out, &checkpoint, &err)) fail_msg("%s", err.text);
    checkpoint_close(&checkpoint);
    snprintf(path, sizeof path, "%s/.vkgpt-convert", out);
    assert_false(os_exists(path));
    dir_remove(model);
    dir_remove(out);
}

// Commands that look into the home find nothing there, and say so or go on.
static void test_homes(void **state)
{
    (void)state;
    struct Output want = RUN("tokenize", "-m", TALES, "-p", "Once upon a time");
    assert_status(&want, 0);
    for (int i = 0; i < HOMES; i++) {
        home_set(i, test_dir);
        struct Output got = RUN("tokenize", "-m", TALES, "-p", "Once upon a time");
        assert_status(&got, 0);
        assert_string_equal(got.out, want.out);
        assert_string_equal(got.err, "");
        output_free(&got);
        got = RUN("models");
        assert_status(&got, 0);
        output_free(&got);
        assert_sentence(RUN("tokenize", "-m", "nobody/nothing", "-p", "a"), 1, "nobody/nothing");
        home_restore();
    }
    output_free(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_closed_while_writing),
        cmocka_unit_test(test_closed_stderr),
        cmocka_unit_test(test_homes),
    };
    return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
