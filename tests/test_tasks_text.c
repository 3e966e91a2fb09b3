// The text functions of src/tasks: whole characters, stop strings, units of text to keep, escapes; and the header of a
// NumPy file.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tasks/escapes.h"
#include "tasks/keep.h"
#include "tasks/npy_write.h"
#include "tasks/stops.h"
#include "tasks/utf8_stream.h"

#include <cmocka.h> // last: its fail is a macro, ours a function

#define R "\xEF\xBF\xBD" // U+FFFD

// ------------------------------------------------------------------------------------------------ UTF-8

// Bytes in pieces of every size become the same text, and no piece ends inside a character.
static void assert_utf8(const char *bytes, size_t count, const char *expected)
{
    for (size_t piece = 1; piece <= count + 1; piece++) {
        struct Utf8 utf8 = {0};
        struct Buffer out = {0};
        buffer_text(&out, "");
        for (size_t i = 0; i < count; i += piece) {
            utf8_add(&utf8, bytes + i, count - i < piece ? count - i : piece, &out);
            assert_int_equal(strncmp(out.data, expected, out.bytes), 0);
            assert_false(((unsigned char)expected[out.bytes] & 0xC0) == 0x80);
        }
        utf8_end(&utf8, &out);
        assert_string_equal(out.data, expected);
        buffer_free(&out);
    }
}

static void test_utf8_valid(void **state)
{
    (void)state;
    assert_utf8("plain", 5, "plain");
    assert_utf8("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x88!", 10, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x88!");
    assert_utf8("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", 10, "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF");
}

// The examples of The Unicode Standard, section 3.9, tables 3-8 to 3-11.
static void test_utf8_invalid(void **state)
{
    (void)state;
    assert_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", 9, R R R R R R R R "A");
    assert_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", 9, R R R R R R R R "A");
    assert_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", 9, R R R R R "A" R R "B");
    assert_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 9, R R R R "A");
    assert_utf8("end \xF0\x9F\x90", 7, "end " R);
    assert_utf8("\xE2\x82\xC3\xA9", 4, R "\xC3\xA9");
    assert_utf8("\xF5\xF8\xFE", 3, R R R);
}

static void test_json_text(void **state)
{
    (void)state;
    char *json = utf8_json("a\"\\\n\t\x01\0\x7F/\xC3", 10);
    assert_string_equal(json, "\"a\\\"\\\\\\n\\t\\u0001\\u0000\\u007f/" R "\"");
    free(json);
    json = utf8_json("", 0);
    assert_string_equal(json, "\"\"");
    free(json);
}

// ------------------------------------------------------------------------------------------------ stops

// Text up to the first stop string, for pieces of any size.
static void assert_stops(const char *const *stops, size_t count, const char *text, const char *expected, bool stopped)
{
    size_t length = strlen(text);
    struct StopString texts[4];
    for (size_t i = 0; i < count; i++) texts[i] = (struct StopString){(char *)stops[i], strlen(stops[i])};
    for (size_t piece = 1; piece <= length; piece++) {
        struct Stops s = {texts, count, {0}};
        struct Buffer out = {0};
        bool hit = false;
        for (size_t i = 0; i < length && !hit; i += piece)
            hit = stops_add(&s, text + i, length - i < piece ? length - i : piece, &out);
        if (!hit) stops_end(&s, &out);
        buffer_text(&out, "");
        assert_string_equal(out.data, expected);
        assert_int_equal(hit, stopped);
        buffer_free(&out);
        buffer_free(&s.held);
    }
}

static void test_stops(void **state)
{
    (void)state;
    assert_stops((const char *const[]){"END"}, 1, "one END two", "one ", true);
    assert_stops((const char *const[]){"END"}, 1, "one EN", "one EN", false);
    assert_stops((const char *const[]){"END"}, 1, "EENEND", "EEN", true);
    assert_stops((const char *const[]){"aab"}, 1, "aaaab", "aa", true);
    assert_stops((const char *const[]){"abab!"}, 1, "abababab!x", "abab", true);
    assert_stops((const char *const[]){"\n\n", "User:"}, 2, "hi\nUser: x", "hi\n", true);
    assert_stops((const char *const[]){"abcd", "b"}, 2, "abcd", "a", true);  // the first complete one
    assert_stops((const char *const[]){"bc", "abc"}, 2, "xabcd", "x", true); // of two, the longer
    assert_stops(NULL, 0, "free", "free", false);
}

static void test_stops_hold_back_no_more_than_needed(void **state)
{
    (void)state;
    const struct StopString text = {(char *)"\n\nQ", 3};
    struct Buffer out = {0};
    struct Stops s = {&text, 1, {0}};
    assert_false(stops_add(&s, "word\n", 5, &out));
    assert_string_equal(out.data, "word");
    assert_false(stops_add(&s, "x", 1, &out));
    assert_string_equal(out.data, "word\nx");
    buffer_free(&s.held);
    buffer_free(&out);
}

// -------------------------------------------------------------------------------------------------- keep

// The part of a text that is kept, for pieces of any size.
static void assert_kept(enum KeepUnit unit, size_t limit, const char *text, const char *expected, bool reached)
{
    size_t length = strlen(text);
    for (size_t piece = 1; piece <= length; piece++) {
        struct Keep keep = {.unit = unit, .limit = limit};
        struct Buffer out = {0};
        bool hit = false;
        for (size_t i = 0; i < length && !hit; i += piece) {
            buffer_add(&out, text + i, length - i < piece ? length - i : piece);
            hit = keep_reached(&keep, &out);
        }
        assert_string_equal(out.data, expected);
        assert_int_equal(hit, reached);
        buffer_free(&out);
    }
}

static void test_keep(void **state)
{
    (void)state;
    assert_kept(KEEP_SENTENCES, 2, "One. Two! Three? ", "One. Two!", true);
    assert_kept(KEEP_SENTENCES, 1, "It is 3.14 \"or so.\" No", "It is 3.14 \"or so.\"", true);
    assert_kept(KEEP_SENTENCES, 1, "He said (\xE2\x80\x9Cyes!\xE2\x80\x9D) and",
                "He said (\xE2\x80\x9Cyes!\xE2\x80\x9D)", true);
    assert_kept(KEEP_SENTENCES, 1, "Well...\nYes", "Well...", true);
    assert_kept(KEEP_SENTENCES, 1, "No end.", "No end.", false);
    assert_kept(KEEP_SENTENCES, 1, "caf\xC3\xA9.\xE2\x80\x94no", "caf\xC3\xA9.\xE2\x80\x94no",
                false); // a dash does not close anything
    assert_kept(KEEP_SENTENCES, 2, "\xE4\xB8\x80\xE3\x80\x82\xE4\xBA\x8C\xEF\xBC\x81\xE4\xB8\x89",
                "\xE4\xB8\x80\xE3\x80\x82\xE4\xBA\x8C\xEF\xBC\x81", true);
    assert_kept(KEEP_WORDS, 1, "don't, he", "don't", true);
    assert_kept(KEEP_WORDS, 2, "\"one two three", "\"one two", true);
    assert_kept(KEEP_WORDS, 1, "word", "word", false);
    assert_kept(KEEP_LINES, 2, "\n \na\n\nb\nc", "\n \na\n\nb", true);
    assert_kept(KEEP_ALL, 0, "a. b\nc", "a. b\nc", false);
}

// ---------------------------------------------------------------------------------------- small things

static void assert_unescape(const char *text, const char *expected, size_t bytes)
{
    char copy[64];
    strcpy(copy, text);
    assert_int_equal(escapes_replace(copy, strlen(copy)), bytes);
    assert_memory_equal(copy, expected, bytes);
}

static void test_unescape(void **state)
{
    (void)state;
    assert_unescape("a\\nb\\tc\\rd", "a\nb\tc\rd", 7);
    assert_unescape("\\\\n \\\" \\'", "\\n \" '", 6);
    assert_unescape("\\x41\\xfF\\x00z", "A\xFF\0z", 4);
    assert_unescape("\\x4 \\q \\", "\\x4 \\q \\", 8);
    assert_unescape("\\xg1", "\\xg1", 4);
    assert_unescape("", "", 0);
}

static void test_npy_header(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{1, 1}, {7, 307}, {1024, 50257}, {1000000, 1000000}};
    for (size_t i = 0; i < 4; i++) {
        struct Buffer out = {0};
        npy_header(&out, sizes[i][0], sizes[i][1]);
        assert_memory_equal(out.data, "\x93NUMPY\x01\x00", 8);
        assert_int_equal(out.bytes % 64, 0);
        size_t length = (size_t)(unsigned char)out.data[8] + 256 * (size_t)(unsigned char)out.data[9];
        assert_int_equal(length, out.bytes - 10);
        assert_int_equal(out.data[out.bytes - 1], '\n');
        assert_non_null(strstr(out.data + 10, "'descr': '<f4', 'fortran_order': False, 'shape': ("));
        buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_valid),
        cmocka_unit_test(test_utf8_invalid),
        cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_stops_hold_back_no_more_than_needed),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_npy_header),
    };
    return cmocka_run_group_tests_name("tasks_text", tests, NULL, NULL);
}
