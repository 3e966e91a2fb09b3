// The tasks that come with the program: they are the output of tools/tasks/make-tasks, with right answers. They have
// the form and distribution of the GPT-3 paper's own files, if $GPT3_TASKS names their directory.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tasks/answer.h"
#include "tasks/items.h"
#include "base/os.h"

#define TASKS VKGPT_SOURCE_DIR "/models/tasks"
#define MAKE_TASKS VKGPT_SOURCE_DIR "/tools/tasks/make-tasks"

static char path[4096];

static bool find(const char *dir, const char *name, const char *suffix)
{
    snprintf(path, sizeof path, "%s/%s.jsonl%s", dir, name, suffix);
    return os_exists(path);
}

static struct Items read_items(void)
{
    struct Items items;
    vkgpt_error err;
    if (items_read(&items, path, ITEM_AUTO, &err)) fail_msg("%s", err.text);
    assert_int_equal(items.form, ITEM_PAPER);
    return items;
}

static struct Items shipped(const char *name)
{
    if (!find(TASKS, name, "")) fail_msg("%s is missing", path);
    return read_items();
}

// Opens the paper's own file of this name, if there is one.
static bool papers(const char *name, struct Items *items)
{
    const char *dir = getenv("GPT3_TASKS");
    if (!dir) return false;
    if (!find(dir, name, "") && !find(dir, name, ".gz")) return false;
    *items = read_items();
    return true;
}

static void test_made_by_the_script(void **state)
{
    (void)state;
    if (system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null") != 0) skip();
    // clang-format off
    assert_int_equal(system("python3 " MAKE_TASKS " --check"), 0);
    // clang-format on
}

static int by_context(const void *a, const void *b)
{
    return strcmp((*(const struct Item *const *)a)->context, (*(const struct Item *const *)b)->context);
}

static void check_file(const struct Items *items)
{
    const struct Item **sorted = malloc(items->count * sizeof *sorted);
    assert_non_null(sorted);
    for (size_t i = 0; i < items->count; i++) {
        const struct Item *item = sorted[i] = &items->items[i];
        vkgpt_error err;
        struct Buffer normal = {0};
        assert_int_equal(item->context[0], '\n');
        assert_int_equal(item->completion[0], ' ');
        assert_int_equal(answer_normalize(item->completion, strlen(item->completion), &normal, &err), 0);
        assert_string_equal(normal.data, item->completion + 1); // it is in NFC, and has nothing to trim
        buffer_free(&normal);
    }
    qsort(sorted, items->count, sizeof *sorted, by_context);
    for (size_t i = 1; i < items->count; i++)
        if (by_context(&sorted[i - 1], &sorted[i]) == 0)
            fail_msg("%s: %s is there twice", items->path, sorted[i]->context);
    free(sorted);
}

static void test_files(void **state)
{
    (void)state;
    char name[256] = "";
    size_t count = 0;
    while (os_next(TASKS, ".jsonl", name, sizeof name)) {
        snprintf(path, sizeof path, "%s/%s", TASKS, name);
        struct Items items = read_items();
        assert_true(items.count >= 150);
        check_file(&items);
        items_free(&items);
        count++;
    }
    assert_true(count >= 23);
}

// ------------------------------------------------------------------------------------------------- arithmetic

struct Sum {
    long a, b, c, answer;
    char first[8], second; // a word or a sign
    bool three;
};

static struct Sum read_sum(const struct Item *item)
{
    struct Sum s = {.three = strchr(item->context, '(') != NULL};
    char first, tail[8];
    if (s.three) {
        assert_int_equal(sscanf(item->context, "\n\nQ: What is (%ld %c %ld) %c %ld?\n\n%7s", &s.a, &first, &s.b,
                                &s.second, &s.c, tail),
                         6);
        s.first[0] = first;
    } else {
        assert_int_equal(sscanf(item->context, "\n\nQ: What is %ld %7s %ld?\n\n%7s", &s.a, s.first, &s.b, tail), 4);
    }
    assert_string_equal(tail, "A:");
    s.answer = strtol(item->completion, NULL, 10);
    char text[32];
    snprintf(text, sizeof text, " %ld", s.answer);
    assert_string_equal(text, item->completion);
    return s;
}

static long operate(long a, char sign, long b)
{
    return sign == '*' || sign == 't' ? a * b : sign == '-' || sign == 'm' ? a - b : a + b;
}

// For a file of sums: the average size of its numbers, and the share of answers below zero.
struct Shape {
    double mean, digits, negative;
    long most;
};

static struct Shape check_sums(const struct Items *items)
{
    struct Shape shape = {0};
    for (size_t i = 0; i < items->count; i++) {
        struct Sum s = read_sum(&items->items[i]);
        long answer = operate(s.a, s.first[0], s.b);
        if (s.three) answer = operate(answer, s.second, s.c);
        assert_int_equal(answer, s.answer);
        char text[64];
        shape.digits += snprintf(text, sizeof text, "%ld%ld", s.a, s.b);
        shape.mean += (double)(s.a + s.b);
        shape.negative += s.answer < 0;
        shape.most = s.a > shape.most ? s.a : shape.most;
    }
    double n = (double)items->count;
    return (struct Shape){shape.mean / n, shape.digits / n, shape.negative / n, shape.most};
}

static void test_arithmetic(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        long limit;
        // clang-format off
    } tasks[] = {
        {"two_digit_addition", 100},      {"two_digit_subtraction", 100},    {"three_digit_addition", 1000},       {"three_digit_subtraction", 1000},
        {"four_digit_addition", 10000},   {"four_digit_subtraction", 10000}, {"five_digit_addition", 100000},      {"five_digit_subtraction", 100000},
        {"two_digit_multiplication", 100}, {"single_digit_three_ops", 10},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        struct Items items = shipped(tasks[i].name), paper;
        struct Shape own = check_sums(&items);
        assert_int_equal(items.count, 1000);
        assert_true(own.most < tasks[i].limit && own.most * 10 >= tasks[i].limit * 9);
        items_free(&items);
        if (!papers(tasks[i].name, &paper)) continue;
        struct Shape theirs = check_sums(&paper);
        assert_true(theirs.most < tasks[i].limit);
        // five standard errors of the difference of two means of uniform numbers; the same width for the others
        assert_true(fabs(own.mean - theirs.mean) < 5 * 0.408 * (double)tasks[i].limit * sqrt(1.0 / 1000 + 1.0 / 2000));
        assert_true(fabs(own.digits - theirs.digits) < 5 * 0.5 * sqrt(1.0 / 1000 + 1.0 / 2000));
        assert_true(fabs(own.negative - theirs.negative) < 5 * 0.5 * sqrt(1.0 / 1000 + 1.0 / 2000));
        items_free(&paper);
    }
}

// ---------------------------------------------------------------------------------------------- unscrambling

static bool same_letters(const char *a, const char *b, size_t count)
{
    int letters[256] = {0};
    for (size_t i = 0; i < count; i++) letters[(unsigned char)a[i]]++, letters[(unsigned char)b[i]]--;
    for (size_t i = 0; i < 256; i++)
        if (letters[i]) return false;
    return true;
}

static bool is_cycled(const char *scrambled, const char *word, size_t length)
{
    for (size_t at = 1; at < length; at++)
        if (memcmp(scrambled, word + at, length - at) == 0 && memcmp(scrambled + length - at, word, at) == 0)
            return true;
    return false;
}

static bool is_anagram(const char *scrambled, const char *word, size_t length, size_t kept)
{
    return memcmp(scrambled, word, kept) == 0 && memcmp(scrambled + length - kept, word + length - kept, kept) == 0 &&
           same_letters(scrambled, word, length);
}

static bool is_anagram_1(const char *scrambled, const char *word, size_t length)
{
    return is_anagram(scrambled, word, length, 1);
}
static bool is_anagram_2(const char *scrambled, const char *word, size_t length)
{
    return is_anagram(scrambled, word, length, 2);
}

static bool is_inserted(const char *scrambled, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (scrambled[2 * i] != word[i] || (i + 1 < length && !strchr(" ./!", scrambled[2 * i + 1]))) return false;
    return true;
}

static bool is_reversed(const char *scrambled, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (scrambled[i] != word[length - 1 - i]) return false;
    return true;
}

// The share of words that stay the same, because their letters have no other order.
static double check_words(const struct Items *items, size_t shortest, bool (*is)(const char *, const char *, size_t))
{
    double same = 0;
    for (size_t i = 0; i < items->count; i++) {
        const char *scrambled = items->items[i].context + 1, *word = items->items[i].completion + 1;
        size_t length = strlen(word), count = strlen(scrambled);
        assert_true(length >= shortest && length <= 15 && strspn(word, "abcdefghijklmnopqrstuvwxyz") == length);
        assert_int_equal(items->items[i].context[0], '\n');
        assert_string_equal(scrambled + count - 2, " =");
        assert_int_equal(count - 2, is == is_inserted ? 2 * length - 1 : length);
        if (!is(scrambled, word, length)) fail_msg("%s: %s is not made of %s", items->path, scrambled, word);
        same += memcmp(scrambled, word, length) == 0;
    }
    return same / (double)items->count;
}

static void test_unscrambling(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t shortest;
        bool (*is)(const char *scrambled, const char *word, size_t length);
        // clang-format off
    } tasks[] = {
        {"cycle_letters_in_word", 6, is_cycled},      {"mid_word_1_anagrams", 5, is_anagram_1}, {"mid_word_2_anagrams", 6, is_anagram_2},
        {"random_insertion_in_word", 6, is_inserted}, {"reversed_words", 6, is_reversed},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        struct Items items = shipped(tasks[i].name), paper;
        assert_true(items.count > 1500);
        assert_true(check_words(&items, tasks[i].shortest, tasks[i].is) < 0.03);
        assert_true(strlen(items.items[0].description) > 0);
        items_free(&items);
        if (!papers(tasks[i].name, &paper)) continue;
        assert_int_equal(paper.count, 10000);
        assert_true(check_words(&paper, tasks[i].shortest, tasks[i].is) < 0.03);
        items_free(&paper);
    }
}

// -------------------------------------------------------------------------------------------- the other tasks

// Each direction of a translation has one answer for a question, and the other direction is its mirror.
static void test_translation(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"english_to_korean", "korean_to_english"},
                                           {"english_to_french", "french_to_english"}};
    for (size_t p = 0; p < 2; p++) {
        struct Items there = shipped(pairs[p][0]);
        struct Items back = shipped(pairs[p][1]);
        assert_int_equal(there.count, back.count);
        assert_true(there.count > 300);
        for (size_t i = 0; i < there.count; i++) {
            char context[256];
            snprintf(context, sizeof context, "\n%s =>", there.items[i].completion + 1);
            size_t at = 0;
            while (at < back.count && strcmp(back.items[at].context, context) != 0) at++;
            assert_true(at < back.count);
            snprintf(context, sizeof context, "\n%s =>", back.items[at].completion + 1);
            assert_string_equal(there.items[i].context, context);
        }
        items_free(&there);
        items_free(&back);
    }
}

static void test_red_apples(void **state)
{
    (void)state;
    static const char *const names[] = {"red_apple_english", "red_apple_korean", "red_apple_english_to_korean"};
    for (size_t n = 0; n < 3; n++) {
        struct Items items = shipped(names[n]);
        size_t places[4] = {0};
        for (size_t i = 0; i < items.count; i++) {
            const struct Item *item = &items.items[i];
            assert_int_equal(item->choice_count, 4);
            for (size_t a = 0; a < 4; a++)
                for (size_t b = 0; b < a; b++) assert_string_not_equal(item->choices[a].text, item->choices[b].text);
            places[item->gold]++;
        }
        for (size_t i = 0; i < 4; i++) assert_true(places[i] > items.count / 8); // the right answer is in any place
        items_free(&items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_by_the_script), cmocka_unit_test(test_files),
        cmocka_unit_test(test_arithmetic),         cmocka_unit_test(test_unscrambling),
        cmocka_unit_test(test_translation),        cmocka_unit_test(test_red_apples),
    };
    return cmocka_run_group_tests_name("tasks_shipped", tests, NULL, NULL);
}
