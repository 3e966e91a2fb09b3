// The errors for wrong values of -m, --tokenizer and --lora, before a device is needed: the same for every command.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/lora.h"
#include "model_files.h"
#include "program.h"

#define LORA VKGPT_SOURCE_DIR "/tests/fixtures/lora/gpt2-patterns"
#define TALES VKGPT_SOURCE_DIR "/models/tales"

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    if (*folder) assert_int_equal(os_make_dirs(test_path(folder)), 0);
    file_write(test_dir, path, text, strlen(text));
}

static void write_weights(const char *folder)
{
    char path[256];
    struct Bytes weights = file_read(LORA, "model.safetensors");
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    file_write(test_dir, path, weights.data, weights.count);
    bytes_free(&weights);
}

// ------------------------------------------------------------------------------------------------------ -m

#define MOST 12
// clang-format off
static const char *const commands[][MOST] = { // without the model
    {"generate", "-p", "a"}, {"generate", "--ids", "1"}, {"logits", "--ids", "1", "-o", "no.npy"}, {"logits", "-p", "a", "-o", "no.npy"},
    {"perplexity", "--ids", "1,2"}, {"quality", "--ids", "1,2"}, {"score", "-p", "a", "--continuation", "b"}, {"bench"}, {"tune", "--dry-run"},
    {"classify", "-p", "a"}, {"classify", "--ids", "1"}, {"choose", "-p", "a", "--answer", "b", "--answer", "c"}, {"convert", "-o", "no.gguf"},
    {"few-shot", "--task", "two_digit_addition", "--limit", "1"}, {"few-shot", "--task", "two_digit_addition", "--limit", "1", "--show"},
    {"task", "question", "-p", "a"}, {"tokenize", "-p", "a"}, {"plan"},
};
// clang-format on

static struct Output run_with(size_t command, const char *model)
{
    const char *arguments[MOST + 4] = {NULL};
    int n = 0;
    for (; commands[command][n]; n++) arguments[n] = commands[command][n];
    arguments[n++] = "-m";
    arguments[n] = model;
    return program_run(NULL, 0, arguments);
}

static void test_every_command(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *file, *text, *word;
        bool only_models; // not for commands that need only a tokenizer
    } cases[] = {
        {"", "lfs.gguf", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer", false},
        {"", "page", "<!DOCTYPE html>", "is a web page", false},
        {"", "old.gguf", "lmgg\1", "before GGUF", false},
        {"tf", "model.ckpt.index", "x", "as OpenAI released GPT-2", false},
        {"peft", "adapter_config.json", "{\"peft_type\": \"LORA\"}", "this folder with --lora", false},
        {"llama", "config.json", "{\"model_type\": \"llama\"}", "this is a Llama, which llama.cpp", true},
        {"empty", "README.md", "x", "", false},
        {"", "notes", "hello", "a kind that is not known", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(cases[i].folder, cases[i].file, cases[i].text);
        for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
            bool tokens = strcmp(commands[c][0], "tokenize") == 0;
            if (!tokens || !cases[i].only_models)
                assert_sentence(run_with(c, test_path(*cases[i].folder ? cases[i].folder : cases[i].file)), 1,
                                cases[i].word);
        }
    }
    for (size_t c = 0; c < sizeof commands / sizeof *commands; c++) {
        assert_sentence(run_with(c, "no-such-org/no-such-model"), 1, "`vkgpt pull no-such-org/no-such-model`");
        assert_sentence(run_with(c, "/no/such/place"), 1, "/no/such/place: no such");
    }
}

static void test_one_level_down_is_said(void **state)
{
    (void)state;
    write_text("out", "log.txt", "x");
    write_text("out/checkpoint-500", "config.json", "{\"model_type\": \"gpt2\"}");
    write_weights("out/checkpoint-500");
    assert_sentence(RUN("tokenize", "-m", test_path("out"), "-p", "a"), 1, "holds no tokenizer");
    struct Bytes config = file_read(LORA, "config.json");
    file_write(test_dir, "out/checkpoint-500/config.json", config.data, config.count);
    bytes_free(&config);
    struct Output o = RUN("plan", "-m", test_path("out"), "--json");
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, "its folder checkpoint-500 is used"));
    output_free(&o);
    write_text("out/checkpoint-1000", "config.json", "{}");
    assert_sentence(RUN("plan", "-m", test_path("out")), 1, "holds 2 models (checkpoint-1000, checkpoint-500)");
}

// ------------------------------------------------------------------------------------------------ --tokenizer

static void test_tokenizer(void **state)
{
    (void)state;
    struct Output wanted = RUN("tokenize", "-m", TALES, "-p", "Once upon");
    assert_status(&wanted, 0);
    static const char *const good[] = {TALES, TALES "/vocab.json", TALES "/merges.txt"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct Output o =
            RUN("tokenize", "-m", "/no/such/place", "--tokenizer", good[i], "-p", "Once upon"); // no model is needed
        assert_status(&o, 0);
        assert_string_equal(o.out, wanted.out);
        output_free(&o);
        o = RUN("detokenize", "--tokenizer", good[i], "--ids", wanted.out);
        assert_status(&o, 0);
        assert_string_equal(o.out, "Once upon");
        output_free(&o);
    }
    output_free(&wanted);
    assert_sentence(RUN("tokenize", "--tokenizer", "/no/such/place", "-p", "a"), 1, "/no/such/place");
    assert_sentence(RUN("tokenize", "--tokenizer", LORA, "-p", "a"), 1, "holds no tokenizer");
    assert_sentence(RUN("plan", "--tokenizer", TALES), 2, "--tokenizer is a flag of other commands");

    static const char *const takers[][8] = {
        {"generate", "-p", "a"}, {"score", "-p", "a", "--continuation", "b"}, {"logits", "-p", "a", "-o", "no.npy"}};
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
        const char *arguments[16] = {NULL};
        int n = 0;
        for (; takers[i][n]; n++) arguments[n] = takers[i][n];
        arguments[n++] = "-m";
        arguments[n++] = LORA;
        assert_sentence(program_run(NULL, 0, arguments), 1, "--tokenizer DIR|FILE takes one from elsewhere");
        arguments[n++] = "--tokenizer";
        arguments[n] = "/no/such/place";
        assert_sentence(program_run(NULL, 0, arguments), 1, "/no/such/place");
    }
    assert_sentence(RUN("logits", "--ids", "1", "-o", "no.npy", "-m", LORA, "--tokenizer", "/no/such"), 1,
                    "/no/such"); // not needed, but given
}

// -------------------------------------------------------------------------------- tokens past the model's rows

static const char padded_json[] =
    "{\"added_tokens\": [{\"id\": 5, \"content\": \"<|endoftext|>\", \"special\": true}, {\"id\": 7, \"content\": \"[PAD]\", \"special\": true}], "
    "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"post_processor\": null, "
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"#\": 3, \"##\": 4, "
    "\"<|endoftext|>\": 5, \"\\u0120\": 8}, \"merges\": [\"a b\", [\"#\", \"#\"]]}}";

static void test_larger_tokenizer(void **state)
{
    (void)state;
    write_text("m", "tokenizer.json", padded_json);
    write_text("m", "config.json", "{\"vocab_size\": 7}");
    struct Output o = RUN("tokenize", "-m", test_path("m"), "-p", "ab[PAD]");
    assert_status(&o, 0);
    assert_string_equal(o.out, "2 7\n");
    output_free(&o);
    o = RUN("detokenize", "-m", test_path("m"), "--ids", "2,7,6"); // 6 is a row without a token
    assert_status(&o, 0);
    assert_string_equal(o.out, "ab[PAD]");
    output_free(&o);
    assert_sentence(RUN("detokenize", "-m", test_path("m"), "--ids", "9"), 1, "id 9 is outside the vocabulary of 9");
    write_text("t", "tokenizer.json", padded_json); // a tokenizer alone
    assert_sentence(RUN("detokenize", "-m", test_path("t"), "--ids", "9"), 1, "id 9 is outside the vocabulary of 9");
}

// ----------------------------------------------------------------------------------------------------- --lora

static void test_lora_flag(void **state)
{
    (void)state;
    assert_sentence(RUN("plan", "--lora", LORA), 2, "--lora is a flag of other commands");
    assert_sentence(RUN("generate", "--lora"), 2, "--lora needs a value: DIR");
}

// convert writes the merged model, with the tokenizer of another folder.
static void test_convert(void **state)
{
    (void)state;
    struct Checkpoint written, merged;
    struct LoraMerged counts;
    vkgpt_error err;
    float a[48 * 16], b[48 * 16];
    char *json = text_replace(padded_json, ", {\"id\": 7, \"content\": \"[PAD]\", \"special\": true}", "");
    write_text("t", "tokenizer.json", json);
    free(json);
    assert_sentence(RUN("convert", "-m", LORA, "--lora", LORA, "-o", test_path("x.gguf")), 1,
                    "--tokenizer DIR|FILE takes one");
    struct Output o = RUN("convert", "-m", LORA, "--lora", LORA "/adapter", "--tokenizer", test_path("t"), "-o",
                          test_path("x.gguf"), "--type", "f32");
    assert_status(&o, 0);
    output_free(&o);
    o = RUN("tokenize", "-m", test_path("x.gguf"), "-p", "##<|endoftext|>");
    assert_string_equal(o.out, "4 5\n");
    output_free(&o);
    if (checkpoint_open(test_path("x.gguf"), &written, &err) || checkpoint_open(LORA, &merged, &err))
        fail_msg("%s", err.text);
    weight_rows(&merged.layers[0].c_attn, 0, 48, 16, a);
    weight_rows(&written.layers[0].c_attn, 0, 48, 16, b);
    assert_memory_not_equal(a, b, sizeof a);
    if (lora_merge(LORA "/adapter", &merged, &counts, &err)) fail_msg("%s", err.text);
    weight_rows(&merged.layers[0].c_attn, 0, 48, 16, a);
    assert_memory_equal(a, b, sizeof a);
    checkpoint_close(&merged);
    checkpoint_close(&written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
        TEST(test_every_command), TEST(test_one_level_down_is_said),
        TEST(test_tokenizer),     TEST(test_larger_tokenizer),
        TEST(test_lora_flag),     TEST(test_convert),
    };
    return cmocka_run_group_tests_name("cli_load", tests, NULL, NULL);
}
