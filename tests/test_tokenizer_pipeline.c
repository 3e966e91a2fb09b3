// Every kind of tokenizer that a tokenizer.json can describe: ids and decoded text against Hugging Face's tokenizers
// (tools/fixtures_pipeline.py), bytes that are not UTF-8, long texts, and files that are damaged or ask for unsupported
// steps.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "tokenizer_files.h"

static int setup(void **state)
{
    test_dir_setup(state);
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
    return 0;
}

// ---------------------------------------------------------------------------------------------------- fixtures

// "tokenizer NAME JSON"; the name goes into `name`.
static vkgpt_tokenizer *open_line(char *line, char *name, size_t size)
{
    char *json = strchr(line + 10, ' ');
    assert_non_null(json);
    *json++ = '\0';
    snprintf(name, size, "%s", line + 10);
    write_text("tokenizer.json", json);
    return open_good(test_dir);
}

static void check_group(const char *group, size_t tokenizers, size_t lines)
{
    char path[1024], name[64] = "", *text;
    size_t bytes, number = 0, opened = 0, wrong = 0;
    vkgpt_error err;
    vkgpt_tokenizer *tok = NULL;
    snprintf(path, sizeof path, "%s/%s.txt", FIXTURES, group);
    if (os_read(path, (size_t)1 << 24, &text, &bytes, &err)) fail_msg("%s", err.text);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        number++;
        if (strncmp(line, "tokenizer ", 10) == 0) {
            vkgpt_tokenizer_close(tok);
            tok = open_line(line, name, sizeof name);
            opened++;
        } else {
            wrong += !check_line(tok, name, number, line, CHECK_IDS);
        }
    }
    vkgpt_tokenizer_close(tok);
    free(text);
    if (wrong) fail_msg("%s: %zu of %zu lines differ", group, wrong, number);
    if (opened < tokenizers || number < lines) fail_msg("%s: %zu tokenizers, %zu lines", group, opened, number);
}

static void test_normalizers(void **state)
{
    (void)state;
    check_group("pipeline_normalizers", 16, 500);
}

static void test_splits(void **state)
{
    (void)state;
    check_group("pipeline_splits", 34, 1000);
}

static void test_models(void **state)
{
    (void)state;
    check_group("pipeline_models", 16, 900);
}

// vocab.txt and spiece.model, and BERT's class over a tokenizer.json.
static void test_pieces(void **state)
{
    (void)state;
    check_fixture("bert_vocab", NULL, 170, CHECK_IDS);
    check_fixture("bert_cased", NULL, 170, CHECK_IDS);
    check_fixture("bert_json", NULL, 170, CHECK_IDS);
    check_fixture("spiece", NULL, 170, CHECK_IDS);
    check_fixture("spiece_extra", NULL, 170, CHECK_IDS);
}

static void copy_file(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", FIXTURES, folder);
    struct Bytes b = file_read(path, name);
    file_write(test_dir, name, b.data, b.count);
    bytes_free(&b);
}

// Without a tokenizer_config.json, the vocabulary file decides the class. An unsupported class is refused.
static void test_vocabulary_alone(void **state)
{
    (void)state;
    remove_file("tokenizer_config.json");
    write_text("vocab.txt", "\xef\xbb\xbf[UNK]\na\n##b\n[CLS]\n[SEP]\n");
    expect_ids("ab [UNK] c", "3 1 2 0 0 4");
    write_text("vocab.txt", "[UNK]\na\n\xff\n");
    expect_refusal(VKGPT_BAD_FILE, "vocab.txt", "byte 8");
    write_text("vocab.txt", "");
    expect_refusal(VKGPT_BAD_MODEL, "vocab.txt", "no token");
    remove_file("vocab.txt");
    copy_file("spiece", "spiece.model");
    expect_ids("the", "6 1");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"AlbertTokenizer\"}");
    expect_refusal(VKGPT_BAD_MODEL, "tokenizer_config.json", "AlbertTokenizer");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": -1}");
    expect_refusal(VKGPT_BAD_FILE, "tokenizer_config.json", "extra_ids");
}

// A damaged SentencePiece file opens, or is refused.
static void test_damaged_spiece(void **state)
{
    (void)state;
    char path[1024];
    uint64_t seed = 5;
    int opened = 0;
    snprintf(path, sizeof path, "%s/spiece", FIXTURES);
    struct Bytes whole = file_read(path, "spiece.model");
    copy_file("spiece", "tokenizer_config.json");
    for (int round = 0; round < 600; round++) {
        struct Bytes b = {0};
        bytes_add(&b, whole.data, round < 300 ? whole.count * (size_t)round / 300 : whole.count);
        if (round >= 300) bytes_mutate(&b, &seed);
        file_write(test_dir, "spiece.model", b.data, b.count);
        bytes_free(&b);
        vkgpt_error err = {0};
        vkgpt_tokenizer *tok;
        uint32_t *ids;
        size_t count;
        if (vkgpt_tokenizer_open(test_dir, 0, &tok, &err)) {
            if (!strstr(err.text, test_dir) || strchr(err.text, '\n')) fail_msg("round %d: %s", round, err.text);
            continue;
        }
        opened++;
        if (!vkgpt_encode(tok, "the \xef\xac\x81 aaaa", 12, true, &ids, &count, &err)) free(ids);
        vkgpt_tokenizer_close(tok);
    }
    bytes_free(&whole);
    if (opened == 0 || opened == 600) fail_msg("%d of 600 opened: the damage tests nothing", opened);
}

// -------------------------------------------------------------------------------------------------------- files

#define MODEL_WORDS                                                                                                    \
    "\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"a\": 1, \"b\": 2, \"ab\": 3}}"
#define MODEL_PIECES                                                                                                   \
    "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"?\", \"continuing_subword_prefix\": \"##\", "               \
    "\"max_input_chars_per_word\": 100, \"vocab\": {\"?\": 0, \"a\": 1, \"##a\": 2, \"b\": 3, \"##b\": 4, \"\xc3\xa9\": 5}}"
#define MODEL_SCORES                                                                                                   \
    "\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"?\", 0], [\"a\", -1], [\"b\", -1.5], [\"ab\", -2]]}"
#define MODEL_BYTES                                                                                                    \
    "\"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"unk_token\": \"?\", \"vocab\": {\"?\": 0, \"a\": 1, "   \
    "\"b\": 2, \"ab\": 3, \"<0xFF>\": 4, \"<0xC3>\": 5, \"<0xA9>\": 6}, \"merges\": [\"a b\"]}"

static void write_json(const char *stages, const char *model)
{
    char json[4096];
    snprintf(json, sizeof json, "{%s%s%s}", stages, *stages ? ", " : "", model);
    write_text("tokenizer.json", json);
}

static void expect(const char *stages, const char *model, const char *text, const char *ids)
{
    write_json(stages, model);
    expect_ids(text, ids);
}

static void refuse(const char *stages, const char *model, vkgpt_code code, const char *words)
{
    write_json(stages, model);
    expect_refusal(code, "tokenizer.json", words);
}

#define PRE(step) "\"pre_tokenizer\": " step
#define NORMALIZER(step) "\"normalizer\": " step
#define WHITESPACE PRE("{\"type\": \"Whitespace\"}")

// A byte that is not UTF-8 is a character without a class and without a token; clean_text drops it, byte fallback
// encodes it.
static void test_invalid_bytes(void **state)
{
    (void)state;
    // clang-format off
    expect(WHITESPACE, MODEL_WORDS, "a \xff b", "1 0 2");
    expect(WHITESPACE, MODEL_WORDS, "a\xff" "b", "1 0 2"); // not in the class \w, so a piece of its own
    expect(PRE("{\"type\": \"WhitespaceSplit\"}"), MODEL_WORDS, "a \xc3 ab", "1 0 3");
    expect(NORMALIZER("{\"type\": \"NFC\"}"), MODEL_PIECES, "e\xcc\x81", "5");
    expect(NORMALIZER("{\"type\": \"NFC\"}"), MODEL_PIECES, "e\xff\xcc\x81", "0");
    expect(NORMALIZER("{\"type\": \"Lowercase\"}"), MODEL_PIECES, "A\xff", "0");
    expect(NORMALIZER("{\"type\": \"BertNormalizer\"}"), MODEL_PIECES, "A\xff\xc3" "B", "1 4");
    expect("", MODEL_SCORES, "a\xff\xfe" "ab\xc3", "1 0 3 0"); // one unk for a run
    expect("", MODEL_BYTES, "a\xff" "ab\xc3\xa9\xfe", "1 4 3 5 6 0");
    expect("\"decoder\": null", MODEL_BYTES, "", "");
    // clang-format on
}

// Neither time nor stack may grow with the square of the text's length.
static void test_long_texts(void **state)
{
    (void)state;
    static const char *const stages[] = {
        "", WHITESPACE, PRE("{\"type\": \"Metaspace\", \"replacement\": \"\xe2\x96\x81\", \"split\": false}"),
        PRE("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a|b)+c?|\\\\s\"}, \"behavior\": \"Isolated\", \"invert\": false}"),
        NORMALIZER(
            "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKD\"}, {\"type\": \"BertNormalizer\"}, {\"type\": \"Strip\", "
            "\"strip_left\": true, \"strip_right\": true}, {\"type\": \"Replace\", \"pattern\": {\"String\": \"  \"}, \"content\": \"\"}]}")};
    static const char *const models[] = {MODEL_WORDS, MODEL_PIECES, MODEL_SCORES, MODEL_BYTES};
    static const char *const units[] = {"a", " ", "ab ", "\xcc\x81\xcc\xa3", "\xff", "\xed\x95\x9c"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        write_json(stages[i], models[i % 4]);
        vkgpt_tokenizer *tok = open_good(test_dir);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            struct Bytes b = {0};
            while (b.count < 300000) bytes_text(&b, units[u]);
            size_t count;
            free(encode(tok, (const char *)b.data, b.count, true, &count));
            bytes_free(&b);
        }
        vkgpt_tokenizer_close(tok);
    }
}

// The number of tokens at the end of every text is known, so that a text that the model continues can leave them out.
// Dropout is noted, but not applied.
static void test_edges_and_notes(void **state)
{
    (void)state;
    write_json("\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\", 1], \"sep\": [\"b\", 2]}",
               MODEL_WORDS);
    expect_ids("ab", "1 3 2");
    expect_ids("", "1 2");
    vkgpt_tokenizer *tok = open_good(test_dir);
    assert_int_equal(vkgpt_trailing_tokens(tok), 1);
    assert_null(vkgpt_tokenizer_note(tok));
    vkgpt_tokenizer_close(tok);
    // the id of an added token is the next one after the model's, no matter what the file says
    expect("\"added_tokens\": [{\"id\": 0, \"content\": \"<x>\", \"special\": true}]", MODEL_WORDS, "<x>", "4");
    char *json = text_replace("{" MODEL_BYTES "}", "\"byte_fallback\"", "\"dropout\": 0.1, \"byte_fallback\"");
    write_text("tokenizer.json", json);
    free(json);
    expect_ids("ab", "3");
    tok = open_good(test_dir);
    assert_int_equal(vkgpt_trailing_tokens(tok), 0);
    assert_string_equal(vkgpt_tokenizer_note(tok), "the tokenizer's dropout is for training and is not applied");
    vkgpt_tokenizer_close(tok);
}

static void expect_no_ids(const char *model, const char *text, const char *words)
{
    uint32_t *ids;
    size_t count;
    vkgpt_error err;
    write_json("", model);
    vkgpt_tokenizer *tok = open_good(test_dir);
    expect_sentence(vkgpt_encode(tok, text, strlen(text), true, &ids, &count, &err), VKGPT_BAD_MODEL, &err, words,
                    NULL);
    assert_null(ids);
    vkgpt_tokenizer_close(tok);
}

// Hugging Face's tokenizers raise an error in the same places.
static void test_no_unk(void **state)
{
    (void)state;
    expect_no_ids("\"model\": {\"type\": \"WordLevel\", \"unk_token\": \"!\", \"vocab\": {\"a\": 0}}", "b",
                  "\"b\" is not a token, and unk_token !");
    expect_no_ids("\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"!\", \"vocab\": {\"a\": 0}}", "ab",
                  "\"ab\" is not a token");
    expect_no_ids("\"model\": {\"type\": \"Unigram\", \"unk_id\": null, \"vocab\": [[\"a\", -1]]}", "ab",
                  "\"b\" is not a token");
    expect_no_ids("\"model\": {\"type\": \"BPE\", \"unk_token\": \"!\", \"vocab\": {\"a\": 0}, \"merges\": []}", "ab",
                  "unk_token !");
    expect("", "\"model\": {\"type\": \"BPE\", \"unk_token\": null, \"vocab\": {\"a\": 0}, \"merges\": []}", "ab", "0");
    // an unknown character scores 10 less than the worst token: -9, not 2 - 19
    expect("", "\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"?\", 0], [\"a\", 2], [\"ax\", -9]]}",
           "ax", "2");
}

#define SPLIT(pattern)                                                                                                 \
    PRE("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" pattern                                                    \
        "\"}, \"behavior\": \"Isolated\", \"invert\": false}")

static void test_refusals(void **state)
{
    (void)state;
    refuse(NORMALIZER("{\"type\": \"Uppercase\"}"), MODEL_WORDS, VKGPT_BAD_MODEL,
           "normalizer {\"type\":\"Uppercase\"}");
    refuse(NORMALIZER("{\"type\": \"Sequence\", \"normalizers\": 3}"), MODEL_WORDS, VKGPT_BAD_FILE,
           "normalizers is not a list");
    refuse(NORMALIZER("{\"type\": \"Prepend\"}"), MODEL_WORDS, VKGPT_BAD_FILE, "prepend is not a string");
    refuse(NORMALIZER("{\"type\": \"Replace\", \"content\": \"\", \"pattern\": 3}"), MODEL_WORDS, VKGPT_BAD_FILE,
           "pattern");
    refuse(NORMALIZER("{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}"), MODEL_WORDS, VKGPT_BAD_FILE,
           "precompiled_charsmap has 3 bytes");
    refuse(NORMALIZER("{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAEAAAAA\"}"), MODEL_WORDS,
           VKGPT_BAD_FILE, "its trie 256");
    refuse(NORMALIZER("{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"A*\"}"), MODEL_WORDS, VKGPT_BAD_FILE,
           "not base64");
    refuse(PRE("{\"type\": \"UnicodeScripts\"}"), MODEL_WORDS, VKGPT_BAD_MODEL, "UnicodeScripts");
    refuse(SPLIT("(a"), MODEL_WORDS, VKGPT_BAD_MODEL, "PCRE2 does not take the pattern (a");
    refuse(SPLIT("[a-z&&[^b]]"), MODEL_WORDS, VKGPT_BAD_MODEL, "an intersection of classes");
    refuse(SPLIT("[[:alpha:]]"), MODEL_WORDS, VKGPT_BAD_MODEL, "a class by name");
    refuse(PRE("{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"Kept\"}"), MODEL_WORDS,
           VKGPT_BAD_FILE, "behavior is not Removed");
    refuse(PRE("{\"type\": \"Metaspace\", \"replacement\": \"ab\"}"), MODEL_WORDS, VKGPT_BAD_FILE,
           "replacement is not one character");
    refuse(PRE("{\"type\": \"Metaspace\", \"replacement\": \"a\", \"prepend_scheme\": \"last\"}"), MODEL_WORDS,
           VKGPT_BAD_FILE, "prepend_scheme");
    refuse("\"decoder\": {\"type\": \"CTC\"}", MODEL_WORDS, VKGPT_BAD_MODEL, "decoder {\"type\":\"CTC\"}");
    refuse("", "\"model\": {\"type\": \"Bytes\"}", VKGPT_BAD_MODEL, "model.type \"Bytes\"");
    refuse("", "\"model\": {\"type\": \"WordLevel\", \"vocab\": []}", VKGPT_BAD_FILE, "model.vocab");
    refuse("", "\"model\": {\"type\": \"Unigram\", \"vocab\": {}}", VKGPT_BAD_FILE, "model.vocab");
    refuse("", "\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]]}", VKGPT_BAD_FILE, "model.vocab[0]");
    refuse("", "\"model\": {\"type\": \"Unigram\", \"unk_id\": 1, \"vocab\": [[\"a\", 0]]}", VKGPT_BAD_MODEL, "unk_id");
    refuse(
        "",
        "\"model\": {\"type\": \"BPE\", \"dropout\": 2, \"byte_fallback\": true, \"vocab\": {\"a\": 0}, \"merges\": []}",
        VKGPT_BAD_FILE, "dropout");
    refuse("\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\", 9], \"sep\": [\"b\", 2]}", MODEL_WORDS,
           VKGPT_BAD_MODEL, "token 9");
    refuse(
        "\"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": \"BertProcessing\", \"cls\": [\"a\", 1], \"sep\": [\"b\", 2]}, "
        "{\"type\": \"BertProcessing\", \"cls\": [\"a\", 1], \"sep\": [\"b\", 2]}]}",
        MODEL_WORDS, VKGPT_BAD_MODEL, "a second post_processor");
}

// Damaged files give ids or a sentence: when they are opened or, without an unk_token, with a text.
static void fuzz(const char *json, const char *text, int rounds)
{
    uint64_t seed = 3;
    int opened = 0;
    for (int i = 0; i < rounds; i++) {
        struct Bytes b = {0};
        bytes_text(&b, json);
        bytes_mutate(&b, &seed);
        file_write(test_dir, "tokenizer.json", b.data, b.count);
        bytes_free(&b);
        vkgpt_error err = {0};
        vkgpt_tokenizer *tok;
        uint32_t *ids;
        size_t count, bytes;
        if (vkgpt_tokenizer_open(test_dir, 0, &tok, &err)) {
            if (!strstr(err.text, test_dir) || strchr(err.text, '\n')) fail_msg("round %d: %s", i, err.text);
            continue;
        }
        opened++;
        if (vkgpt_encode(tok, text, strlen(text), i % 2, &ids, &count, &err)) {
            if (!*err.text || strchr(err.text, '\n')) fail_msg("round %d: %s", i, err.text);
        } else {
            char *decoded;
            if (vkgpt_decode(tok, ids, count, &decoded, &bytes, &err)) fail_msg("round %d: %s", i, err.text);
            free(decoded);
            free(ids);
        }
        vkgpt_tokenizer_close(tok);
    }
    if (opened == 0 || opened == rounds) fail_msg("%d of %d opened: the damage tests nothing", opened, rounds);
}

static void test_fuzz(void **state)
{
    (void)state;
    static const char stages[] =
        "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"BertNormalizer\", \"lowercase\": true}, {\"type\": \"Strip\", "
        "\"strip_left\": true}, {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"EAAAAAEEAABhBQAAYwEAgAAAAABhAGIA\"}, "
        "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"b+?|[x-z]\"}, \"content\": \"a\"}]}, "
        "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Metaspace\", \"replacement\": \"_\"}, {\"type\": \"Digits\"}, "
        "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"a(?=b)\"}, \"behavior\": \"Isolated\", \"invert\": true}]}, "
        "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteFallback\"}, {\"type\": \"Strip\", \"content\": \"a\", \"start\": 1, \"stop\": 2}]}, "
        "\"added_tokens\": [{\"id\": 4, \"content\": \"<m>\", \"normalized\": true}], "
        "\"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\", 1], \"sep\": [\"b\", 2]}, ";
    static const char *const models[] = {MODEL_WORDS "}", MODEL_PIECES "}", MODEL_SCORES "}", MODEL_BYTES "}"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char json[4096];
        snprintf(json, sizeof json, "%s%s", stages, models[i]);
        fuzz(json, "abba 12<m>\xff_ \xc3\xa9", 800);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_normalizers, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_splits, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_models, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_vocabulary_alone, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_spiece, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_invalid_bytes, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_long_texts, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_edges_and_notes, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_no_unk, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_fuzz, setup, test_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
