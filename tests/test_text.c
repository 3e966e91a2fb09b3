// Text from tokens as they come (vkgpt_text) against the text of all tokens at once: stop strings that span tokens,
// characters that span tokens, bytes that are not UTF-8.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/stops.h"
#include "tasks/utf8_stream.h"
#include "vkgpt.h"

#include <cmocka.h> // last: its fail is a macro, ours a function

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define R "\xEF\xBF\xBD" // U+FFFD

static void check(int status, const vkgpt_error *err)
{
    if (status) fail_msg("%s", err->text);
}

#define CHECK(call) check(call, &err)

static int open_tales(void **state)
{
    vkgpt_error err;
    CHECK(vkgpt_tokenizer_open(TALES, 0, (vkgpt_tokenizer **)state, &err));
    return 0;
}

static int close_tales(void **state)
{
    vkgpt_tokenizer_close(*state);
    return 0;
}

// The whole text for these ids, and whether it stopped.
static char *stream(const vkgpt_tokenizer *tok, const uint32_t *ids, size_t count, const char *const *stops,
                    size_t stop_count, bool *stopped)
{
    vkgpt_error err;
    vkgpt_text *text;
    struct Buffer all = {0};
    const char *bytes;
    size_t length;
    CHECK(vkgpt_text_open(tok, stops, stop_count, &text, &err));
    buffer_text(&all, "");
    *stopped = false;
    for (size_t i = 0; i < count; i++) {
        bool before = *stopped;
        CHECK(vkgpt_text_add(text, ids[i], &bytes, &length, stopped, &err));
        assert_true(*stopped || !before);
        assert_false(before && length);
        assert_int_equal(bytes[length], '\0');
        assert_false(((unsigned char)bytes[0] & 0xC0) == 0x80); // it begins with a whole character
        buffer_add(&all, bytes, length);
    }
    CHECK(vkgpt_text_end(text, &bytes, &length, &err));
    assert_false(*stopped && length);
    buffer_add(&all, bytes, length);
    vkgpt_text_close(text);
    return all.data;
}

static void assert_stream(const vkgpt_tokenizer *tok, const char *text, size_t bytes, const char *const *stops,
                          size_t count, const char *expected, bool stops_expected)
{
    vkgpt_error err;
    uint32_t *ids;
    size_t id_count;
    bool stopped;
    CHECK(vkgpt_encode(tok, text, bytes, false, &ids, &id_count, &err));
    char *got = stream(tok, ids, id_count, stops, count, &stopped);
    assert_string_equal(got, expected);
    assert_int_equal(stopped, stops_expected);
    free(got);
    free(ids);
}

#define STREAM(text, expected, stopped, ...)                                                                           \
    assert_stream(*state, text, sizeof text - 1, (const char *const[]){__VA_ARGS__},                                   \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), expected, stopped)

static void test_stops(void **state)
{
    STREAM("Once upon a time there was", "Once upon a ", true, "time");
    STREAM("Once upon a time there was", "Once u", true, "pon a time th", "zebra");
    STREAM("Once upon a time there was", "Once upon a time there was", false, "was!", "there were");
    STREAM("aaaab", "a", true, "aaab");
    STREAM("abcabd", "abc", true, "abd", "abcabc");
    STREAM("one two three", "one ", true, "two", "one two three four"); // the shorter one is complete first
    STREAM("the end", "the ", true, "end");
    STREAM("xabd", "x", true, "abd", "d"); // of two that end here, the longer one
    STREAM("xabd", "x", true, "d", "abd");
    STREAM("caf\xC3\xA9 noir", "caf", true, "\xC3\xA9");
}

static void test_characters(void **state)
{
    STREAM("\xF0\x9F\x90\x88 and \xE2\x82\xAC", "\xF0\x9F\x90\x88 and \xE2\x82\xAC", false, "none");
    STREAM("cut \xF0\x9F\x90", "cut " R, false, "none");
    STREAM("a\xFF\xC3(\xE2\x82", "a" R R "(" R, false, "none");
    STREAM("\xE2\x82stop", R, true, "stop");
}

static void test_refused(void **state)
{
    vkgpt_error err;
    vkgpt_text *text;
    assert_int_equal(vkgpt_text_open(*state, (const char *const[]){"a", ""}, 2, &text, &err), VKGPT_BAD_ARGUMENT);
    assert_null(text);
    vkgpt_text_close(NULL);
}

static void test_begins_again(void **state)
{
    vkgpt_error err;
    vkgpt_text *text;
    const char *bytes;
    bool stopped;
    uint32_t *ids;
    size_t count;
    CHECK(vkgpt_encode(*state, "x", 1, false, &ids, &count, &err));
    assert_int_equal(count, 1);
    CHECK(vkgpt_text_open(*state, (const char *const[]){"xx"}, 1, &text, &err));
    for (int round = 0; round < 2; round++) {
        CHECK(vkgpt_text_add(text, ids[0], &bytes, NULL, &stopped, &err));
        assert_string_equal(bytes, "");
        CHECK(vkgpt_text_add(text, ids[0], &bytes, NULL, &stopped, &err));
        assert_true(stopped);
        CHECK(vkgpt_text_end(text, &bytes, NULL, &err));
        assert_string_equal(bytes, "");
    }
    CHECK(vkgpt_text_add(text, UINT32_MAX, &bytes, NULL, NULL, &err)); // an id without a token
    assert_string_equal(bytes, "");
    CHECK(vkgpt_text_add(text, ids[0], &bytes, NULL, NULL, &err));
    CHECK(vkgpt_text_end(text, &bytes, NULL, &err));
    assert_string_equal(bytes, "x");
    vkgpt_text_close(text);
    free(ids);
}

// Random tokens, many of them single bytes, and random stop strings of a few letters, against the result of the
// program's own stop strings and characters for all bytes at once.
static void test_random(void **state)
{
    const vkgpt_tokenizer *tok = *state;
    uint32_t x = 1, stops_seen = 0;
    for (int round = 0; round < 2000; round++) {
        uint32_t ids[40];
        char texts[3][8];
        struct Buffer patterns[3] = {{0}}, cut = {0}, want = {0};
        for (size_t i = 0; i < 40; i++) {
            x = x * 1664525 + 1013904223;
            ids[i] = x >> 8 & (x & 64 << 20 ? 0xFF : 0x0F);
        }
        for (size_t p = 0; p < 3; p++) { // parts of the text, unchanged and changed
            size_t bytes, length = 0;
            for (size_t i = p * 7 + (x >> 16) % 20, n = 0; n < 3 && length < 4; n++) {
                const char *piece = vkgpt_token_bytes(tok, ids[(i + n) % 40], &bytes);
                if (bytes == 1 && *piece) texts[p][length++] = *piece;
            }
            if (!length) texts[p][length++] = 'a';
            texts[p][length] = '\0';
            buffer_text(&patterns[p], texts[p]);
        }
        struct Stops stops = {.texts = patterns, .count = 3};
        bool expected = false, stopped;
        buffer_text(&cut, "");
        for (size_t i = 0; i < 40 && !expected; i++) {
            size_t bytes;
            const char *piece = vkgpt_token_bytes(tok, ids[i], &bytes);
            expected = stops_add(&stops, piece, bytes, &cut);
        }
        if (!expected) stops_end(&stops, &cut);
        struct Utf8 utf8 = {0};
        buffer_text(&want, "");
        utf8_add(&utf8, cut.data, cut.bytes, &want);
        utf8_end(&utf8, &want);
        char *got = stream(tok, ids, 40, (const char *const[]){texts[0], texts[1], texts[2]}, 3, &stopped);
        assert_int_equal(stopped, expected);
        assert_memory_equal(got, want.data, want.bytes + 1);
        stops_seen += stopped;
        for (size_t p = 0; p < 3; p++) buffer_free(&patterns[p]);
        buffer_free(&cut);
        buffer_free(&want);
        buffer_free(&stops.held);
        free(got);
    }
    assert_true(stops_seen > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops),        cmocka_unit_test(test_characters), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_begins_again), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, open_tales, close_tales);
}
