// The items of a task: every form of them, what is refused, how examples are drawn, and how answers are compared.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "tasks/answer.h"
#include "tasks/blanks.h"
#include "tasks/curve.h"
#include "tasks/items.h"
#include "tasks/jsonl.h"
#include "tasks/pair.h"
#include "tasks/shots.h"
#include "model_files.h"

static char path[DIR_BYTES + 32];

static struct Buffer view(const char *text)
{
    return (struct Buffer){.data = (char *)(uintptr_t)text, .bytes = strlen(text)};
}

static int read_text(struct Items *items, const char *text, enum ItemForm form, vkgpt_error *err)
{
    file_write(test_dir, "items.jsonl", text, strlen(text));
    snprintf(path, sizeof path, "%s/items.jsonl", test_dir);
    return items_read(items, path, form, err);
}

static struct Items items_of(const char *text)
{
    struct Items items;
    vkgpt_error err;
    if (read_text(&items, text, ITEM_AUTO, &err)) fail_msg("%s", err.text);
    return items;
}

// ---------------------------------------------------------------------------------------------------- forms

static void check_item(const struct Item *item, const char *context, const char *completion, size_t choices,
                       size_t gold)
{
    assert_string_equal(item->context, context);
    assert_string_equal(item->completion, completion);
    assert_int_equal(item->choice_count, choices);
    assert_int_equal(item->gold, gold);
    if (choices) assert_string_equal(item->choices[gold].text, completion);
}

static void check_one(const char *line, enum ItemForm form, const char *context, const char *completion, size_t choices,
                      size_t gold)
{
    struct Items items = items_of(line), forced;
    vkgpt_error err;
    assert_int_equal(items.count, 1);
    assert_int_equal(items.form, form);
    check_item(&items.items[0], context, completion, choices, gold);
    items_free(&items);
    assert_int_equal(read_text(&forced, line, form, &err), 0);
    check_item(&forced.items[0], context, completion, choices, gold);
    items_free(&forced);
}

static void test_paper(void **state)
{
    (void)state;
    struct Items items =
        items_of("{\"context\": \"\\n\\nQ: What is 98 plus 45?\\n\\nA:\", \"completion\": \" 143\"}\r\n\n"
                 "  {\"completion\": \" \\uac00\", \"context\": \"x =\", \"description\": \"D\", \"id\": 3}");
    assert_int_equal(items.count, 2);
    check_item(&items.items[0], "\n\nQ: What is 98 plus 45?\n\nA:", " 143", 0, 0);
    check_item(&items.items[1], "x =", " \xea\xb0\x80", 0, 0);
    assert_string_equal(items.items[0].description, "");
    assert_string_equal(items.items[1].description, "D");
    assert_int_equal(items.items[0].line, 1);
    assert_int_equal(items.items[1].line, 3);
    assert_null(items.items[0].choices);
    items_free(&items);
    check_one("{\"context\": \"c\", \"completion\": \" b\", \"choices\": [\" a\", \" b\", \" c\"]}", ITEM_PAPER, "c",
              " b", 3, 1);
}

static void test_lambada(void **state)
{
    (void)state;
    check_one("{\"text\": \"She  said \\\"hi\\\" to John's dog.\"}", ITEM_LAMBADA, "She  said \"hi\" to John's",
              " dog.", 0, 0);
}

// The expected texts are the output of the harness's own process_docs.
static void test_hellaswag(void **state)
{
    (void)state;
    check_one(
        "{\"ind\": 24, \"activity_label\": \"Roof shingle removal\", \"ctx_a\": \"A man sits on a roof.\", \"ctx_b\": \"he\", \"ctx\": \"other\","
        " \"endings\": [\"is up.\", \" [step] one [title] two  \\n[a\\nb] [c] \", \"c\", \"d\"], \"label\": \"1\"}",
        ITEM_HELLASWAG, "Roof shingle removal: A man sits on a roof. He", "  one. two \n[a\nb] ", 4, 1);
    check_one(
        "{\"activity_label\": \"Family Life\", \"ctx_a\": \"[header] How to  be [title] calm   now [x[y] z] [open\", \"ctx_b\":"
        " \"\\u00e9COLE Is [substeps] Big \", \"endings\": [\"a\", \"b\"], \"label\": 0}",
        ITEM_HELLASWAG, "Family Life: How to be. calm  now z] big", " a", 2, 0);
    // clang-format off
    check_one("{\"ctx\": \"Plain  text\", \"endings\": [\"a\", \"b\"], \"label\": 1}", ITEM_HELLASWAG, "Plain text", " b", 2, 1);
    check_one("{\"ctx_a\": \"A\", \"ctx_b\": \"\\u00e9COLE Is Big\", \"endings\": [\"a\", \"b\"], \"label\": 1}", ITEM_HELLASWAG, "A \xc3\x89" "cole is big", " b", 2, 1);
    // clang-format on
}

static void test_piqa(void **state)
{
    (void)state;
    check_one("{\"goal\": \"Open a jar\", \"sol1\": \"turn\", \"sol2\": \"sing\", \"label\": 1}", ITEM_PIQA,
              "Question: Open a jar\nAnswer:", " sing", 2, 1);
}

static void test_arc(void **state)
{
    (void)state;
    check_one(
        "{\"id\": \"x\", \"question\": \"Why?\", \"choices\": {\"text\": [\"so\", \"no\", \"ho\"], \"label\": [\"A\", \"B\", \"C\"]}, \"answerKey\": \"C\"}",
        ITEM_ARC, "Question: Why?\nAnswer:", " ho", 3, 2);
    check_one(
        "{\"question\": {\"stem\": \"Why?\", \"choices\": [{\"text\": \"so\", \"label\": \"1\"}, {\"text\": \"no\", \"label\": \"2\"}]}, \"answerKey\": \"2\"}",
        ITEM_ARC, "Question: Why?\nAnswer:", " no", 2, 1);
}

static void test_winogrande(void **state)
{
    (void)state;
    struct Items items = items_of(
        "{\"sentence\": \"Ann met Eve; _ had a map. \", \"option1\": \"Ann\", \"option2\": \"Eve\", \"answer\": \"2\"}");
    assert_int_equal(items.form, ITEM_WINOGRANDE);
    check_item(&items.items[0], "Ann met Eve; Eve", " had a map.", 2, 1);
    assert_string_equal(item_context(&items.items[0], 0), "Ann met Eve; Ann");
    assert_string_equal(item_context(&items.items[0], 1), "Ann met Eve; Eve");
    assert_string_equal(items.items[0].choices[0].text, " had a map.");
    items_free(&items);
}

// --------------------------------------------------------------------------------------------------- refusals

static void refused(const char *text, enum ItemForm form, const char *line, const char *says)
{
    struct Items items;
    vkgpt_error err;
    char where[DIR_BYTES + 64];
    int code = read_text(&items, text, form, &err);
    snprintf(where, sizeof where, "%s%s", path, line);
    expect_sentence(code, VKGPT_BAD_FILE, &err, where, says, NULL);
    items_free(&items);
}

#define GOOD "{\"context\": \"c\", \"completion\": \" d\"}\n"

static void test_refusals(void **state)
{
    (void)state;
    refused("", ITEM_AUTO, ": ", "has no items");
    refused("\n \t\r\n", ITEM_AUTO, ": ", "has no items");
    refused(GOOD "{\"context\": \"c\", \"compl", ITEM_AUTO, ":2: ", "JSON");
    refused(GOOD "\n[1]", ITEM_AUTO, ":3: ", "not a JSON object");
    refused(GOOD GOOD "{\"context\": \"c\"}", ITEM_AUTO, ":3: ", "\"completion\" is missing");
    refused(GOOD "{\"completion\": \"c\"}", ITEM_AUTO, ":2: ", "\"context\" is missing");
    refused("{\"context\": 3, \"completion\": \" d\"}", ITEM_AUTO, ":1: ", "\"context\" is not a text");
    refused("{\"context\": \"c\", \"completion\": \"\"}", ITEM_AUTO, ":1: ", "the answer is empty");
    refused("{\"context\": \"c\", \"completion\": \" \\u3000\\n\"}", ITEM_AUTO, ":1: ", "the answer is empty");
    refused("{\"context\": \"c\", \"completion\": \" d\", \"choices\": [\" a\", \" b\"]}", ITEM_AUTO,
            ":1: ", "none of the 2 choices");
    refused("{\"context\": \"c\", \"completion\": \" d\", \"choices\": [\" d\"]}", ITEM_AUTO, ":1: ", "1 entries");
    refused("{\"context\": \"c\", \"completion\": \" d\", \"choices\": [\" d\", 3]}", ITEM_AUTO,
            ":1: ", "answer 2 is not a text");
    refused("{\"context\": \"c\", \"completion\": \" d\", \"choices\": [\" d\", \" \"]}", ITEM_AUTO,
            ":1: ", "answer 2 of 2 is empty");
    refused(GOOD "{\"context\": \"c\", \"completion\": \" d\", \"choices\": [\" d\", \" e\"]}", ITEM_AUTO,
            ":2: ", "has 2 answers to choose from");
    refused("{\"prompt\": \"c\"}", ITEM_AUTO, ":1: ", "of no form that is known");
    refused("{\"text\": \"word\"}", ITEM_AUTO, ":1: ", "no words before its last");
    refused("{\"text\": \"two \"}", ITEM_AUTO, ":1: ", "the answer is empty");
    refused(GOOD, ITEM_LAMBADA, ":1: ", "\"text\" is missing");
    refused("{\"ctx\": \"c\", \"endings\": [\"a\", \"b\"]}", ITEM_AUTO, ":1: ", "\"label\" is missing");
    refused("{\"ctx\": \"c\", \"endings\": [\"a\", \"b\"], \"label\": \"2\"}", ITEM_AUTO, ":1: ", "from 0 to 1");
    refused("{\"ctx\": \"c\", \"endings\": [\"a\", \"b\"], \"label\": 0.5}", ITEM_AUTO, ":1: ", "from 0 to 1");
    refused("{\"ctx\": \"c\", \"endings\": \"a\", \"label\": 0}", ITEM_AUTO, ":1: ", "\"endings\" is not a list");
    refused("{\"ctx\": \"c\", \"endings\": [\"a\", \"[b]\"], \"label\": 0}", ITEM_AUTO,
            ":1: ", "answer 2 of 2 is empty");
    refused("{\"endings\": [\"a\", \"b\"], \"label\": 0}", ITEM_AUTO, ":1: ", "\"ctx\" is missing");
    refused("{\"goal\": \"c\", \"sol1\": \"a\", \"label\": 0}", ITEM_AUTO, ":1: ", "\"sol2\" is missing");
    refused(
        "{\"question\": \"q\", \"choices\": {\"text\": [\"a\", \"b\"], \"label\": [\"A\", \"B\", \"C\"]}, \"answerKey\": \"A\"}",
        ITEM_AUTO, ":1: ", "2 texts and 3 labels");
    refused(
        "{\"question\": \"q\", \"choices\": {\"text\": [\"a\", \"b\"], \"label\": [\"A\", \"B\"]}, \"answerKey\": \"C\"}",
        ITEM_AUTO, ":1: ", "labels no choice");
    refused("{\"question\": \"q\", \"answerKey\": \"C\"}", ITEM_AUTO, ":1: ", "\"choices\" is missing");
    refused("{\"question\": {\"stem\": \"q\", \"choices\": [{\"text\": \"a\"}, 3]}, \"answerKey\": \"A\"}", ITEM_AUTO,
            ":1: ", "\"label\" is missing");
    refused("{\"sentence\": \"no gap\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}", ITEM_AUTO,
            ":1: ", "has no _");
    refused("{\"sentence\": \"ends in _ \", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}", ITEM_AUTO,
            ":1: ", "is empty");
    refused("{\"sentence\": \"a _ b\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"\"}", ITEM_AUTO,
            ":1: ", "from 1 to 2");
    refused("{\"sentence\": \"a _ b\", \"option1\": \"\", \"option2\": \"b\", \"answer\": 1}", ITEM_AUTO,
            ":1: ", "\"option1\" is empty");
}

static void test_no_file(void **state)
{
    (void)state;
    struct Items items;
    vkgpt_error err;
    snprintf(path, sizeof path, "%s/none.jsonl", test_dir);
    expect_sentence(items_read(&items, path, ITEM_AUTO, &err), VKGPT_BAD_FILE, &err, path, NULL);
    items_free(&items);
    expect_sentence(items_read(&items, test_dir, ITEM_AUTO, &err), VKGPT_BAD_FILE, &err, test_dir, NULL);
    items_free(&items);
}

// Any content of the file gives an item or a sentence.
static void test_mutations(void **state)
{
    (void)state;
    static const char text[] = "{\"context\": \"c\", \"completion\": \" d\", \"choices\": [\" a\", \" d\"]}\n"
                               "{\"context\": \"e\", \"completion\": \" f\", \"choices\": [\" f\", \" d\"]}\n";
    uint64_t random = 5;
    size_t good = 0;
    for (int i = 0; i < 2000; i++) {
        struct Bytes bytes = {0};
        struct Items items;
        vkgpt_error err;
        bytes_add(&bytes, text, strlen(text));
        bytes_mutate(&bytes, &random);
        file_write(test_dir, "items.jsonl", bytes.data, bytes.count);
        snprintf(path, sizeof path, "%s/items.jsonl", test_dir);
        int code = items_read(&items, path, ITEM_AUTO, &err);
        if (code) expect_sentence(code, VKGPT_BAD_FILE, &err, path, NULL);
        else good += items.count > 0;
        items_free(&items);
        bytes_free(&bytes);
    }
    if (good < 20 || good > 1980) fail_msg("%zu of 2000 are read", good);
}

// ------------------------------------------------------------------------------------------------------- gzip

static struct Bytes packed(const char *text, size_t bytes, size_t times)
{
    struct Bytes out = {0};
    char block[65536];
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    for (size_t i = 0; i <= times; i++) {
        z.next_in = (Bytef *)text;
        z.avail_in = i < times ? (uInt)bytes : 0;
        do {
            z.next_out = (Bytef *)block;
            z.avail_out = sizeof block;
            deflate(&z, i < times ? Z_NO_FLUSH : Z_FINISH);
            bytes_add(&out, block, sizeof block - z.avail_out);
        } while (!z.avail_out);
    }
    deflateEnd(&z);
    return out;
}

static int read_packed(struct Items *items, const struct Bytes *bytes, size_t count, vkgpt_error *err)
{
    file_write(test_dir, "items.jsonl.gz", bytes->data, count);
    snprintf(path, sizeof path, "%s/items.jsonl.gz", test_dir);
    return items_read(items, path, ITEM_AUTO, err);
}

static void test_gzip(void **state)
{
    (void)state;
    struct Items items;
    vkgpt_error err;
    struct Bytes one = packed(GOOD, strlen(GOOD), 3000), two = packed(GOOD, strlen(GOOD), 2);
    bytes_add(&one, two.data, two.count); // a second member, as `cat a.gz b.gz` makes it
    if (read_packed(&items, &one, one.count, &err)) fail_msg("%s", err.text);
    assert_int_equal(items.count, 3002);
    check_item(&items.items[3001], "c", " d", 0, 0);
    items_free(&items);
    for (size_t cut = 2; cut < two.count; cut += 3) {
        expect_sentence(read_packed(&items, &two, cut, &err), VKGPT_BAD_FILE, &err, path, "is cut off", NULL);
        items_free(&items);
    }
    two.data[two.count - 6] ^= 1; // the checksum
    expect_sentence(read_packed(&items, &two, two.count, &err), VKGPT_BAD_FILE, &err, path, "damaged gzip data", NULL);
    items_free(&items);
    bytes_free(&one);
    bytes_free(&two);
}

static void test_bombs(void **state)
{
    (void)state;
    struct Items items;
    vkgpt_error err;
    static char blanks[1 << 20];
    memset(blanks, ' ', sizeof blanks);
    struct Bytes large = packed(blanks, sizeof blanks, JSONL_MAX_BYTES / sizeof blanks + 1);
    expect_sentence(read_packed(&items, &large, large.count, &err), VKGPT_BAD_FILE, &err, path,
                    "unpacks to more than 100 times", NULL);
    items_free(&items);
    bytes_free(&large);
    uint64_t seed = 1; // letters whose packed size is above a hundredth
    for (size_t i = 0; i < sizeof blanks; i++) blanks[i] = (char)('a' + random_next(&seed) % 16);
    struct Bytes line = packed(blanks, sizeof blanks, JSONL_MAX_LINE / sizeof blanks + 1);
    expect_sentence(read_packed(&items, &line, line.count, &err), VKGPT_BAD_FILE, &err, path, ":1: the line is", NULL);
    items_free(&items);
    bytes_free(&line);
}

// -------------------------------------------------------------------------------------------- examples and prompts

static struct Items numbered(size_t count)
{
    struct Bytes text = {0};
    char line[128];
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "{\"context\": \"\\n%zu =\", \"completion\": \" %zu\", \"description\": \"D:\"}\n",
                 i, i * 10);
        bytes_text(&text, line);
    }
    bytes_add(&text, "", 1);
    struct Items items = items_of((const char *)text.data);
    bytes_free(&text);
    return items;
}

static void test_draws(void **state)
{
    (void)state;
    struct Items items = numbered(20);
    struct Shots shots, other;
    shots_open(&shots, &items, &items, 7);
    shots_open(&other, &items, &items, 8);
    size_t seen[20] = {0}, same_seed = 0, same_query = 0;
    for (size_t query = 0; query < 20; query++) {
        assert_int_equal(shots_draw(&shots, query, 19), 19); // all the others
        bool taken[20] = {false};
        size_t first[19];
        memcpy(first, shots.drawn, sizeof first);
        for (size_t i = 0; i < 19; i++) {
            assert_true(first[i] != query && !taken[first[i]]);
            taken[first[i]] = true;
        }
        assert_int_equal(shots_draw(&shots, (query + 1) % 20, 4), 4);
        same_query += shots.drawn[0] == first[0];
        assert_int_equal(shots_draw(&shots, query, 4), 4); // the first four of the nineteen
        assert_memory_equal(shots.drawn, first, 4 * sizeof first[0]);
        for (size_t i = 0; i < 4; i++) seen[first[i]]++;
        assert_int_equal(shots_draw(&other, query, 4), 4);
        same_seed += other.drawn[0] == first[0];
        assert_int_equal(shots_draw(&shots, query, 100), 19);
    }
    assert_true(same_seed < 10 && same_query < 10);
    for (size_t i = 0; i < 20; i++) assert_true(seen[i] < 14);
    shots_close(&shots);
    shots_close(&other);
    items_free(&items);
}

// Another item with the query's context would tell its answer.
static void test_twins(void **state)
{
    (void)state;
    struct Items items = items_of(GOOD GOOD "{\"context\": \"other\", \"completion\": \" e\"}\n" GOOD);
    struct Shots shots;
    shots_open(&shots, &items, &items, 0);
    assert_int_equal(shots_draw(&shots, 0, 3), 1);
    assert_int_equal(shots.drawn[0], 2);
    assert_int_equal(shots_draw(&shots, 2, 3), 3);
    shots_close(&shots);
    items_free(&items);
}

static void check_prompt(const struct Shots *shots, size_t query, size_t count, size_t choice, const char *expected)
{
    struct Buffer prompt = {0};
    shots_prompt(shots, query, count, choice, &prompt);
    assert_string_equal(prompt.data, expected);
    buffer_free(&prompt);
}

static void test_prompts(void **state)
{
    (void)state;
    struct Items items = numbered(3);
    struct Shots shots;
    shots_open(&shots, &items, &items, 0);
    shots.count = 2;
    shots.drawn[0] = 2;
    shots.drawn[1] = 0;
    check_prompt(&shots, 1, 0, 0, "D:\n1 =");
    check_prompt(&shots, 1, 1, 0, "D:\n2 = 20\n1 =");
    check_prompt(&shots, 1, 2, 0, "D:\n2 = 20\n0 = 0\n1 =");
    check_prompt(&shots, 1, 9, 0, "D:\n2 = 20\n0 = 0\n1 =");
    shots.description = "";
    shots.separator = " |";
    check_prompt(&shots, 1, 2, 0, "\n2 = 20 |\n0 = 0 |\n1 =");
    shots_close(&shots);
    items_free(&items);

    items = items_of("{\"sentence\": \"A and B: _ won.\", \"option1\": \"A\", \"option2\": \"B\", \"answer\": 1}\n"
                     "{\"sentence\": \"C and D: _ lost.\", \"option1\": \"C\", \"option2\": \"D\", \"answer\": 2}\n");
    shots_open(&shots, &items, &items, 0);
    assert_int_equal(shots_draw(&shots, 0, 1), 1);
    check_prompt(&shots, 0, 1, 0, "C and D: D lost.\n\nA and B: A");
    check_prompt(&shots, 0, 1, 1, "C and D: D lost.\n\nA and B: B");
    shots_close(&shots);
    items_free(&items);
}

// ----------------------------------------------------------------------------------------------------- answers

static struct Buffer normal(const char *text)
{
    struct Buffer out = {0};
    vkgpt_error err;
    assert_int_equal(answer_normalize(text, strlen(text), &out, &err), 0);
    return out;
}

static void check_answer(const char *answer, const char *right, bool exact, double f1)
{
    struct Buffer a = normal(answer), b = normal(right);
    assert_int_equal(answer_exact(&a, &b), exact);
    assert_float_equal(answer_f1(&a, &b), f1, 1e-6);
    assert_float_equal(answer_f1(&b, &a), f1, 1e-6);
    buffer_free(&a);
    buffer_free(&b);
}

static void test_answers(void **state)
{
    (void)state;
    // clang-format off
    check_answer(" 143", "143\n", true, 1);
    check_answer("a\t b\xe3\x80\x80" "c", "a b c", true, 1);
    check_answer("Paris", "paris", false, 0);
    check_answer("Paris.", "Paris", false, 0);
    check_answer("", "x", false, 0);
    check_answer("caf\xc3\xa9", "cafe\xcc\x81", true, 1);
    check_answer("\xea\xb0\x81 \xeb\x82\x98", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8 \xe1\x84\x82\xe1\x85\xa1", true, 1); // syllables, and their letters
    check_answer("\xef\xac\x81", "fi", false, 0);          // NFC, not NFKC
    check_answer("a\xff", "a\xff", true, 1);
    check_answer("a\xff", "a", false, 0);
    check_answer("the red apple", "the apple", false, 0.8);
    check_answer("b a a", "a c", false, 0.4);
    check_answer("a b", "b a", false, 1);
    // clang-format on
}

static void test_blanks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t start, end;
        // clang-format off
    } cases[] = {
        {"", 0, 0}, {"a", 0, 0}, {" a", 1, 0}, {"a \n", 0, 2}, {"  \t", 3, 3}, {"\xc2\xa0" "a\xe3\x80\x80", 2, 3}, {"\xe2\x80\xa8\x1f", 4, 4},
        {"\x80", 0, 0}, {"\x80 ", 0, 1}, {"\xe3\x80", 0, 0}, {"a\xc2\x85", 0, 2}, {"\xe2\x80\x8b", 0, 0}, {"\xea\xb0\x80 ", 0, 1},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(blanks_at_start(cases[i].text, strlen(cases[i].text)), cases[i].start);
        assert_int_equal(blanks_at_end(cases[i].text, strlen(cases[i].text)), cases[i].end);
    }
    assert_int_equal(item_characters(" \xea\xb0\x80 b"), 3);
}

// --------------------------------------------------------------------------------------------------- intervals

static void check_estimate(double right, size_t items, double low, double high)
{
    struct Point point = {.items = items, .sum = {[MEASURE_EXACT] = right}};
    struct Estimate e = point_estimate(&point, MEASURE_EXACT);
    assert_float_equal(e.value, right / (double)items, 1e-9);
    assert_float_equal(e.low, low, 5e-5);
    assert_float_equal(e.high, high, 5e-5);
}

// Wilson's intervals as in Newcombe (1998, table I); and the normal interval of the sample 0, 0.5, 1, 1.
static void test_intervals(void **state)
{
    (void)state;
    check_estimate(81, 263, 0.2553, 0.3662);
    check_estimate(15, 148, 0.0624, 0.1605);
    check_estimate(0, 20, 0.0000, 0.1611);
    check_estimate(1, 29, 0.0061, 0.1718);
    check_estimate(20, 20, 1 - 0.1611, 1);
    struct Point point = {.items = 4};
    const double sample[] = {0, 0.5, 1, 1};
    for (size_t i = 0; i < 4; i++) point_add(&point, MEASURE_F1, sample[i]);
    struct Estimate e = point_estimate(&point, MEASURE_F1);
    assert_float_equal(e.value, 0.625, 1e-9);
    assert_float_equal(e.low, 0.625 - 1.96 * 0.478714 / 2, 1e-4);
    assert_float_equal(e.high, 1, 1e-9);
}

// ------------------------------------------------------------------------------------------------------- pairs

static void check_pair(const struct PairRules *rules, const char *context, const char *continuation, const char *whole,
                       size_t context_tokens)
{
    vkgpt_error err;
    struct Pair pair;
    uint32_t *ids;
    size_t count;
    struct Buffer before = view(context), behind = view(continuation);
    if (pair_encode(rules, &before, &behind, "it", &pair, &err)) fail_msg("%s", err.text);
    assert_int_equal(vkgpt_encode(rules->tokenizer, whole, strlen(whole), false, &ids, &count, &err), 0);
    assert_int_equal(pair.count, count + (*context == '\0' || strspn(context, " ") == strlen(context)));
    assert_memory_equal(pair.ids + (pair.count - count), ids, count * sizeof *ids);
    assert_int_equal(pair.context, context_tokens);
    pair_free(&pair);
    free(ids);
}

static void test_pairs(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_tokenizer *tok;
    struct Pair pair;
    assert_int_equal(vkgpt_tokenizer_open(VKGPT_SOURCE_DIR "/models/tales", 0, &tok, &err), 0);
    vkgpt_model_info model = {.name = "m", .bos = -1, .eos_count = 1, .eos = {2}};
    struct PairRules rules = {tok, &model, false};
    check_pair(&rules, "Once upon a", " time", "Once upon a time", 3);
    check_pair(&rules, "Once upon a ", "time", "Once upon a time", 3); // the blank moves to the continuation
    check_pair(&rules, "Once upon a \n", "time", "Once upon a \ntime", 3);
    check_pair(&rules, "", " time", " time", 1);
    check_pair(&rules, " ", "time", " time", 1); // only blanks: the context has no token left
    struct Buffer onc = view("Onc"), e = view("e"), nothing = {.data = NULL, .bytes = 0};
    expect_sentence(pair_encode(&rules, &onc, &e, "it", &pair, &err), VKGPT_BAD_ARGUMENT, &err,
                    "it: has no token of its own", NULL);
    pair_free(&pair);
    model.eos_count = 0;
    expect_sentence(pair_encode(&rules, &nothing, &e, "it", &pair, &err), VKGPT_BAD_ARGUMENT, &err,
                    "it: its context is empty", "m has no bos", NULL);
    pair_free(&pair);
    vkgpt_tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper),    cmocka_unit_test(test_lambada),   cmocka_unit_test(test_hellaswag),
        cmocka_unit_test(test_piqa),     cmocka_unit_test(test_arc),       cmocka_unit_test(test_winogrande),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_file),   cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_gzip),     cmocka_unit_test(test_bombs),     cmocka_unit_test(test_draws),
        cmocka_unit_test(test_twins),    cmocka_unit_test(test_prompts),   cmocka_unit_test(test_answers),
        cmocka_unit_test(test_blanks),   cmocka_unit_test(test_intervals), cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests_name("tasks_items", tests, test_dir_setup, test_dir_teardown);
}
