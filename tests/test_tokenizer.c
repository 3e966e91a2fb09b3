// The tokenizer: ids against Hugging Face's (tools/fixtures_tokenizer.py), bytes that are not UTF-8, round trips, long
// texts, and every kind of error in the files.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/characters.h"
#include "text/split.h"
#include "tokenizer_files.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static void test_tales(void **state)
{
    (void)state;
    check_fixture("tales", TALES, 500, CHECK_BOTH);
}

// The same vocabulary in every form of file.
static void test_forms(void **state)
{
    (void)state;
    check_fixture("sorted", NULL, 100, CHECK_BOTH);
    check_fixture("escaped", NULL, 100, CHECK_BOTH);
    check_fixture("strings", NULL, 100, CHECK_BOTH);
    check_fixture("pairs", NULL, 100, CHECK_BOTH);
}

static void test_added_tokens(void **state)
{
    (void)state;
    check_fixture("added", NULL, 100, CHECK_IDS); // lstrip and rstrip drop blanks
    check_fixture("listed", NULL, 100, CHECK_IDS);
    check_fixture("legacy", NULL, 100, CHECK_BOTH);
    check_fixture("roles", NULL, 100, CHECK_IDS);
}

// OPT's four files, as published: like GPT-2's, with </s> first. GPT-Neo's are those of GPT-2.
static void test_kin(void **state)
{
    (void)state;
    check_fixture("opt", NULL, 100, CHECK_IDS);
    check_fixture("neo", NULL, 100, CHECK_BOTH);
    check_fixture("galactica", NULL, 400, CHECK_IDS); // NFKC, and more splits
}

// Tokens and spaces that are put before a text.
static void test_edges(void **state)
{
    (void)state;
    check_fixture("bos", NULL, 100, CHECK_IDS);
    check_fixture("space", NULL, 100, CHECK_IDS);
    check_fixture("space_json", NULL, 100, CHECK_IDS);
    check_fixture("space_ignored", NULL, 100, CHECK_BOTH); // and the space to tokenizer_config.json
    check_fixture("template", NULL, 100, CHECK_IDS);
    check_fixture("bos_json", NULL, 100, CHECK_BOTH); // Hugging Face leaves the token to tokenizer.json
}

// Vocabularies without a token for some bytes: these are dropped, or become unk if tokenizer.json names one.
static void test_holes(void **state)
{
    (void)state;
    check_fixture("holes", NULL, 100, CHECK_IDS);
    check_fixture("unk", NULL, 100, CHECK_IDS);
    check_fixture("fused", NULL, 100, CHECK_IDS);
}

// ---------------------------------------------------------------------------------------- invalid UTF-8

struct Spans {
    size_t ends[16], count;
};

static bool note_piece(void *user, size_t offset, size_t length)
{
    struct Spans *s = user;
    assert_int_equal(offset, s->count ? s->ends[s->count - 1] : 0);
    if (s->count < 16) s->ends[s->count++] = offset + length;
    return true;
}

// Checks that the pieces of a text are those between the `|` in `wanted`.
static void check_pieces(const struct Splitter *splitter, const char *wanted)
{
    char text[64], *masked;
    size_t bytes = 0;
    struct Spans is = {0}, should = {0};
    vkgpt_error err;
    for (const char *p = wanted; *p; p++) {
        if (*p == '|') should.ends[should.count++] = bytes;
        else text[bytes++] = *p;
    }
    should.ends[should.count++] = bytes;
    assert_int_equal(split_mask(text, bytes, &masked, &err), 0);
    assert_int_equal(split_pieces(splitter, masked ? masked : text, bytes, note_piece, &is, &err), 0);
    free(masked);
    bool same = is.count == should.count && memcmp(is.ends, should.ends, is.count * sizeof *is.ends) == 0;
    if (!same) {
        for (size_t i = 0; i < is.count; i++) print_error("    a piece ends at %zu\n", is.ends[i]);
        fail_msg("%s splits otherwise", wanted);
    }
}

// Each invalid byte is a character that is not a letter, number or blank, so it joins neighbours of that kind.
static void test_invalid_pieces(void **state)
{
    (void)state;
    struct Splitter splitter = {0};
    vkgpt_error err;
    const struct Vocab vocab = {0}; // without rules
    assert_int_equal(splitter_open(&splitter, &vocab, &err), 0);
    check_pieces(&splitter, "a|\xff\xfe|b");
    check_pieces(&splitter, "a| \xff|b");
    check_pieces(&splitter, "a| | \xff| b"); // the last blank belongs to what follows
    check_pieces(&splitter, "1|\xff|2");
    check_pieces(&splitter, "!\xff?|a"); // joined with punctuation
    check_pieces(&splitter, "\xff'|s");  // the apostrophe belongs to the run before it
    check_pieces(&splitter, "a|'s|\xff");
    check_pieces(&splitter, "\xff|\xc2\xa0|\xff");    // U+00A0 is a blank, but not a space that joins what follows
    check_pieces(&splitter, "a|\xc3");                // cut at the end
    check_pieces(&splitter, "\xc3|a");                // cut by a letter
    check_pieces(&splitter, "\xc3\xa9|\xc3");         // whole, then cut
    check_pieces(&splitter, "\xe4\xbd|\xe4\xbd\xa0"); // two bytes of three, then a letter
    check_pieces(&splitter, "a|\x80\xbf|b");          // only continuation bytes
    check_pieces(&splitter, "a|\xc0\xaf|b");          // overlong
    check_pieces(&splitter, "a|\xed\xa0\x80|b");      // a surrogate
    check_pieces(&splitter, "a|\xf4\x90\x80\x80|b");  // past U+10FFFF
    check_pieces(&splitter, "a|\xf0\x9f\x98|b");
    check_pieces(&splitter, "\xf0\x9f\x98\x80\xff"); // an emoji is such a neighbour too
    check_pieces(&splitter, "\xe1\xa0\x8e|a");       // U+180E is not a blank
    check_pieces(&splitter, "a| |\xe2\x80\xa8|b");   // U+2028 is one; \s+(?!\S) leaves it, because it is the last
    splitter_close(&splitter);
}

// Each stays in its place in NFKC, and nothing composes across it.
static void test_invalid_nfkc(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        // clang-format off
    } cases[] = {
        {"", ""},
        {"e\xcc\x81", "\xc3\xa9"},
        {"e\xff\xcc\x81", "e\xff\xcc\x81"},
        {"\xef\xac\x81\xff\xef\xac\x81", "fi\xff" "fi"},
        {"\xc3", "\xc3"},
        {"a\xed\xa0\x80" "e\xcc\x81\xe1\x84", "a\xed\xa0\x80\xc3\xa9\xe1\x84"},
        {"\xef\xb7\xba", "\xd8\xb5\xd9\x84\xd9\x89 \xd8\xa7\xd9\x84\xd9\x84\xd9\x87 \xd8\xb9\xd9\x84\xd9\x8a\xd9\x87 "
                         "\xd9\x88\xd8\xb3\xd9\x84\xd9\x85"}, // the longest decomposition
    };
    // clang-format on
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out;
        size_t bytes;
        vkgpt_error err;
        assert_int_equal(characters_nfkc(cases[i].text, strlen(cases[i].text), &out, &bytes, &err), 0);
        assert_int_equal(bytes, strlen(cases[i].wanted));
        assert_memory_equal(out, cases[i].wanted, bytes);
        free(out);
    }
}

// Such bytes decode to themselves, token by token; no merge of the default model has a byte that never occurs in UTF-8.
static void test_invalid_ids(void **state)
{
    (void)state;
    static const char text[] = "girl\xff\xfe girl\xc3";
    vkgpt_tokenizer *tok = open_good(TALES);
    size_t count, whole, n;
    uint32_t *word = encode(tok, " girl", 5, true, &whole);
    assert_int_equal(whole, 1);
    uint32_t *ids = encode(tok, text, sizeof text - 1, true, &count);
    assert_true(decodes_to(tok, ids, count, text, sizeof text - 1));
    assert_true(count >= 4);
    assert_int_equal(ids[count - 2], word[0]);
    assert_memory_equal(vkgpt_token_bytes(tok, ids[count - 1], &n), "\xc3", 1);
    assert_memory_equal(vkgpt_token_bytes(tok, ids[count - 3], &n), "\xfe", 1);
    assert_memory_equal(vkgpt_token_bytes(tok, ids[count - 4], &n), "\xff", 1);
    free(ids);
    ids = encode(tok, "\xff<|endoftext|>\xe4\xbd", 16, true, &count); // special tokens are found between them
    assert_int_equal(ids[1], 4095);
    assert_memory_equal(vkgpt_token_bytes(tok, ids[0], &n), "\xff", 1);
    free(ids);
    free(word);
    vkgpt_tokenizer_close(tok);
}

// ------------------------------------------------------------------------------------------- round trips

static void test_bytes_are_tokens(void **state)
{
    (void)state;
    vkgpt_tokenizer *tok = open_good(TALES);
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        size_t count, n;
        uint32_t *ids = encode(tok, &byte, 1, true, &count);
        assert_int_equal(count, 1);
        const char *bytes = vkgpt_token_bytes(tok, ids[0], &n);
        assert_int_equal(n, 1);
        assert_int_equal(bytes[0], byte);
        free(ids);
    }
    size_t n;
    assert_string_equal(vkgpt_token_bytes(tok, 4095, &n), "<|endoftext|>");
    assert_non_null(vkgpt_token_bytes(tok, 4096, &n));
    assert_int_equal(n, 0);
    vkgpt_token_bytes(tok, UINT32_MAX, &n);
    assert_int_equal(n, 0);
    vkgpt_tokenizer_close(tok);
}

// Random bytes, and random damaged UTF-8, decode to themselves.
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "<|endoftext|>",    " ",  "\n", "girl",         "'ll",      "\xc3\xa9", "\xe4\xbd\xa0", "\xff", "\xe4\xbd",
        "\xf0\x9f\x98\x80", "12", "  ", "\xe3\x80\x80", "\xc2\x85", "."};
    vkgpt_tokenizer *tok = open_good(TALES);
    uint64_t seed = 11;
    for (int round = 0; round < 3000; round++) {
        struct Bytes b = {0};
        for (uint32_t n = random_next(&seed) % 30; n > 0; n--) {
            if (round % 2) bytes_text(&b, parts[random_next(&seed) % (sizeof parts / sizeof *parts)]);
            else bytes_number(&b, random_next(&seed), 4);
        }
        char *text = malloc(b.count ? b.count : 1); // the exact size, for the sanitizer
        assert_non_null(text);
        if (b.count) memcpy(text, b.data, b.count);
        size_t count;
        uint32_t *ids = encode(tok, text, b.count, round % 3 > 0, &count);
        if (!decodes_to(tok, ids, count, text, b.count)) fail_msg("round %d does not come back", round);
        free(ids);
        free(text);
        bytes_free(&b);
    }
    vkgpt_tokenizer_close(tok);
}

// Long runs of one class; quadratic time, a match limit or a deep stack would show.
static void check_long_texts(const char *folder)
{
    static const char *const units[] = {
        "a",        " ",    "\n", "!", "7", "\xff", "\xe4\xbd\xa0", "ab c", "'s", "<|endoftext|>", "<|endoftext|",
        "\xc2\x85", " \xff"};
    enum { BYTES = 1000000 };
    vkgpt_tokenizer *tok = open_good(folder);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct Bytes b = {0};
        while (b.count < BYTES) bytes_text(&b, units[u]);
        bytes_text(&b, "x");
        size_t count;
        uint32_t *ids = encode(tok, (const char *)b.data, b.count, true, &count);
        if (!decodes_to(tok, ids, count, (const char *)b.data, b.count))
            fail_msg("1 MB of \"%s\" does not come back", units[u]);
        free(ids);
        bytes_free(&b);
    }
    vkgpt_tokenizer_close(tok);
}

static void test_long_texts(void **state)
{
    (void)state;
    // clang-format off
    check_long_texts(TALES);
    check_long_texts(FIXTURES "/sorted"); // its merges join "a" to "aaaa"
    check_long_texts(FIXTURES "/galactica");
    // clang-format on
}

// ---------------------------------------------------------------------------------------------- bad files

static const char small_vocab[] =
    "{\"a\": 0, \"b\": 1, \"ab\": 2, \"#\": 3, \"##\": 4, \"<|endoftext|>\": 5, \"\xc4\xa0\": 6}";
static const char small_merges[] = "#version: 0.2\na b\n# #\n";
static const char small_json[] =
    "{\"added_tokens\": [{\"id\": 5, \"content\": \"<|endoftext|>\", \"special\": true}], \"normalizer\": null, "
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"post_processor\": null, "
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"#\": 3, \"##\": 4, "
    "\"<|endoftext|>\": 5, \"\\u0120\": 6}, \"merges\": [\"a b\", [\"#\", \"#\"]]}}";

static int setup(void **state)
{
    test_dir_setup(state);
    write_text("config.json", "{\"vocab_size\": 8}");
    write_text("vocab.json", small_vocab);
    write_text("merges.txt", small_merges);
    return 0;
}

static void test_small_is_good(void **state)
{
    (void)state;
    expect_ids("abb##<|endoftext|># a", "2 1 4 5 3 6 0");
    write_text("merges.txt", "# #\r\na b"); // no version, other line ends, no last newline
    expect_ids("ab##", "2 4");
    write_text("merges.txt", "#version: 0.2\n\na b\n");
    expect_ids("ab##", "2 3 3");
    write_text("merges.txt", "\xEF\xBB\xBF#version: 0.2\r\na b\r\n"); // a byte order mark
    expect_ids("ab##", "2 3 3");
    // clang-format off
    write_text("merges.txt", "\xEF\xBB\xBF" "a b\n");
    // clang-format on
    expect_ids("ab##", "2 3 3");
    char marked[sizeof small_vocab + 3];
    snprintf(marked, sizeof marked, "\xEF\xBB\xBF%s", small_vocab);
    write_text("vocab.json", marked);
    expect_ids("ab##", "2 3 3");
    remove_file("config.json");
    expect_ids("ab", "2");
    write_text("config.json", "{}"); // Hugging Face's default, 50257
    expect_ids("ab", "2");
    write_text("config.json", "{\"vocab_size\": 2, \"resid_pdrop\": NaN, \"vocab_size\": 8}"); // as Python reads it
    write_text("tokenizer_config.json", "{\"add_prefix_space\": true, \"x\": Infinity, \"add_prefix_space\": false}");
    expect_ids("ab", "2");
    remove_file("tokenizer_config.json");
    write_text("config.json", "{\"model_type\": \"opt\"}"); // 50272
    write_text("added_tokens.json", "{\"aa\": 50271}");
    expect_ids("aa", "50271");
    remove_file("added_tokens.json");
    remove_file("vocab.json");
    write_text("tokenizer.json", small_json);
    expect_ids("abb##<|endoftext|># a", "2 1 4 5 3 6 0");
    write_text("vocab.json", "{\"a\": 1, \"b\": 0, \"ab\": 2}"); // tokenizer.json has priority
    expect_ids("abb", "2 1");
    write_text("merges.txt", "");
    expect_ids("abb", "2 1");
}

static void test_missing_files(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_tokenizer *tok;
    // clang-format off
    expect_sentence(vkgpt_tokenizer_open("/nowhere/at all", 0, &tok, &err), VKGPT_BAD_FILE, &err, "/nowhere/at all", NULL);
    expect_sentence(vkgpt_tokenizer_open(TALES "/README.md", 0, &tok, &err), VKGPT_BAD_FILE, &err, "README.md", "directory", NULL);
    // clang-format on
    // clang-format off
    assert_int_equal(vkgpt_tokenizer_open(TALES "/vocab.json", 0, &tok, &err), 0); // a file of the directory
    // clang-format on
    vkgpt_tokenizer_close(tok);
    assert_int_not_equal(vkgpt_tokenizer_open(NULL, 0, &tok, &err), 0);
    assert_int_not_equal(vkgpt_tokenizer_open("/nowhere", 0, &tok, NULL), 0);
    expect_sentence(vkgpt_tokenizer_open(test_dir, (1u << 24) + 1, &tok, &err), VKGPT_BAD_ARGUMENT, &err, "16777217",
                    "16777216", NULL);
    assert_int_equal(vkgpt_tokenizer_open(test_dir, 7, &tok, &err), 0);
    assert_int_equal(vkgpt_token_count(tok), 7);
    vkgpt_tokenizer_close(tok);
    vkgpt_tokenizer_close(NULL);
    remove_file("merges.txt");
    expect_refusal(VKGPT_BAD_FILE, "merges.txt", "No such file");
    remove_file("vocab.json");
    expect_refusal(VKGPT_BAD_FILE, test_dir, "none of tokenizer.json, vocab.json, vocab.txt and spiece.model");
}

static void test_bad_vocab(void **state)
{
    (void)state;
    const char *name = "vocab.json";
    refuse_file(name, "", VKGPT_BAD_FILE, "empty");
    refuse_file(name, "{}", VKGPT_BAD_MODEL, "no token");
    refuse_file(name, "[\"a\"]", VKGPT_BAD_FILE, "object");
    refuse_file(name, "{\"a\": 0", VKGPT_BAD_FILE, "of 7");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": 0", VKGPT_BAD_MODEL, "\"a\" and \"b\" both have id 0");
    refuse_change(name, small_vocab, "\"b\": 1", "\"a\": 1", VKGPT_BAD_FILE, "\"a\" is there twice");
    refuse_change(name, small_vocab, "\"b\": 1", "\"\\u0061\": 1", VKGPT_BAD_FILE, "\"a\" is there twice");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": 524288", VKGPT_BAD_MODEL,
                  "\"b\" has id 524288, ids go from 0 to 524287");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": -1", VKGPT_BAD_MODEL, "whole number");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": 1.5", VKGPT_BAD_MODEL, "whole number");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": \"1\"", VKGPT_BAD_MODEL, "\"b\"");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": 1e30", VKGPT_BAD_MODEL, "whole number");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\": 4294967295", VKGPT_BAD_MODEL, "4294967295");
    refuse_change(name, small_vocab, "\"b\": 1", "\"b\xff\": 1", VKGPT_BAD_FILE, "UTF-8");
    refuse_file("config.json", "{\"vocab_size\": 0}", VKGPT_BAD_MODEL, "vocab_size");
    refuse_file("config.json", "{\"vocab_size\": 1e15}", VKGPT_BAD_MODEL, "vocab_size");
    refuse_file("config.json", "{\"vocab_size\": 1.5}", VKGPT_BAD_MODEL, "vocab_size");
    refuse_file("config.json", "{", VKGPT_BAD_FILE, "byte");
}

static void test_bad_merges(void **state)
{
    (void)state;
    const char *name = "merges.txt";
    refuse_file(name, "#version: 0.2\na b\nb z\n", VKGPT_BAD_MODEL, "\"b\" with \"z\"): the second");
    refuse_file(name, "#version: 0.2\nz b\n", VKGPT_BAD_MODEL, "the first");
    refuse_file(name, "#version: 0.2\nb a\n", VKGPT_BAD_MODEL, "what they make");
    refuse_file(name, "#version: 0.2\nab\n", VKGPT_BAD_FILE, "line 2 (\"ab\")");
    refuse_file(name, "#version: 0.2\na b a\n", VKGPT_BAD_FILE, "line 2");
    refuse_file(name, "#version: 0.2\na \n", VKGPT_BAD_FILE, "line 2");
    refuse_file(name, "#version: 0.2\n b\n", VKGPT_BAD_FILE, "line 2");
    refuse_file(name, "a b\n#version: 0.2\n", VKGPT_BAD_MODEL, "#version:");
    refuse_file(name, "#version: 0.2\na \xff\n", VKGPT_BAD_FILE, "byte 16");
}

static void test_bad_added(void **state)
{
    (void)state;
    refuse_file("added_tokens.json", "{\"<p>\": 524288}", VKGPT_BAD_MODEL,
                "\"<p>\" has id 524288, ids go from 0 to 524287");
    refuse_file("added_tokens.json", "{\"<p>\": 0}", VKGPT_BAD_MODEL, "\"a\" and \"<p>\" both have id 0");
    refuse_file("added_tokens.json", "{\"b\": 7}", VKGPT_BAD_MODEL, "id 7 here and 1 in the vocabulary");
    refuse_file("added_tokens.json", "{\"<p>\": \"7\"}", VKGPT_BAD_MODEL, "whole number");
    refuse_file("added_tokens.json", "[]", VKGPT_BAD_FILE, "object");
    const char *name = "tokenizer_config.json";
    refuse_file(name, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"<p>\"}}}", VKGPT_BAD_FILE, "\"x\"");
    refuse_file(name, "{\"added_tokens_decoder\": {\"7x\": {\"content\": \"<p>\"}}}", VKGPT_BAD_FILE, "\"7x\"");
    refuse_file(name, "{\"added_tokens_decoder\": {\"524288\": {\"content\": \"<p>\"}}}", VKGPT_BAD_MODEL,
                "has id 524288");
    refuse_file(name, "{\"added_tokens_decoder\": {\"9999999999\": {\"content\": \"<p>\"}}}", VKGPT_BAD_MODEL, "<p>");
    refuse_file(name, "{\"added_tokens_decoder\": {\"99999999999\": {\"content\": \"<p>\"}}}", VKGPT_BAD_FILE,
                "not an id");
    refuse_file(name, "{\"added_tokens_decoder\": {\"7\": {}}}", VKGPT_BAD_FILE, "content");
    refuse_file(name, "{\"added_tokens_decoder\": {\"7\": \"<p>\"}}", VKGPT_BAD_FILE, "content");
    refuse_file(name, "{\"added_tokens_decoder\": {\"7\": {\"content\": \"<p>\", \"lstrip\": 1}}}", VKGPT_BAD_FILE,
                "lstrip");
    refuse_file(name, "{\"added_tokens_decoder\": []}", VKGPT_BAD_FILE, "added_tokens_decoder");
    refuse_file(name, "{\"add_bos_token\": \"yes\"}", VKGPT_BAD_FILE, "add_bos_token");
    refuse_file(name, "{\"add_prefix_space\": 1}", VKGPT_BAD_FILE, "add_prefix_space");
    refuse_file(name, "{\"add_bos_token\": true, \"bos_token\": null}", VKGPT_BAD_MODEL, "bos_token");
    refuse_file(name, "{\"tokenizer_class\": \"AlbertTokenizer\"}", VKGPT_BAD_MODEL, "AlbertTokenizer");
    refuse_file(name, "{", VKGPT_BAD_FILE, "byte");
}

// A special token without an id gets the next row; it is plain text if the model has no row left.
static void test_implied_special(void **state)
{
    (void)state;
    write_text("vocab.json", "{\"a\": 0, \"b\": 1, \"<\": 2}");
    write_text("merges.txt", "#version: 0.2\n");
    write_text("tokenizer_config.json", "{\"eos_token\": \"<a\", \"bos_token\": null, \"unk_token\": null}");
    expect_ids("b<ab", "1 3 1");
    write_text("config.json", "{\"vocab_size\": 3}");
    expect_ids("b<ab", "1 2 0 1");
}

// Tokens beyond the model's rows, in every place that may name one: only their use is an error, and the model reports
// it.
static void test_past_the_rows(void **state)
{
    (void)state;
    static const char *const added[][2] = {
        {"added_tokens.json", "{\"<p>\": 9}"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"9\": {\"content\": \"<p>\"}}}"},
        {"tokenizer.json", NULL},
    };
    char *json = text_replace(small_json, "\"\\u0120\": 6}", "\"\\u0120\": 6, \"<p>\": 9}");
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        vkgpt_error err;
        vkgpt_tokenizer *tok;
        write_text(added[i][0], added[i][1] ? added[i][1] : json);
        if (vkgpt_tokenizer_open(test_dir, 0, &tok, &err)) fail_msg("%s", err.text); // config.json says 8
        assert_int_equal(vkgpt_token_count(tok), 10);
        vkgpt_tokenizer_close(tok);
        if (i < 2) expect_ids("<p>b", "9 1");
        remove_file(added[i][0]);
    }
    free(json);
}

static void expect_changed(const char *name, const char *text, const char *from, const char *to, const char *ids)
{
    char *changed = text_replace(text, from, to);
    write_text(name, changed);
    free(changed);
    expect_ids("ab##", ids);
    write_text(name, text);
}

static void test_bad_json(void **state)
{
    (void)state;
    const char *name = "tokenizer.json";
    write_text(name, small_json);
    expect_ids("ab", "2");
    refuse_change(name, small_json, "\"BPE\"", "\"Tree\"", VKGPT_BAD_MODEL, "model.type \"Tree\"");
    refuse_change(name, small_json, "\"model\"", "\"modal\"", VKGPT_BAD_FILE, "no model");
    refuse_change(name, small_json, "\"vocab\"", "\"vocap\"", VKGPT_BAD_FILE, "model.vocab");
    refuse_change(name, small_json, "\"merges\"", "\"merger\"", VKGPT_BAD_FILE, "model.merges");
    refuse_change(name, small_json, "\"a b\"", "\"a z\"", VKGPT_BAD_MODEL, "the second");
    refuse_change(name, small_json, "\"a b\"", "\"ab\"", VKGPT_BAD_FILE, "model.merges[0]");
    refuse_change(name, small_json, "[\"#\", \"#\"]", "[\"#\"]", VKGPT_BAD_FILE, "model.merges[1]");
    refuse_change(name, small_json, "[\"#\", \"#\"]", "[\"#\", \"#\", \"#\"]", VKGPT_BAD_FILE, "model.merges[1]");
    refuse_change(name, small_json, "[\"#\", \"#\"]", "[\"#\", 3]", VKGPT_BAD_FILE, "model.merges[1]");
    refuse_change(name, small_json, "[\"#\", \"#\"]", "7", VKGPT_BAD_FILE, "model.merges[1]");
    refuse_change(name, small_json, "\"b\": 1", "\"b\": 0", VKGPT_BAD_MODEL, "both have id 0");
    refuse_change(name, small_json, "\"id\": 5", "\"id\": 7", VKGPT_BAD_MODEL, "id 7 here and 5");
    refuse_change(name, small_json, "\"id\": 5", "\"id\": 5.5", VKGPT_BAD_FILE, "\"id\"");
    refuse_change(name, small_json, "\"normalizer\": null", "\"normalizer\": {\"type\": \"Upper\"}", VKGPT_BAD_MODEL,
                  "normalizer {\"type\":\"Upper\"}");
    refuse_change(name, small_json, "\"ByteLevel\"", "\"UnicodeScripts\"", VKGPT_BAD_MODEL, "pre_tokenizer");
    refuse_change(name, small_json, "\"add_prefix_space\": false", "\"use_regex\": 1", VKGPT_BAD_FILE, "use_regex");
    refuse_change(name, small_json, "\"post_processor\": null", "\"post_processor\": {\"type\": \"RobertaProcessing\"}",
                  VKGPT_BAD_FILE, "cls");
    refuse_change(name, small_json, "\"post_processor\": null", "\"post_processor\": {\"type\": \"BothProcessing\"}",
                  VKGPT_BAD_MODEL, "post_processor");
    refuse_change(name, small_json, "\"post_processor\": null",
                  "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
                  "[{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"<|endoftext|>\"}}]}",
                  VKGPT_BAD_FILE, "post_processor");
    refuse_change(name, small_json, "\"post_processor\": null",
                  "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
                  "[{\"SpecialToken\": {\"id\": \"x\"}}], \"special_tokens\": {\"x\": {\"ids\": [7]}}}",
                  VKGPT_BAD_MODEL, "token 7");
    refuse_change(name, small_json, "\"post_processor\": null",
                  "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": "
                  "[{\"SpecialToken\": {\"id\": \"x\"}}]}",
                  VKGPT_BAD_FILE, "post_processor");
    refuse_change(name, small_json, "\"BPE\"", "\"BPE\", \"dropout\": \"x\"", VKGPT_BAD_FILE, "model.dropout");
    refuse_change(name, small_json, "\"BPE\"", "\"BPE\", \"byte_fallback\": 1", VKGPT_BAD_FILE, "byte_fallback");
    refuse_change(name, small_json, "\"BPE\"", "\"BPE\", \"ignore_merges\": 1", VKGPT_BAD_FILE, "ignore_merges");
    refuse_change(name, small_json, "\"BPE\"", "\"BPE\", \"byte_fallback\": true, \"end_of_word_suffix\": \"</w>\"",
                  VKGPT_BAD_MODEL, "end_of_word_suffix");
    refuse_change(name, small_json, "\"BPE\"", "\"BPE\", \"unk_token\": 3", VKGPT_BAD_FILE, "unk_token");
    expect_changed(name, small_json, "\"add_prefix_space\": false", "\"use_regex\": false, \"add_prefix_space\": false",
                   "2 4");
    expect_changed(name, small_json, "\"pre_tokenizer\"", "\"pre_tokeniser\"", "2 4");
    expect_changed(name, small_json, "\"BPE\"", "\"BPE\", \"dropout\": 0.1", "2 4"); // dropout is not applied
    refuse_change(name, small_json, "\"added_tokens\": [", "\"added_tokens\": 3, \"x\": [", VKGPT_BAD_FILE,
                  "added_tokens");
}

// An added token that the model does not have gets the next id, as in Hugging Face's tokenizers 0.22; a file with
// another id was changed by hand.
static void test_next_ids(void **state)
{
    (void)state;
    const char *name = "tokenizer.json";
    static const char added[] =
        "\"added_tokens\": [{\"id\": 7, \"content\": \"<p>\"}, {\"id\": 8, \"content\": \"<q>\"}, ";
    write_text("config.json", "{\"vocab_size\": 20}");
    char *two = text_replace(small_json, "\"added_tokens\": [", added);
    write_text(name, two);
    expect_ids("<q><p><|endoftext|>", "8 7 5");
    refuse_change(name, two, "\"id\": 7", "\"id\": 9", VKGPT_BAD_MODEL,
                  "\"<p>\" has id 9, and Hugging Face's tokenizers would give it 7");
    refuse_change(name, two, "\"id\": 8", "\"id\": 9", VKGPT_BAD_MODEL,
                  "\"<q>\" has id 9, and Hugging Face's tokenizers would give it 8");
    refuse_change(name, two, "\"id\": 8", "\"id\": 6", VKGPT_BAD_MODEL, "both have id 6");
    free(two);
}

#define BYTE_LEVEL "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}"
#define RULE "{\"type\": \"Split\", \"pattern\": {\"String\": \"b#\"}, \"behavior\": \"Isolated\", \"invert\": false}"

// The splits before ByteLevel, one of each kind, and other steps there.
static void test_rules(void **state)
{
    (void)state;
    const char *name = "tokenizer.json";
    char *json =
        text_replace(small_json, BYTE_LEVEL, "{\"type\": \"Sequence\", \"pretokenizers\": [" RULE ", " BYTE_LEVEL "]}");
    write_text(name, json);
    expect_ids("ab##", "0 1 3 3"); // ab, b# and #: no merge joins them
    char *two = text_replace(
        json, RULE,
        "{\"type\": \"Split\", \"pattern\": {\"String\": \"##\"}, \"behavior\": \"Isolated\", \"invert\": false}, "
        "{\"type\": \"Split\", \"pattern\": {\"String\": \"#\"}, \"behavior\": \"Isolated\", \"invert\": false}");
    write_text(name, two);
    expect_ids("ab##", "2 3 3"); // the next rule cuts what one rule isolates
    free(two);
    write_text(name, json);
    refuse_change(name, json, "\"String\": \"b#\"", "\"Regex\": \"(b\"", VKGPT_BAD_MODEL, "the pattern (b");
    refuse_change(name, json, "\"String\": \"b#\"", "\"String\": 3", VKGPT_BAD_FILE, "pattern");
    refuse_change(name, json, "\"Isolated\"", "\"MergedWithBoth\"", VKGPT_BAD_FILE, "behavior");
    refuse_change(name, json, "\"invert\": false", "\"invert\": 1", VKGPT_BAD_FILE, "invert");
    refuse_change(name, json, "\"Split\"", "\"UnicodeScripts\"", VKGPT_BAD_MODEL, "UnicodeScripts");
    refuse_change(name, json, RULE, "{\"type\": \"Digits\", \"individual_digits\": 1}", VKGPT_BAD_FILE,
                  "individual_digits");
    expect_changed(name, json, "\"Isolated\"", "\"MergedWithNext\"", "0 1 4");
    expect_changed(name, json, "\"invert\": false", "\"invert\": true", "0 1 3 3");
    expect_changed(name, json, "\"String\": \"b#\"", "\"Regex\": \"b\"", "0 1 4");
    expect_changed(name, json, "\"String\": \"b#\"", "\"String\": \"\"", "0 1 3 3");
    expect_changed(name, json, RULE, RULE "," RULE "," RULE "," RULE "," RULE "," RULE "," RULE "," RULE "," RULE,
                   "0 1 3 3");
    expect_changed(name, json, ", " BYTE_LEVEL, "", "0 1 3 3"); // for characters
    expect_changed(name, json, RULE ", " BYTE_LEVEL, "", "2 4");
    refuse_file("tokenizer_config.json", "{\"add_prefix_space\": true}", VKGPT_BAD_MODEL, "add_prefix_space");
    free(json);

    write_text(name, small_json);
    json = text_replace(small_json, "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFKC\"}");
    write_text(name, json);
    expect_ids("\xef\xbd\x81\xef\xbd\x82#", "2 3");
    write_text("tokenizer_config.json",
               "{\"added_tokens_decoder\": {\"7\": {\"content\": \"ba\", \"special\": false}}}");
    expect_ids("a\xef\xbd\x82\xef\xbd\x81", "0 7"); // found in the text after NFKC
    remove_file("tokenizer_config.json");
    refuse_file("tokenizer_config.json", "{\"added_tokens_decoder\": {\"7\": {\"content\": \"\xef\xbd\x81\"}}}",
                VKGPT_BAD_MODEL, "NFKC");
    free(json);
}

static const char digits_json[] =
    "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": false}, " BYTE_LEVEL
    "]}, "
    "\"model\": {\"vocab\": {\"a\": 0, \"7\": 1, \"77\": 2, \".\": 3, \"..\": 4, \".7\": 5}, \"merges\": [\"7 7\", \". 7\", \". .\"]}}";

// Runs of digits as one piece and digit by digit, and literal text with a special character of patterns.
static void test_digits(void **state)
{
    (void)state;
    const char *name = "tokenizer.json";
    write_text(name, digits_json);
    expect_ids("a77.7a", "0 2 3 1 0");
    char *json = text_replace(digits_json, "false", "true");
    write_text(name, json);
    expect_ids("a77.7a", "0 1 1 3 1 0");
    free(json);
    json = text_replace(digits_json, "{\"type\": \"Digits\", \"individual_digits\": false}", RULE);
    char *dots = text_replace(json, "b#", ".");
    write_text(name, dots);
    expect_ids("a77..", "0 2 3 3");
    free(dots);
    free(json);
    static const char arabic[] =
        "\"vocab\": {\"\xc3\x99\": 0, \"\xc2\xa3\": 1, \"\xc3\x99\xc2\xa3\": 2, \"\xc3\x99\xc2\xa3\xc3\x99\xc2\xa3\": 3}, "
        "\"merges\": [\"\xc3\x99 \xc2\xa3\", \"\xc3\x99\xc2\xa3 \xc3\x99\xc2\xa3\"]}}";
    char *head = text_replace(digits_json, "\"vocab\"", "\n");
    *strchr(head, '\n') = '\0';
    size_t bytes = strlen(head) + sizeof arabic;
    json = malloc(bytes);
    assert_non_null(json);
    snprintf(json, bytes, "%s%s", head, arabic);
    write_text(name, json);
    expect_ids("\xd9\xa3\xd9\xa3", "3");
    char *each = text_replace(json, "false", "true");
    write_text(name, each);
    expect_ids("\xd9\xa3\xd9\xa3", "2 2");
    free(each);
    free(json);
    free(head);
}

static void test_fuzz(void **state)
{
    (void)state;
    const char *text = "abb##<|endoftext|># a";
    fuzz_file("vocab.json", small_vocab, text, 1500);
    write_text("vocab.json", small_vocab);
    fuzz_file("merges.txt", small_merges, text, 1500);
    write_text("merges.txt", small_merges);
    fuzz_file(
        "tokenizer_config.json",
        "{\"added_tokens_decoder\": {\"7\": {\"content\": \"<p>\", \"lstrip\": true, \"special\": false}}, "
        "\"add_bos_token\": true, \"bos_token\": {\"content\": \"<|endoftext|>\"}, \"additional_special_tokens\": [\"##\"]}",
        text, 1500);
    remove_file("tokenizer_config.json");
    fuzz_file("tokenizer.json", small_json, text, 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tales),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_kin),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_invalid_pieces),
        cmocka_unit_test(test_invalid_nfkc),
        cmocka_unit_test(test_invalid_ids),
        cmocka_unit_test(test_bytes_are_tokens),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test_setup_teardown(test_small_is_good, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_missing_files, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_vocab, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_merges, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_added, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_implied_special, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_past_the_rows, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_json, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_next_ids, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_rules, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_digits, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_fuzz, setup, test_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
