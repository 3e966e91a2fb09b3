// Commands with a device, and a disk that is full, outputs that cannot be written, and caches that are missing, cannot
// be written, are damaged or are written by several processes at once.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "homes.h"
#include "model_files.h"
#include "program.h"
#include "short_run.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define EVAL_FILE(name) name ":" VKGPT_SOURCE_DIR "/tests/fixtures/eval/" name ".jsonl"
#define GENERATE "generate", "-m", TALES, "-p", "Once", "-n", "8", "--seed", "7"
#define CLOSED 141 // 128 + SIGPIPE

// The host's code is the same on every driver; SwiftShader's memory is a file, which the limit on files cuts (SIGBUS).
#define SKIP_WHERE_MEMORY_IS_A_FILE()                                                                                  \
    do {                                                                                                               \
        if (on_swiftshader()) skip();                                                                                  \
    } while (0)

static const char *const generate[] = {GENERATE, NULL};

// How many names are in a folder; `last` becomes one of them.
static size_t names_in(const char *dir, char last[256])
{
    char name[256] = "";
    size_t count = 0;
    while (os_next(dir, "", name, sizeof name)) {
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        count++;
        memcpy(last, name, sizeof name);
    }
    return count;
}

static void folder_remove(const char *dir)
{
    char name[256], path[4 * DIR_BYTES];
    while (names_in(dir, name)) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (os_is_dir(path)) folder_remove(path);
        else unlink(path);
    }
    rmdir(dir);
}

// ------------------------------------------------------------------------------------------------ a full disk

// Files that are written in one piece: none of it is left, and an old file stays as it was.
static void test_full_disk(void **state)
{
    SKIP_WHERE_MEMORY_IS_A_FILE();
    (void)state;
    char out[2 * DIR_BYTES], name[256];
    snprintf(out, sizeof out, "%s/out", test_dir);
    const char *const logits[] = {"logits", "-m", TALES, "-p", "Once upon a time", "-o", out, NULL};
    const char *const plot[] = {"few-shot", "-m",     TALES, "--task", "context/mapping", "--shots", "0", "--limit",
                                "1",        "--plot", out,   NULL};
    for (size_t bytes = 1; bytes <= 1000; bytes += 999) { // the first byte, and some in the middle
        file_write(test_dir, "out", "before", 6);
        assert_sentence(program_limited(bytes, logits), 1, "cannot write");
        struct Output o = program_limited(bytes, plot);
        assert_status(&o, 1);
        assert_non_null(strstr(o.err, "cannot write"));
        output_free(&o);
        struct Bytes kept = file_read(test_dir, "out");
        assert_true(kept.count == 6 && !memcmp(kept.data, "before", 6));
        bytes_free(&kept);
        assert_int_equal(names_in(test_dir, name), 1);
        unlink(out);
        assert_sentence(program_limited(bytes, logits), 1, "cannot write");
        assert_int_equal(names_in(test_dir, name), 0);
    }
}

// The record of `eval` grows line by line. After a full disk the next run goes on with the lines that are whole.
static void test_full_disk_resume(void **state)
{
    SKIP_WHERE_MEMORY_IS_A_FILE();
    (void)state;
    char record[2 * DIR_BYTES];
    snprintf(record, sizeof record, "%s/record", test_dir);
    const char *const eval[] = {"eval",   "-m",       TALES,  "--tasks", EVAL_FILE("lambada") "," EVAL_FILE("piqa"),
                                "--json", "--resume", record, NULL};
    struct Output want = program_run(NULL, 0, eval);
    assert_status(&want, 0);
    struct Bytes whole = file_read(test_dir, "record");
    for (size_t bytes = 1; bytes < whole.count; bytes += whole.count / 3) { // its begin, and in each of the tasks
        unlink(record);
        assert_sentence(program_limited(bytes, eval), 1, "cannot write");
        struct Bytes part = file_read(test_dir, "record");
        assert_true(part.count <= bytes && !memcmp(part.data, whole.data, part.count));
        struct Output got = program_run(NULL, 0, eval);
        assert_status(&got, 0);
        struct Bytes again = file_read(test_dir, "record");
        assert_int_equal(again.count, whole.count);
        assert_memory_equal(again.data, whole.data, whole.count);
        bytes_free(&part);
        bytes_free(&again);
        output_free(&got);
    }
    bytes_free(&whole);
    output_free(&want);
    unlink(record);
}

// The output itself, on a device that is full and in a pipe that nobody reads.
static void test_outputs(void **state)
{
    (void)state;
    static const char *const commands[][12] = {
        {GENERATE},
        {GENERATE, "--json"},
        {"score", "-m", TALES, "-p", "Once upon a", "--continuation", " time"},
        {"devices"},
        {"bench", "-m", TALES, "-p", "8", "-n", "8"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct Output o = program_into("/dev/full", commands[i]);
        assert_status(&o, 1);
        if (!strstr(o.err, "vkgpt: stdout: cannot write all of the output\n")) fail_msg("%s", o.err);
        output_free(&o);
        o = program_into(NULL, commands[i]);
        assert_status(&o, CLOSED);
        if (strstr(o.err, "vkgpt: ")) fail_msg("%s", o.err);
        output_free(&o);
    }
}

// ------------------------------------------------------------------------------------------------ caches

// The text is the same, and nothing is said of a cache.
static void expect_text(struct Output got, const struct Output *want)
{
    assert_status(&got, 0);
    assert_string_equal(got.out, want->out);
    if (strstr(got.err, "vkgpt: ")) fail_msg("%s", got.err);
    output_free(&got);
}

static void cache_home(char path[2 * DIR_BYTES], char folder[3 * DIR_BYTES])
{
    snprintf(path, 2 * DIR_BYTES, "%s/cache", test_dir);
    snprintf(folder, 3 * DIR_BYTES, "%s/vkgpt", path);
    folder_remove(path);
    setenv("XDG_CACHE_HOME", path, 1);
}

// The cache of pipelines: where it cannot be written, nothing of it is left.
static void test_cache_full_disk(void **state)
{
    SKIP_WHERE_MEMORY_IS_A_FILE();
    const struct Output *want = *state;
    char path[2 * DIR_BYTES], folder[3 * DIR_BYTES], name[256];
    cache_home(path, folder);
    expect_text(program_limited(1, generate), want);
    assert_int_equal(names_in(folder, name), 0);
    expect_text(program_run(NULL, 0, generate), want);
    assert_int_equal(names_in(folder, name), 1);
    struct Bytes before = file_read(folder, name);
    assert_true(before.count > 16);
    bytes_free(&before);
    folder_remove(path);
}

// A damaged cache is a fresh start.
static void test_cache_damaged(void **state)
{
    const struct Output *want = *state;
    char path[2 * DIR_BYTES], folder[3 * DIR_BYTES], name[256];
    cache_home(path, folder);
    expect_text(program_run(NULL, 0, generate), want);
    assert_int_equal(names_in(folder, name), 1);
    struct Bytes good = file_read(folder, name);
    size_t times = short_run() || on_swiftshader() ? 6 : 40;
    for (size_t i = 0; i < times; i++) {
        size_t at = i * (good.count - 1) / (times - 1);
        good.data[at] ^= 0xff;
        file_write(folder, name, good.data, i % 3 ? good.count : at);
        good.data[at] ^= 0xff;
        expect_text(program_run(NULL, 0, generate), want);
        struct Bytes now = file_read(folder, name); // mended
        assert_int_equal(now.count, good.count);
        bytes_free(&now);
    }
    bytes_free(&good);
    folder_remove(path);
}

// Several programs begin with no cache at the same time, and each writes it.
static void test_cache_shared(void **state)
{
    enum { PROGRAMS = 4 };
    const struct Output *want = *state;
    char path[2 * DIR_BYTES], folder[3 * DIR_BYTES], name[256];
    pid_t children[PROGRAMS];
    cache_home(path, folder);
    fflush(NULL);
    for (int i = 0; i < PROGRAMS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i]) continue;
        struct Output o = program_run(NULL, 0, generate);
        _exit(o.status || strcmp(o.out, want->out) != 0);
    }
    for (int i = 0; i < PROGRAMS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(names_in(folder, name), 1);
    expect_text(program_run(NULL, 0, generate), want);
    folder_remove(path);
}

static void test_homes(void **state)
{
    const struct Output *want = *state;
    for (int i = 0; i < HOMES; i++) {
        home_set(i, test_dir);
        expect_text(program_run(NULL, 0, generate), want);
        home_restore();
    }
    folder_remove("relative");
}

static int setup(void **state)
{
    static struct Output want;
    char *cache = getenv("XDG_CACHE_HOME");
    setenv("MESA_SHADER_CACHE_DIR", cache ? cache : "/tmp", 1); // the driver keeps its own where the others are
    want = program_run(NULL, 0, generate);
    assert_status(&want, 0);
    *state = &want;
    return test_dir_setup(&(void *){NULL});
}

static int teardown(void **state)
{
    output_free(*state);
    folder_remove(test_dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),     cmocka_unit_test(test_full_disk_resume),
        cmocka_unit_test(test_outputs),       cmocka_unit_test(test_cache_full_disk),
        cmocka_unit_test(test_cache_damaged), cmocka_unit_test(test_cache_shared),
        cmocka_unit_test(test_homes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
