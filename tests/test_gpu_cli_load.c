// Models as users have them, on a device: without a tokenizer or with an unsupported one, with more tokens than rows,
// under another name, and with an adapter.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "head_fixture.h"
#include "model_files.h"
#include "program.h"

#define LORA VKGPT_SOURCE_DIR "/tests/fixtures/lora/gpt2-patterns"
#define VOCAB 40

static void copy(const char *from, const char *file, const char *to)
{
    char path[256];
    struct Bytes data = file_read(from, file);
    snprintf(path, sizeof path, "%s/%s", to, file);
    assert_int_equal(os_make_dirs(test_path(to)), 0);
    file_write(test_dir, path, data.data, data.count);
    bytes_free(&data);
}

// The fixture's model, with this tokenizer.json or none.
static void write_model(const char *name, const char *tokenizer)
{
    char path[256];
    copy(LORA, "config.json", name);
    copy(LORA, "model.safetensors", name);
    snprintf(path, sizeof path, "%s/tokenizer.json", name);
    if (tokenizer) file_write(test_dir, path, tokenizer, strlen(tokenizer));
}

static const char padded_json[] =
    "{\"added_tokens\": [{\"id\": 5, \"content\": \"<|endoftext|>\", \"special\": true}, {\"id\": 40, \"content\": \"[PAD]\", \"special\": true}], "
    "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"post_processor\": null, "
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"#\": 3, \"##\": 4, "
    "\"<|endoftext|>\": 5, \"\\u0120\": 6, "
    "\"A\": 7, \"B\": 8, \"C\": 9, \"D\": 10, \"E\": 11, \"F\": 12, \"G\": 13, \"H\": 14, \"I\": 15, \"J\": 16, \"K\": 17, "
    "\"L\": 18, \"M\": 19, \"N\": 20, \"O\": 21, \"P\": 22, \"Q\": 23, \"R\": 24, \"S\": 25, \"T\": 26, \"U\": 27, \"V\": 28, "
    "\"W\": 29, \"X\": 30, \"Y\": 31, \"Z\": 32, \"0\": 33, \"1\": 34, \"2\": 35, \"3\": 36, \"4\": 37, \"5\": 38, \"6\": 39}, "
    "\"merges\": [\"a b\", [\"#\", \"#\"]]}}";
static const char unknown_json[] = "{\"model\": {\"type\": \"Nonsense\", \"vocab\": {}}}";

static void succeed(struct Output output, const char *said)
{
    assert_status(&output, 0);
    if (said && !strstr(output.err, said)) fail_msg("stderr lacks '%s': %s", said, output.err);
    output_free(&output);
}

// ------------------------------------------------------------------------------------------------ tokenizers

static void test_larger_tokenizer(void **state)
{
    (void)state;
    write_model("m", padded_json);
    const char *m = test_path("m");
    succeed(RUN("generate", "-m", m, "-p", "ab", "-n", "2"), NULL);
    assert_sentence(RUN("generate", "-m", m, "-p", "ab[PAD]", "-n", "2"), 1,
                    "-p: token '[PAD]' has the id 40, and the model has ids below 40");
    assert_sentence(RUN("generate", "-m", m, "--ids", "40", "-n", "2"), 1, "id 40 is outside the vocabulary of 40");
    file_write(test_dir, "text", "ab[PAD]ab", 9);
    assert_sentence(RUN("perplexity", "-m", m, "-f", test_path("text")), 1, "token '[PAD]' has the id 40");
    assert_sentence(RUN("score", "-m", m, "-p", "a", "--continuation", "[PAD]"), 1, "token id 40: m has ids below 40");
}

static void test_ids_need_no_tokenizer(void **state)
{
    (void)state;
    write_model("unknown", unknown_json);
    write_model("none", NULL);
    for (int i = 0; i < 2; i++) {
        const char *m = test_path(i ? "none" : "unknown"),
                   *why = i ? "holds no tokenizer" : "model.type \"Nonsense\" is not supported";
        struct Output o = RUN("generate", "-m", m, "--ids", "1,2", "-n", "2");
        assert_non_null(strstr(o.err, why));
        succeed(o, "so the new ids are printed, not text");
        assert_sentence(RUN("generate", "-m", m, "-p", "a"), 1, why);
        assert_sentence(RUN("generate", "-m", m, "--ids", "1", "-r", "stop"), 1, why);
    }
    succeed(RUN("logits", "-m", test_path("unknown"), "--ids", "1,2", "-o", test_path("x.npy")), NULL);
    succeed(RUN("bench", "-m", test_path("unknown"), "-p", "4", "-n", "2", "-r", "1"), NULL);
}

static void test_tokenizer_from_elsewhere(void **state)
{
    (void)state;
    write_model("none", NULL);
    write_model("unknown", unknown_json);
    assert_int_equal(os_make_dirs(test_path("t")), 0);
    file_write(test_dir, "t/tokenizer.json", padded_json, strlen(padded_json));
    write_model("own", padded_json);
    struct Output wanted = RUN("generate", "-m", test_path("own"), "-p", "ab##a", "-n", "6", "--temp", "0");
    assert_status(&wanted, 0);
    static const char *const models[] = {"none", "unknown"}, *const tokenizers[] = {"t", "t/tokenizer.json", "own"};
    for (size_t i = 0; i < 3; i++) {
        struct Output o = RUN("generate", "-m", test_path(models[i % 2]), "--tokenizer", test_path(tokenizers[i]), "-p",
                              "ab##a", "-n", "6", "--temp", "0");
        assert_status(&o, 0);
        assert_string_equal(o.out, wanted.out);
        output_free(&o);
    }
    output_free(&wanted);
}

// The special tokens of a head are looked up in the tokenizer. Without one, stderr says that no token is put around the
// ids.
static void test_heads(void **state)
{
    (void)state;
    // clang-format off
    copy(HEAD_FIXTURES "/gpt1-labels", "config.json", "head");
    copy(HEAD_FIXTURES "/gpt1-labels", "model.safetensors", "head");
    // clang-format on
    file_write(test_dir, "head/tokenizer.json", unknown_json, strlen(unknown_json));
    const char *m = test_path("head");
    succeed(RUN("classify", "-m", m, "--ids", "5,6,7"), "so it adds no tokens around the ids");
    assert_sentence(RUN("classify", "-m", m, "--ids", "5,6", "--start", "_start_", "--extract", "_classify_"), 1,
                    "to look '_start_' up in (");
    // clang-format off
    succeed(RUN("classify", "-m", m, "--ids", "5,6,7", "--tokenizer", HEAD_FIXTURES "/gpt1-labels"), NULL);
    // clang-format on
}

// ------------------------------------------------------------------------------------------------- adapters

// The distance of the logits of the fixture's last token from those that it expects under this name.
static double distance(const char *member, const char *lora, const char *weights)
{
    struct Bytes text = file_read(LORA, "expected.json");
    cJSON *json = cJSON_ParseWithLength((const char *)text.data, text.count);
    uint32_t ids[HEAD_MAX_IDS];
    double want[HEAD_MAX_NUMBERS], most = 0;
    char list[512] = "";
    size_t count = head_ids(json_member(json, "ids"), ids);
    for (size_t i = 0; i < count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%u", i ? "," : "", ids[i]);
    head_numbers(cJSON_GetArrayItem(json_member(json, member), 1), want);
    const char *arguments[] = {"logits",
                               "-m",
                               LORA,
                               "--ids",
                               list,
                               "--last",
                               "-o",
                               test_path("x.npy"),
                               "--weights",
                               weights,
                               "--kv",
                               "f32",
                               lora ? "--lora" : NULL,
                               lora,
                               NULL};
    succeed(program_run(NULL, 0, arguments), lora ? "8 matrices have the LoRA weights of adapter" : NULL);
    struct Bytes npy = file_read(test_dir, "x.npy");
    assert_true(npy.count > VOCAB * sizeof(float));
    for (size_t i = 0; i < VOCAB; i++) {
        float got;
        memcpy(&got, npy.data + npy.count - (VOCAB - i) * sizeof got, sizeof got);
        double off = isfinite(got) ? fabs((double)got - want[i]) : INFINITY;
        most = off > most ? off : most;
    }
    bytes_free(&npy);
    bytes_free(&text);
    cJSON_Delete(json);
    return most;
}

static void test_lora(void **state)
{
    (void)state;
    static const char adapter[] = LORA "/adapter", file[] = LORA "/adapter/adapter_model.safetensors";
    assert_true(distance("logits", adapter, "f32") < 1e-3);
    assert_true(distance("logits", file, "f16") < 2e-2);
    assert_true(distance("base", NULL, "f32") < 1e-3);
    assert_sentence(RUN("generate", "-m", LORA, "--lora", VKGPT_SOURCE_DIR "/models/tales", "--ids", "1"), 1,
                    "no adapter_config.json there");
    assert_sentence(
        RUN("generate", "-m", LORA, "--lora", VKGPT_SOURCE_DIR "/tests/fixtures/lora/gpt1/adapter", "--ids", "1"), 1,
        "and transformer.h.0.mlp.c_fc.weight makes it (24, 2)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
        TEST(test_larger_tokenizer),
        TEST(test_ids_need_no_tokenizer),
        TEST(test_tokenizer_from_elsewhere),
        TEST(test_heads),
        TEST(test_lora),
    };
    return cmocka_run_group_tests_name("cli_load", tests, NULL, NULL);
}
