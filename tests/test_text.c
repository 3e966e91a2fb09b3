// Text from tokens as they come (vkgpt_text) against the text of all tokens at once: stop strings that span tokens,
// characters that span tokens, bytes that are not UTF-8.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/buffer.h"
#include "vkgpt.h"

#include "check.h" // last: it includes cmocka.h, whose fail is a macro, ours a function

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define R "\xEF\xBF\xBD" // U+FFFD

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

// ------------------------------------------------------------------------- a naive reference, for all bytes at once

// Whether these are the bytes of one character, as the definition of UTF-8 says: the shortest form of a code point that
// is not a surrogate.
static bool is_character(const unsigned char *s, size_t bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}, mark[] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (bytes == 1) return s[0] < 0x80;
    if (s[0] < mark[bytes] || s[0] >= mark[bytes] + (0x80u >> bytes)) return false;
    uint32_t c = s[0] - mark[bytes];
    for (size_t i = 1; i < bytes; i++) {
        if (s[i] < 0x80 || s[i] > 0xBF) return false;
        c = c << 6 | (s[i] - 0x80u);
    }
    return c >= least[bytes] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
}

// Whether some bytes after these make a character: tries them all.
static bool begins_character(const unsigned char *s, size_t bytes)
{
    unsigned char more[4];
    memcpy(more, s, bytes);
    if (is_character(more, bytes)) return true;
    if (bytes == 4) return false;
    for (more[bytes] = 0x80; more[bytes] < 0xC0; more[bytes]++)
        if (begins_character(more, bytes + 1)) return true;
    return false;
}

// The text in whole characters, with U+FFFD for each longest beginning of a character that does not go on.
static void put_characters(const char *text, size_t bytes, struct Buffer *out)
{
    for (size_t at = 0, length; at < bytes; at += length) {
        const unsigned char *s = (const unsigned char *)text + at;
        size_t most = bytes - at < 4 ? bytes - at : 4;
        for (length = most; length && !is_character(s, length);) length--;
        buffer_add(out, length ? text + at : R, length ? length : 3);
        if (!length)
            for (length = most; length > 1 && !begins_character(s, length);) length--;
    }
}

// Where the first stop string begins, the longest of those that end first; the end of the text if there is none.
static size_t find_stop(const char *text, size_t bytes, char stops[][8], size_t count)
{
    for (size_t end = 1; end <= bytes; end++)
        for (size_t from = 0; from < end; from++)
            for (size_t i = 0; i < count; i++)
                if (strlen(stops[i]) == end - from && !memcmp(text + from, stops[i], end - from)) return from;
    return bytes;
}

#define RANDOM_IDS 40

// Single bytes and other tokens, and stop strings of a few letters: parts of the text, unchanged and changed.
static void make_random(const vkgpt_tokenizer *tok, uint32_t *x, uint32_t ids[RANDOM_IDS], char stops[3][8])
{
    for (size_t i = 0; i < RANDOM_IDS; i++) {
        *x = *x * 1664525 + 1013904223;
        ids[i] = *x >> 8 & (*x & 64 << 20 ? 0xFF : 0x0F);
    }
    for (size_t p = 0; p < 3; p++) {
        size_t bytes, length = 0;
        for (size_t i = p * 7 + (*x >> 16) % 20, n = 0; n < 3 && length < 4; n++) {
            const char *piece = vkgpt_token_bytes(tok, ids[(i + n) % RANDOM_IDS], &bytes);
            if (bytes == 1 && *piece) stops[p][length++] = *piece;
        }
        if (!length) stops[p][length++] = 'a';
        stops[p][length] = '\0';
    }
}

static void test_random(void **state)
{
    const vkgpt_tokenizer *tok = *state;
    uint32_t x = 1, stops_seen = 0, replaced = 0;
    for (int round = 0; round < 2000; round++) {
        uint32_t ids[RANDOM_IDS];
        char texts[3][8];
        struct Buffer whole = {0}, want = {0};
        bool stopped;
        make_random(tok, &x, ids, texts);
        for (size_t i = 0; i < RANDOM_IDS; i++) {
            size_t bytes;
            const char *piece = vkgpt_token_bytes(tok, ids[i], &bytes);
            buffer_add(&whole, piece, bytes);
        }
        size_t stop = find_stop(whole.data, whole.bytes, texts, 3);
        buffer_text(&want, "");
        put_characters(whole.data, stop, &want);
        char *got = stream(tok, ids, RANDOM_IDS, (const char *const[]){texts[0], texts[1], texts[2]}, 3, &stopped);
        assert_int_equal(stopped, stop < whole.bytes);
        assert_memory_equal(got, want.data, want.bytes + 1);
        stops_seen += stopped;
        replaced += strstr(got, R) != NULL;
        buffer_free(&whole);
        buffer_free(&want);
        free(got);
    }
    assert_true(stops_seen > 500 && replaced > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops),        cmocka_unit_test(test_characters), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_begins_again), cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, open_tales, close_tales);
}
