// GPT-1's tokenizer: ids against Hugging Face's (tools/fixtures_tokenizer.py), each step of its normalisation, bytes
// that are not UTF-8, long words, and every kind of error in the files.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/words.h"
#include "tokenizer_files.h"

static void test_gpt1(void **state)
{
    (void)state;
    check_fixture("gpt1", NULL, 1100, CHECK_IDS);
}

static void test_forms(void **state)
{
    (void)state;
    check_fixture("gpt1_json", NULL, 150, CHECK_IDS);
    check_fixture("gpt1_original", NULL, 150, CHECK_IDS);
}

static void test_added_tokens(void **state)
{
    (void)state;
    check_fixture("gpt1_added", NULL, 400, CHECK_IDS);
    check_fixture("gpt1_legacy", NULL, 150, CHECK_IDS);
}

static void test_decoding(void **state)
{
    (void)state;
    // clang-format off
    check_fixture("gpt1_decoded", FIXTURES "/gpt1", 150, CHECK_DECODED);
    check_fixture("gpt1_decoded", FIXTURES "/gpt1_json", 150, CHECK_DECODED);
    check_fixture("gpt1_decoded", FIXTURES "/gpt1_original", 150, CHECK_DECODED);
    // clang-format on
}

// ------------------------------------------------------------------------------------------------ words

static bool note_word(void *user, const char *word, size_t bytes)
{
    struct Bytes *all = user;
    if (all->count) bytes_text(all, "|");
    bytes_add(all, word, bytes);
    return true;
}

// The words of a text, with | between them. The text has its exact size, for the sanitizer.
static void check_words(const char *text, size_t bytes, const char *wanted)
{
    struct Bytes words = {0};
    char *lower, *copy = malloc(bytes ? bytes : 1);
    size_t lower_bytes;
    vkgpt_error err;
    assert_non_null(copy);
    memcpy(copy, text, bytes);
    assert_int_equal(words_lower(NULL, false, copy, bytes, &lower, &lower_bytes, &err), 0);
    assert_int_equal(words_split(lower, lower_bytes, note_word, &words, &err), 0);
    bytes_number(&words, 0, 1);
    assert_string_equal((const char *)words.data, wanted);
    bytes_free(&words);
    free(lower);
    free(copy);
}

#define CHECK_WORDS(text, wanted) check_words(text, sizeof(text) - 1, wanted)

static void test_words(void **state)
{
    (void)state;
    // clang-format off
    CHECK_WORDS("", "");
    CHECK_WORDS(" \t\n\r\xe3\x80\x80\xe2\x80\xa8\xe2\x80\xa9", "");
    CHECK_WORDS("Hello, World!", "hello|,|world|!");
    CHECK_WORDS("It's a_b (c)", "it|'|s|a|_|b|(|c|)");
    CHECK_WORDS("a\xc2\xa0" "b\xe2\x80\xa8" "c", "a|b|c");
    CHECK_WORDS("a\0b\x01" "c\x7f" "d\xc2\x85" "e\x0b" "f", "abcdef");                   // controls are not blanks
    CHECK_WORDS("a\xe2\x80\x8d" "b\xc2\xad" "c\xef\xbb\xbf" "d\xee\x80\x80" "e\xef\xbf\xbd" "f\xcd\xb8g", "abcdefg");
    CHECK_WORDS("\xc3\x89t\xc3\xa9", "ete");                                             // composed
    CHECK_WORDS("E\xcc\x81te\xcc\x81", "ete");                                           // and decomposed
    CHECK_WORDS("\xce\x9f\xce\x94\xce\x9f\xce\xa3", "\xce\xbf\xce\xb4\xce\xbf\xcf\x83"); // the last sigma stays a sigma
    CHECK_WORDS("\xce\xbf\xcf\x82", "\xce\xbf\xcf\x82");                                 // and a final one stays final
    CHECK_WORDS("\xc4\xb0I\xc4\xb1", "ii\xc4\xb1");                                      // Turkish
    CHECK_WORDS("STRA\xe1\xba\x9e" "E stra\xc3\x9f" "e", "stra\xc3\x9f" "e|stra\xc3\x9f" "e");
    CHECK_WORDS("\xe2\x84\xab\xe2\x84\xaa", "ak");                                       // Angstrom and Kelvin
    CHECK_WORDS("\xed\x95\x9c", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab");                 // letters of a syllable
    CHECK_WORDS("\xe3\x81\x8c", "\xe3\x81\x8b");                                         // the voicing mark is Mn
    CHECK_WORDS("a\xe4\xb8\xad\xe6\x96\x87" "b", "a|\xe4\xb8\xad|\xe6\x96\x87|b");
    CHECK_WORDS("\xef\xa4\x80", "\xe8\xb1\x88");                                         // a compatibility ideograph
    CHECK_WORDS("a\xf0\xa0\x80\x80" "b\xf0\xac\xba\xb0" "c", "a|\xf0\xa0\x80\x80|b\xf0\xac\xba\xb0" "c"); // the blocks end
    CHECK_WORDS("\xe3\x80\x82" "a\xe2\x80\x94" "b\xd8\x9f\xe0\xa5\xa4", "\xe3\x80\x82|a|\xe2\x80\x94|b|\xd8\x9f|\xe0\xa5\xa4");
    CHECK_WORDS("a$b+c\xe2\x82\xac\xc2\xb1" "d", "a|$|b|+|c\xe2\x82\xac\xc2\xb1" "d");   // only ASCII signs split
    CHECK_WORDS("a\xe2\x80\xbf" "b\xe2\x80\x90" "c", "a|\xe2\x80\xbf|b|\xe2\x80\x90|c");
    CHECK_WORDS("\xcd\xbe\xe1\xbf\xaf", ";|`");                                          // their form in NFD
    CHECK_WORDS("\xcc\x81 \xcc\x81\xcc\xa3", "");                                        // nothing but marks
    CHECK_WORDS("x\xe3\x80\xae\xe1\xad\x84", "x\xe1\xad\x84\xe3\x80\xae");               // class 224, then 9: in order
    CHECK_WORDS("x\xe3\x80\xae\xcc\x81\xe1\xad\x84", "x\xe1\xad\x84\xe3\x80\xae");       // past a mark that is dropped
    CHECK_WORDS("x\xe3\x80\xae\xe0\xa4\x81\xe1\xad\x84", "x\xe3\x80\xae\xe1\xad\x84");   // not past one of class 0
    CHECK_WORDS("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\xf0\x9f\x91\xa9\xf0\x9f\x92\xbb");
    // clang-format on
}

// Such a byte does not belong to a word, and does not end one.
static void test_invalid_bytes(void **state)
{
    (void)state;
    // clang-format off
    CHECK_WORDS("a\xff" "b", "ab");
    CHECK_WORDS("\xff", "");
    CHECK_WORDS("\x80\xbf x\xc3", "x");
    CHECK_WORDS("\xe4\xb8" "a\xe4\xb8\xad\xe4", "a|\xe4\xb8\xad");
    CHECK_WORDS("\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xf0\x9f\x98", "");
    // clang-format on
    vkgpt_tokenizer *tok = open_good(FIXTURES "/gpt1");
    size_t count;
    uint32_t *ids = encode(tok, "\xff<unk>\xfe<un\xffk>", 13, true, &count);
    assert_true(count > 1);
    assert_int_equal(ids[0], 0);
    assert_int_not_equal(ids[1], 0); // the second is not that token any more, as with a U+FFFD in it
    free(ids);
    vkgpt_tokenizer_close(tok);
}

static bool stop_at_third(void *user, const char *word, size_t bytes)
{
    (void)word;
    (void)bytes;
    return ++*(int *)user < 3;
}

static void test_stopping(void **state)
{
    (void)state;
    int words = 0;
    vkgpt_error err;
    assert_int_equal(words_split("a.b.c.d e", 9, stop_at_third, &words, &err), 0);
    assert_int_equal(words, 3);
    words = 0;
    assert_int_equal(words_split("a b c d e", 9, stop_at_third, &words, &err), 0);
    assert_int_equal(words, 3);
}

// Every text encodes. Without an unknown symbol, its ids decode to a text with the same ids.
static void test_again(void **state)
{
    (void)state;
    static const char *const parts[] = {"the",
                                        "<unk>",
                                        " ",
                                        ".",
                                        "\xc3\x89",
                                        "\xe4\xb8\xad",
                                        "\xff",
                                        "\xe3\x80\xae",
                                        "\xcc\x81",
                                        "\xed\x95\x9c",
                                        "THE",
                                        "\xce\xa3",
                                        "\xe1\xad\x84",
                                        "'",
                                        "12"};
    vkgpt_tokenizer *tok = open_good(FIXTURES "/gpt1");
    uint64_t seed = 5;
    int known = 0;
    for (int round = 0; round < 2000; round++) {
        struct Bytes b = {0}, decoded = {0};
        for (uint32_t n = random_next(&seed) % 12; n > 0; n--) {
            if (round % 2) bytes_text(&b, parts[random_next(&seed) % (sizeof parts / sizeof *parts)]);
            else bytes_number(&b, random_next(&seed), 4);
        }
        char *text = malloc(b.count ? b.count : 1); // exact, for the sanitizer
        assert_non_null(text);
        if (b.count) memcpy(text, b.data, b.count);
        size_t count, again, n, unknown = 0;
        uint32_t *ids = encode(tok, text, b.count, true, &count);
        for (size_t i = 0; i < count; i++) {
            const char *token = vkgpt_token_bytes(tok, ids[i], &n);
            bytes_add(&decoded, token, n);
            unknown += ids[i] == 0;
        }
        uint32_t *same = encode(tok, (const char *)decoded.data, decoded.count, true, &again);
        known += !unknown;
        if (!unknown && (again != count || memcmp(ids, same, count * sizeof *ids) != 0))
            fail_msg("round %d does not come back", round);
        free(ids);
        free(same);
        free(text);
        bytes_free(&b);
        bytes_free(&decoded);
    }
    assert_true(known > 300);
    vkgpt_tokenizer_close(tok);
}

// Long words and long runs of marks would reveal quadratic time.
static void test_long_texts(void **state)
{
    (void)state;
    static const char *const units[] = {
        "b",    "a",        "the",      "\xcc\x81",     "\xcc\x81\xcc\xa3", "\xe3\x80\xae\xe1\xad\x84",
        "!",    " ",        "\xff",     "\xe4\xb8\xad", "\xed\x95\x9c",     "<unk>",
        "<unk", "\xc8\xba", "\xc4\xb0", "THE end. "};
    enum { BYTES = 1000000 };
    vkgpt_tokenizer *tok = open_good(FIXTURES "/gpt1");
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct Bytes b = {0};
        while (b.count < BYTES) bytes_text(&b, units[u]);
        bytes_text(&b, " x");
        size_t count;
        uint32_t *ids = encode(tok, (const char *)b.data, b.count, true, &count);
        assert_true(count > 0);
        free(ids);
        bytes_free(&b);
    }
    vkgpt_tokenizer_close(tok);
}

// ---------------------------------------------------------------------------------------------- bad files

static const char small_vocab[] =
    "{\"<unk>\": 0, \"a\": 1, \"b\": 2, \"a</w>\": 3, \"b</w>\": 4, \"ab</w>\": 5, \"aa\": 6, \"</w></w>\": 7}";
static const char small_merges[] = "#version: 0.2\na b</w>\na a\n";
static const char small_json[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true}], \"normalizer\": {\"type\": \"BertNormalizer\", "
    "\"clean_text\": true, \"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": true}, "
    "\"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, \"post_processor\": null, \"model\": {\"type\": \"BPE\", "
    "\"unk_token\": \"<unk>\", \"continuing_subword_prefix\": \"\", \"end_of_word_suffix\": \"</w>\", \"fuse_unk\": false, "
    "\"vocab\": {\"<unk>\": 0, \"a\": 1, \"b\": 2, \"a</w>\": 3, \"b</w>\": 4, \"ab</w>\": 5, \"aa\": 6}, "
    "\"merges\": [\"a b</w>\", [\"a\", \"a\"]]}}";

static int setup(void **state)
{
    test_dir_setup(state);
    write_text("config.json", "{\"model_type\": \"openai-gpt\", \"vocab_size\": 9}");
    write_text("vocab.json", small_vocab);
    write_text("merges.txt", small_merges);
    return 0;
}

static const char small_text[] = "AB aab <unk>b zaz";
static const char small_ids[] = "5 1 5 0 4 0 1 0"; // the merge of lower rank comes first

static void test_small_is_good(void **state)
{
    (void)state;
    vkgpt_tokenizer *tok;
    vkgpt_error err;
    size_t n;
    expect_ids(small_text, small_ids);
    write_text("config.json", "{\"model_type\": \"openai-gpt\"}"); // Hugging Face's default, 40478
    expect_ids(small_text, small_ids);
    write_text("config.json", "{\"tokenizer_class\": \"OpenAIGPTTokenizer\", \"model_type\": \"gpt2\"}");
    expect_ids(small_text, small_ids);
    write_text(
        "tokenizer_config.json",
        "{\"tokenizer_class\": \"OpenAIGPTTokenizerFast\", \"add_bos_token\": true, \"add_prefix_space\": true}");
    write_text("config.json", "{}");
    expect_ids(small_text, small_ids);
    if (vkgpt_tokenizer_open(test_dir, 9, &tok, &err)) fail_msg("%s", err.text);
    assert_string_equal(vkgpt_token_bytes(tok, 5, &n), "ab ");
    assert_int_equal(n, 3);
    assert_string_equal(vkgpt_token_bytes(tok, 7, &n), "  ");
    assert_string_equal(vkgpt_token_bytes(tok, 0, &n), "<unk>");
    vkgpt_tokenizer_close(tok);

    remove_file("tokenizer_config.json");
    remove_file("config.json");
    remove_file("vocab.json");
    remove_file("merges.txt");
    write_text("encoder_bpe_40000.json", small_vocab);
    write_text("vocab_40000.bpe", small_merges);
    expect_ids(small_text, small_ids);
    remove_file("encoder_bpe_40000.json");
    write_text("config.json", "{\"model_type\": \"openai-gpt\", \"vocab_size\": 9}");
    write_text("tokenizer.json", small_json);
    expect_ids(small_text, small_ids);
}

static void test_bad_files(void **state)
{
    (void)state;
    write_text("config.json", "{\"model_type\": \"openai-gpt\", \"vocab_size\": 8}"); // with no row left for <unk>
    refuse_change("vocab.json", small_vocab, "<unk>", "<ukn>", VKGPT_BAD_MODEL,
                  "unk_token \"<unk>\" is not in the vocabulary");
    write_text("config.json", "{\"model_type\": \"openai-gpt\", \"vocab_size\": 9}");
    refuse_change("vocab.json", small_vocab, "\"b\": 2", "\"b\": 1", VKGPT_BAD_MODEL, "\"a\" and \"b\" both have id 1");
    refuse_change("vocab.json", small_vocab, "\"b\": 2", "\"b\": 524288", VKGPT_BAD_MODEL,
                  "\"b\" has id 524288, ids go from 0 to 524287");
    refuse_change("vocab.json", small_vocab, "\"aa\"", "\"a\xff\"", VKGPT_BAD_FILE, "UTF-8");
    refuse_change("merges.txt", small_merges, "a a", "a b", VKGPT_BAD_MODEL, "what they make");
    refuse_change("merges.txt", small_merges, "a a", "z a", VKGPT_BAD_MODEL, "the first");
    refuse_change("merges.txt", small_merges, "a a", "a", VKGPT_BAD_FILE, "line 3");
    const char *name = "tokenizer_config.json";
    refuse_file(name, "{\"added_tokens_decoder\": {\"8\": {\"content\": \"_start_\", \"single_word\": true}}}",
                VKGPT_BAD_MODEL, "_start_");
    refuse_file(name, "{\"tokenizer_class\": \"OpenAIGPT\"}", VKGPT_BAD_MODEL, "OpenAIGPT");
    remove_file("vocab.json");
    expect_refusal(VKGPT_BAD_FILE, test_dir, "none of tokenizer.json, vocab.json, vocab.txt and spiece.model");
    write_text("encoder_bpe_40000.json", small_vocab);
    remove_file("merges.txt");
    expect_refusal(VKGPT_BAD_FILE, "vocab_40000.bpe", "No such file");
    write_text("vocab_40000.bpe", "#version: 0.2\na z\n");
    expect_refusal(VKGPT_BAD_MODEL, "vocab_40000.bpe", "the second");
    write_text("vocab_40000.bpe", small_merges);
    write_text("config.json", "{\"vocab_size\": 8}");
    refuse_change("encoder_bpe_40000.json", small_vocab, "<unk>", "<ukn>", VKGPT_BAD_MODEL, "unk_token \"<unk>\"");
}

// A null in place of a token.
static void test_no_unk(void **state)
{
    (void)state;
    write_text("tokenizer_config.json", "{\"unk_token\": null}");
    expect_refusal(VKGPT_BAD_MODEL, "vocab.json", "unk_token \"null\"");
    write_text("tokenizer_config.json", "{\"unk_token\": \"aa\"}");
    expect_ids("zb", "6 4");
}

static void test_bad_json(void **state)
{
    (void)state;
    const char *name = "tokenizer.json", *json = small_json;
    write_text(name, json);
    expect_ids("ab", "5");
    refuse_change(name, json, "\"BertNormalizer\"", "\"Lowercase\"", VKGPT_BAD_MODEL, "normalizer");
    refuse_change(name, json, "\"clean_text\": true", "\"clean_text\": false", VKGPT_BAD_MODEL, "\"clean_text\":false");
    refuse_change(name, json, "\"handle_chinese_chars\": true", "\"handle_chinese_chars\": false", VKGPT_BAD_MODEL,
                  "normalizer");
    refuse_change(name, json, "\"strip_accents\": null", "\"strip_accents\": false", VKGPT_BAD_MODEL, "normalizer");
    refuse_change(name, json, "\"lowercase\": true", "\"lowercase\": false", VKGPT_BAD_MODEL, "normalizer");
    refuse_change(name, json, "\"normalizer\"", "\"normaliser\"", VKGPT_BAD_MODEL, "normalizer null");
    refuse_change(name, json, "\"BertPreTokenizer\"", "\"ByteLevel\"", VKGPT_BAD_MODEL, "pre_tokenizer");
    refuse_change(name, json, "\"end_of_word_suffix\": \"</w>\"", "\"end_of_word_suffix\": \"\"", VKGPT_BAD_MODEL,
                  "end_of_word_suffix \"\"");
    refuse_change(name, json, "\"end_of_word_suffix\": \"</w>\"", "\"end_of_word_suffix\": null", VKGPT_BAD_MODEL,
                  "end_of_word_suffix null");
    refuse_change(name, json, "\"continuing_subword_prefix\": \"\"", "\"continuing_subword_prefix\": \"##\"",
                  VKGPT_BAD_MODEL, "##");
    refuse_change(name, json, "\"<unk>\": 0", "\"<ukn>\": 0", VKGPT_BAD_MODEL, "both have id 0");
    write_text("config.json", "{\"vocab_size\": 9}"); // not GPT-1 by its class
    expect_ids("ab", "5");                            // so tokenizer.json decides
}

static void test_fuzz(void **state)
{
    (void)state;
    fuzz_file("vocab.json", small_vocab, small_text, 1000);
    write_text("vocab.json", small_vocab);
    fuzz_file("merges.txt", small_merges, small_text, 1000);
    write_text("merges.txt", small_merges);
    fuzz_file("tokenizer.json", small_json, small_text, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gpt1),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_invalid_bytes),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test_setup_teardown(test_small_is_good, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_files, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_no_unk, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_bad_json, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_fuzz, setup, test_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
