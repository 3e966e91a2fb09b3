// The base: the hash table, the JSON parser and what it refuses, and the calls of the operating system.
#define _POSIX_C_SOURCE 200809L // symlink, setenv
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h" // before cmocka, which has a macro named fail: hence (fail)(...) below

#include <cmocka.h>

#include "base/json.h"
#include "base/map.h"
#include "base/os.h"
#include "base/queue.h"
#include "base/utf8.h"
#include "model_files.h"

static const char *in_dir(char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", test_dir, name);
    return path;
}

// ------------------------------------------------------------------------------------------------ error

static void test_fail_is_one_line(void **state)
{
    (void)state;
    vkgpt_error err;
    (fail)(&err, VKGPT_BAD_FILE, "a\nb\rc\x1b[2Jd\x7f \xc2\x9b e\xc2\xa0 \xc3\xa9 \xc2");
    assert_string_equal(err.text, "a?b?c?[2Jd? ?? e\xc2\xa0 \xc3\xa9 \xc2");
}

static void test_fail(void **state)
{
    (void)state;
    vkgpt_error err;
    assert_int_equal((fail)(&err, VKGPT_BAD_FILE, "%s: %d and %d", "x.bin", 3, 4), VKGPT_BAD_FILE);
    assert_int_equal(err.code, VKGPT_BAD_FILE);
    assert_string_equal(err.text, "x.bin: 3 and 4");
    assert_int_equal((fail)(NULL, VKGPT_BAD_MODEL, "nobody listens"), VKGPT_BAD_MODEL);

    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    (fail)(&err, VKGPT_BAD_FILE, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

// -------------------------------------------------------------------------------------------------- map

static void test_map(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct Map map = {0};
    char(*keys)[12] = calloc(COUNT, sizeof *keys);
    uint32_t value = 7;
    assert_non_null(keys);
    assert_false(map_find(&map, "x", 1, &value));
    for (uint32_t i = 0; i < COUNT; i++) {
        int n = snprintf(keys[i], sizeof keys[i], "key %u", i);
        assert_int_equal(map_add(&map, keys[i], (size_t)n, i), 1);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(map_add(&map, keys[i], strlen(keys[i]), 99), 0);
        assert_true(map_find(&map, keys[i], strlen(keys[i]), &value));
        assert_int_equal(value, i); // the first value stays
    }
    assert_int_equal(map.count, COUNT);
    assert_false(map_find(&map, "key 20000", 9, &value));
    assert_false(map_find(&map, "key", 3, &value));
    assert_true(map_find(&map, "key 1", 5, NULL));
    map_free(&map);
    assert_int_equal(map.count, 0);
    map_free(&map);
    free(keys);
}

// Keys are bytes: the empty key and keys with a NUL are valid.
static void test_map_bytes(void **state)
{
    (void)state;
    struct Map map = {0};
    uint32_t value;
    assert_int_equal(map_add(&map, "", 0, 1), 1);
    assert_int_equal(map_add(&map, "a\0b", 3, 2), 1);
    assert_int_equal(map_add(&map, "a\0c", 3, 3), 1);
    assert_int_equal(map_add(&map, "a", 1, 4), 1);
    assert_true(map_find(&map, "a\0c", 3, &value));
    assert_int_equal(value, 3);
    assert_true(map_find(&map, "x", 0, &value));
    assert_int_equal(value, 1);
    map_free(&map);
}

// ------------------------------------------------------------------------------------------------- UTF-8

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes, length;
        // clang-format off
    } cases[] = {
        {"a", 1, 1},                {"\0", 1, 1},               {"\x7f", 1, 1},
        {"\x80", 1, 0},             {"\xbf", 1, 0},             {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},         {"\xc2\x80", 2, 2},         {"\xc3", 1, 0},
        {"\xc3\x28", 2, 0},         {"\xdf\xbf", 2, 2},         {"\xe0\x9f\xbf", 3, 0},
        {"\xe0\xa0\x80", 3, 3},     {"\xe2\x82", 2, 0},         {"\xed\x9f\xbf", 3, 3},
        {"\xed\xa0\x80", 3, 0},     {"\xef\xbf\xbf", 3, 3},     {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf0\x90\x80\x80", 4, 4}, {"\xf4\x8f\xbf\xbf", 4, 4}, {"\xf4\x90\x80\x80", 4, 0},
        {"\xf0\x9f\x98", 3, 0},     {"\xf5\x80\x80\x80", 4, 0}, {"\xff", 1, 0},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (utf8_length(cases[i].text, cases[i].bytes) != cases[i].length) fail_msg("case %zu", i);
}

// ------------------------------------------------------------------------------------------------- JSON

static void good_json(const char *text)
{
    vkgpt_error err;
    struct Json *json;
    if (json_parse("f.json", text, strlen(text), &json, &err)) fail_msg("%s", err.text);
    assert_non_null(json);
    json_free(json);
}

static void bad_json(const char *text, size_t bytes, const char *words)
{
    vkgpt_error err;
    struct Json *json = (struct Json *)&err;
    expect_sentence(json_parse("f.json", text, bytes, &json, &err), VKGPT_BAD_FILE, &err, "f.json", words, NULL);
    assert_null(json);
}

static void test_json_good(void **state)
{
    (void)state;
    good_json("{}");
    good_json(" [1, 2.5, \"x\", null, true] \r\n\t");
    good_json("\xef\xbb\xbf{\"a\": 1}"); // a byte order mark
    good_json("{\"a\": 1, \"A\": 2, \"b\": {\"a\": 3}, \"c\": [{\"a\": 1}, {\"a\": 1}]}");
    good_json("\"\\\\u0000 \\\"[[[\\\"\"");
    good_json("{\"\\uD83D\\uDE00\": \"\\u00e9\", \"\xc3\xa9\": 1}");
}

static void test_json_bad(void **state)
{
    (void)state;
    bad_json("", 0, "empty");
    bad_json("   ", 3, "byte");
    bad_json("{\"a\": 1", 7, "of 7");
    bad_json("{\"a\": }", 7, "byte 6 of 7");
    bad_json("[1, 2,]", 7, "byte 6 of 7");
    bad_json("{a: 1}", 6, "byte");
    bad_json("\"abc", 4, "byte");
    bad_json("\"abc\\", 5, "byte");
    bad_json("{} x", 4, "byte 3 of 4");
    bad_json("{}{}", 4, "byte 2 of 4");
    bad_json("1 2", 3, "byte 2 of 3");
    bad_json("{\"a\": 1}\0", 9, "0x00");
    bad_json("\"a\0b\"", 5, "0x00");
    bad_json("\"a\nb\"", 5, "0x0a");
    bad_json("\"a\xff\"", 4, "0xff");
    bad_json("\"\xed\xa0\x80\"", 5, "0xed");
    bad_json("{\"a\\u0000b\": 1}", 15, "\\u0000");
    bad_json("[\"\\\\\\u0000\"]", 12, "\\u0000");
    bad_json("\"\\ud800\"", 8, "byte");
    bad_json("{\"a\": 1, \"b\": 2, \"a\": 3}", 24, "\"a\" is there twice");
    bad_json("[[{\"x\": {\"k\": 1, \"\\u006b\": 2}}]]", 32, "\"k\" is there twice");
}

static void test_json_depth(void **state)
{
    (void)state;
    char text[100000];
    memset(text, '[', 50000);
    memset(text + 50000, ']', 50000);
    bad_json(text, sizeof text, "deeper");
    bad_json(text, 50000, "deeper");
    vkgpt_error err;
    struct Json *json;
    assert_int_equal(json_parse("f.json", text + 50000 - 100, 200, &json, &err), 0);
    json_free(json);
}

// An object with many keys is walked once: quadratic time would exceed the test's limit.
static void test_json_many_keys(void **state)
{
    (void)state;
    enum { COUNT = 400000 };
    char *text = malloc(COUNT * 20 + 40);
    assert_non_null(text);
    size_t n = 0;
    text[n++] = '{';
    for (int i = 0; i < COUNT; i++) n += (size_t)sprintf(text + n, "\"k%d\":%d,", i, i);
    size_t end = n + (size_t)sprintf(text + n, "\"last\":0}");
    vkgpt_error err;
    struct Json *json;
    if (json_parse("f.json", text, end, &json, &err)) fail_msg("%s", err.text);
    json_free(json);
    end = n + (size_t)sprintf(text + n, "\"k7\":0}");
    bad_json(text, end, "\"k7\" is there twice");
    free(text);
}

static void test_json_get(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Json *json;
    const char *text = "{\"Key\": 1, \"none\": null, \"f\": 1.5, \"big\": 9007199254740993, \"huge\": 1e300, "
                       "\"minus\": -3, \"string\": \"3\", \"e\": 5e2}";
    assert_int_equal(json_parse("f.json", text, strlen(text), &json, &err), 0);
    int64_t value = -1;
    assert_null(json_get(json, "key"));
    assert_null(json_get(json, "none"));
    assert_null(json_get(NULL, "key"));
    assert_true(json_integer(json_get(json, "Key"), 0, 1, &value));
    assert_int_equal(value, 1);
    assert_true(json_integer(json_get(json, "e"), 0, 1000, &value));
    assert_int_equal(value, 500);
    assert_true(json_integer(json_get(json, "minus"), -3, 0, &value));
    assert_int_equal(value, -3);
    assert_false(json_integer(json_get(json, "minus"), -2, 0, &value));
    assert_false(json_integer(json_get(json, "Key"), 2, 9, &value));
    assert_false(json_integer(json_get(json, "f"), 0, 9, &value));
    assert_false(json_integer(json_get(json, "huge"), INT64_MIN, INT64_MAX, &value));
    assert_false(json_integer(json_get(json, "string"), 0, 9, &value));
    assert_false(json_integer(NULL, 0, 9, &value));
    assert_int_equal(value, -3); // untouched by failures
    json_free(json);
}

static void test_json_read(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32];
    vkgpt_error err;
    struct Json *json;
    file_write(test_dir, "j.json", "{\"a\":1}", 7);
    in_dir(path, sizeof path, "j.json");
    assert_int_equal(json_read(path, 7, &json, &err), 0);
    json_free(json);
    expect_sentence(json_read(path, 6, &json, &err), VKGPT_BAD_FILE, &err, "j.json", "7", "6", NULL);
    in_dir(path, sizeof path, "absent.json");
    expect_sentence(json_read(path, 6, &json, &err), VKGPT_BAD_FILE, &err, "absent.json", NULL);
    assert_null(json);
}

static int read_python(const char *text, struct Json **json, vkgpt_error *err)
{
    char path[DIR_BYTES + 32];
    file_write(test_dir, "p.json", text, strlen(text));
    in_dir(path, sizeof path, "p.json");
    return json_read_python(path, 1000, json, err);
}

// As Python reads it: the last value of a repeated key, at any depth, and three numbers that JSON does not have.
static void test_json_python(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Json *json;
    const char *text =
        "{\"a\": 1, \"n\": NaN, \"list\": [Infinity,-Infinity , \"NaN\", \"-Infinity \\\" NaN\"], \"a\": {\"x\": 1, \"\\u0078\": "
        "2, \"x\": 3}, \"\": \"\", \"b\": 5, \"a\": {\"x\": 4, \"x\": 6}}";
    if (read_python(text, &json, &err)) fail_msg("%s", err.text);
    assert_int_equal(json_count(json), 5);
    assert_true(isnan(json_number(json_get(json, "n"))) && json_is_number(json_get(json, "n")));
    const struct Json *list = json_first(json_get(json, "list")), *texts = json_next(json_next(list));
    assert_true(json_number(list) == INFINITY);
    assert_true(json_number(json_next(list)) == -INFINITY);
    assert_string_equal(json_text(texts), "NaN");
    assert_string_equal(json_text(json_next(texts)), "-Infinity \" NaN");
    assert_int_equal(json_count(json_get(json, "a")), 1);
    assert_int_equal(json_number(json_get(json_get(json, "a"), "x")), 6);
    int64_t value = 7;
    assert_false(json_integer(json_get(json, "n"), INT64_MIN, INT64_MAX, &value));
    assert_false(json_integer(list, INT64_MIN, INT64_MAX, &value));
    assert_string_equal(json_key(json_first(json)), "n");
    json_free(json);
    assert_int_equal(read_python("NaN", &json, &err), 0);
    json_free(json);

    static const char *const bad[] = {"{NaN: 1}",      "{Infinity: 1, Infinity: 2}",
                                      "[nan]",         "[NaNs]",
                                      "[1NaN]",        "[-NaN]",
                                      "[+Infinity]",   "[Infinit]",
                                      "[Na",           "[NaN",
                                      "NaN NaN",       "[\"\xff\"]",
                                      "{\"\xff\": 1}", "{\"\xfe\": NaN}",
                                      "-Infinity,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int code = read_python(bad[i], &json, &err);
        if (!code) fail_msg("read %s", bad[i]);
        expect_sentence(code, VKGPT_BAD_FILE, &err, "p.json", NULL);
        assert_null(json);
    }
    bad_json("[NaN]", 5, "byte 1 of 5"); // not allowed elsewhere
    bad_json("[Infinity]", 10, "byte 1 of 10");
}

// Damaged text either parses or gives a sentence.
static void test_json_fuzz(void **state)
{
    (void)state;
    const char *text =
        "{\"a\": [1, 2.5e3, \"x\\u00e9\\n\"], \"b\": {\"c\": null, \"d\": true}, \"e\": \"\xe4\xbd\xa0\"}";
    uint64_t seed = 5;
    for (int i = 0; i < 20000; i++) {
        struct Bytes b = {0};
        bytes_text(&b, text);
        bytes_mutate(&b, &seed);
        char *exact = malloc(b.count + 1); // no byte after the end, for the sanitizer
        assert_non_null(exact);
        exact = realloc(exact, b.count ? b.count : 1);
        if (b.count) memcpy(exact, b.data, b.count);
        vkgpt_error err = {0};
        struct Json *json;
        if (json_parse("f.json", exact, b.count, &json, &err)) assert_non_null(strstr(err.text, "f.json"));
        else assert_non_null(json);
        json_free(json);
        free(exact);
        bytes_free(&b);
    }
}

static void test_json_python_fuzz(void **state)
{
    (void)state;
    uint64_t seed = 6;
    int good = 0;
    for (int i = 0; i < 3000; i++) {
        struct Bytes b = {0};
        bytes_text(&b, "{\"a\": [NaN, -Infinity, \"NaN\"], \"b\": {\"c\": Infinity, \"c\": 3}, \"a\": 2}");
        bytes_mutate(&b, &seed);
        bytes_add(&b, "", 1);
        vkgpt_error err = {0};
        struct Json *json;
        if (read_python((const char *)b.data, &json, &err)) assert_non_null(strstr(err.text, "p.json"));
        else good++;
        json_free(json);
        bytes_free(&b);
    }
    assert_true(good > 0);
}

// ----------------------------------------------------------------------------------------------- system

static void test_map_file(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32];
    vkgpt_error err;
    struct Mapping m;
    file_write(test_dir, "f", "hello", 5);
    assert_int_equal(os_map(in_dir(path, sizeof path, "f"), &m, &err), 0);
    assert_int_equal(m.bytes, 5);
    assert_memory_equal(m.data, "hello", 5);
    os_unmap(&m);
    assert_null(m.data);
    os_unmap(&m);

    file_write(test_dir, "empty", "", 0);
    assert_int_equal(os_map(in_dir(path, sizeof path, "empty"), &m, &err), 0);
    assert_null(m.data);
    assert_int_equal(m.bytes, 0);
    os_unmap(&m);
    expect_sentence(os_map(in_dir(path, sizeof path, "none"), &m, &err), VKGPT_BAD_FILE, &err, "none", "No such file",
                    NULL);
    expect_sentence(os_map(test_dir, &m, &err), VKGPT_BAD_FILE, &err, test_dir, "directory", NULL);
    expect_sentence(os_map("/dev/null", &m, &err), VKGPT_BAD_FILE, &err, "/dev/null", NULL);
}

static void test_read_file(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32];
    vkgpt_error err;
    char *data;
    size_t bytes;
    file_write(test_dir, "f", "he\0lo", 5);
    in_dir(path, sizeof path, "f");
    assert_int_equal(os_read(path, 5, &data, &bytes, &err), 0);
    assert_int_equal(bytes, 5);
    assert_memory_equal(data, "he\0lo", 6); // with the NUL after it
    free(data);
    expect_sentence(os_read(path, 4, &data, &bytes, &err), VKGPT_BAD_FILE, &err, "/f", "5", "4", NULL);
    assert_null(data);
    expect_sentence(os_read(test_dir, 4, &data, &bytes, &err), VKGPT_BAD_FILE, &err, test_dir, "directory", NULL);
    expect_sentence(os_read_file(test_dir, 4, &data, &bytes, &err), VKGPT_BAD_FILE, &err, test_dir, "directory", NULL);
    expect_sentence(os_read_file("/dev/null", 4, &data, &bytes, &err), VKGPT_BAD_FILE, &err, "/dev/null",
                    "pipe or device", NULL);
    assert_int_equal(os_read_file(path, 5, &data, &bytes, &err), 0);
    assert_int_equal(bytes, 5);
    free(data);
    assert_int_equal(os_read("/dev/null", 4, &data, &bytes, &err), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(data[0], 0);
    free(data);
    expect_sentence(os_read("/dev/zero", 1000000, &data, &bytes, &err), VKGPT_BAD_FILE, &err, "/dev/zero", "1000000",
                    NULL);
}

static void expect_file(const char *name, const char *text)
{
    struct Bytes b = file_read(test_dir, name);
    assert_int_equal(b.count, strlen(text));
    assert_memory_equal(b.data, text, b.count);
    bytes_free(&b);
}

static void test_write_file(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32], link[DIR_BYTES + 32];
    vkgpt_error err;
    struct stat st;
    in_dir(path, sizeof path, "out");
    assert_int_equal(os_write(path, "one", 3, &err), 0);
    expect_file("out", "one");
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("out", in_dir(link, sizeof link, "link")), 0);
    assert_int_equal(os_write(link, "three", 5, &err), 0);
    expect_file("out", "three");
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    unlink(link);

    expect_sentence(os_write(test_dir, "x", 1, &err), VKGPT_BAD_FILE, &err, test_dir, "directory", NULL);
    in_dir(path, sizeof path, "none/out");
    expect_sentence(os_write(path, "x", 1, &err), VKGPT_BAD_FILE, &err, "none/out", NULL);
    expect_sentence(os_write("/dev/full", "x", 1, &err), VKGPT_BAD_FILE, &err, "/dev/full", "No space", NULL);
    assert_int_equal(os_write("/dev/null", "x", 1, &err), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode)); // not replaced by a file

    char shared[] = "/dev/shm/vkgpt-test-XXXXXX"; // a folder of files, not a device
    int fd = mkstemp(shared);
    if (fd >= 0) {
        assert_int_equal(os_write(shared, "one", 3, &err), 0);
        assert_int_equal(os_write(shared, "four", 4, &err), 0);
        assert_true(stat(shared, &st) == 0 && st.st_size == 4);
        close(fd);
        unlink(shared);
    }

    file_write(test_dir, "redirected", "before ", 7); // as by `>> redirected`
    FILE *f = fopen(in_dir(path, sizeof path, "redirected"), "r+");
    assert_non_null(f);
    snprintf(link, sizeof link, "/dev/fd/%d", fileno(f));
    assert_int_equal(os_write(link, "after", 5, &err), 0);
    fclose(f);
    expect_file("redirected", "before after");
}

static void test_places(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32], place[300];
    in_dir(path, sizeof path, "a/b/c");
    assert_int_equal(os_make_dirs(path), 0);
    assert_int_equal(os_make_dirs(path), 0);
    assert_true(os_is_dir(path) && os_exists(path));
    rmdir(path);
    rmdir(in_dir(path, sizeof path, "a/b"));
    rmdir(in_dir(path, sizeof path, "a"));
    assert_false(os_exists(path));
    file_write(test_dir, "f", "", 0);
    in_dir(path, sizeof path, "f");
    assert_true(os_exists(path) && !os_is_dir(path));
    in_dir(path, sizeof path, "f/b");
    assert_int_not_equal(os_make_dirs(path), 0);

    setenv("XDG_CACHE_HOME", "/x", 1);
    assert_true(os_cache_dir(place, sizeof place));
    assert_string_equal(place, "/x/vkgpt");
    assert_false(os_cache_dir(place, 5));
    setenv("XDG_CACHE_HOME", "not/absolute", 1);
    setenv("HOME", "/h", 1);
    assert_true(os_cache_dir(place, sizeof place));
    assert_string_equal(place, "/h/.cache/vkgpt");
    unsetenv("HOME");
    assert_false(os_cache_dir(place, sizeof place));

    assert_true(os_program_dir(place, sizeof place));
    assert_true(os_is_dir(place));
    assert_false(os_program_dir(place, 3));
}

static void test_machine(void **state)
{
    (void)state;
    double start = os_seconds();
    assert_true(os_cores() >= 1);
    assert_true(os_free_memory() > 0);
    assert_false(os_is_terminal(-1));
    assert_int_equal(os_terminal_width(-1), 80);
    assert_true(os_seconds() >= start);
}

static void test_interrupt(void **state)
{
    (void)state;
    assert_false(os_interrupted());
    os_catch_interrupt();
    assert_int_equal(raise(SIGINT), 0);
    assert_true(os_interrupted());
    struct sigaction now;
    assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL); // the second one ends the process
}

// ------------------------------------------------------------------------------------------------ queue

struct Counted {
    struct Job job;
    unsigned runs; // written by the thread that runs it, read after queue_wait
};

static void count_job(void *user, struct Job *job)
{
    struct Counted *counted = (struct Counted *)job;
    if (user) nanosleep(user, NULL);
    counted->runs++;
}

// A job that is waited for runs once, in any thread; a dropped job runs once or never.
static void test_queue(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static struct Counted jobs[COUNT];
    struct Queue queue;
    struct timespec nap = {0, 200000};
    for (int round = 0; round < 3; round++) {
        memset(jobs, 0, sizeof jobs);
        queue_open(&queue, count_job, round == 2 ? &nap : NULL);
        for (int i = 0; i < COUNT; i++) queue_add(&queue, &jobs[i].job);
        for (int i = COUNT - 1; i >= 0 && round < 2; i -= 3) { // from the end, which no thread has reached yet
            queue_wait(&queue, &jobs[i].job);
            assert_int_equal(jobs[i].runs, 1);
            assert_int_equal(jobs[i].job.state, JOB_DONE);
        }
        if (round == 2) queue_wait(&queue, &jobs[0].job);
        queue_drop(&queue);
        unsigned dropped = 0;
        for (int i = 0; i < COUNT; i++) {
            assert_true(jobs[i].runs == (jobs[i].job.state == JOB_DONE));
            dropped += jobs[i].job.state == JOB_NONE;
        }
        if (round == 2) assert_true(dropped > 0);
        queue_add(&queue, &jobs[0].job); // the queue still works after a drop
        queue_wait(&queue, &jobs[0].job);
        assert_int_equal(jobs[0].job.state, JOB_DONE);
        queue_drop(&queue);
        queue_close(&queue);
    }
}

// Jobs run in other threads than the caller's, also in threads that start after others have ended.
static void test_queue_beside(void **state)
{
    (void)state;
    struct Queue queue;
    struct Counted jobs[3] = {0};
    const struct timespec nap = {0, 1000000};
    queue_open(&queue, count_job, NULL);
    for (int i = 0; i < 3; i++) {
        queue_add(&queue, &jobs[i].job);
        for (bool done = false; !done; nanosleep(&nap, NULL)) {
            pthread_mutex_lock(&queue.lock);
            done = jobs[i].job.state == JOB_DONE; // without queue_wait
            pthread_mutex_unlock(&queue.lock);
        }
    }
    queue_drop(&queue);
    queue_close(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_fail_is_one_line),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_queue_beside),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_bytes),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_json_good),
        cmocka_unit_test(test_json_bad),
        cmocka_unit_test(test_json_depth),
        cmocka_unit_test(test_json_many_keys),
        cmocka_unit_test(test_json_get),
        cmocka_unit_test_setup_teardown(test_json_read, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_json_python, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_json_python_fuzz, test_dir_setup, test_dir_teardown),
        cmocka_unit_test(test_json_fuzz),
        cmocka_unit_test_setup_teardown(test_map_file, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_read_file, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_write_file, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_places, test_dir_setup, test_dir_teardown),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
