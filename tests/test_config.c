// config.json and generation_config.json: the meaning of each key, the defaults, and every value that is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_files.h"

static int read_text(const char *text, struct Config *config, vkgpt_error *err)
{
    file_write(test_dir, "config.json", text, strlen(text));
    return config_read(test_dir, config, err);
}

static struct Config good(const char *text)
{
    struct Config config;
    vkgpt_error err;
    if (read_text(text, &config, &err)) fail_msg("%s", err.text);
    return config;
}

// {} is GPT-2 124M: Hugging Face's defaults.
static void test_defaults(void **state)
{
    (void)state;
    struct Config c = good("{}");
    assert_string_equal(c.architecture, "gpt2");
    assert_int_equal(c.layers, 12);
    assert_int_equal(c.heads, 12);
    assert_int_equal(c.dim, 768);
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.inner, 3072);
    assert_int_equal(c.context, 1024);
    assert_int_equal(c.vocab, 50257);
    assert_true(c.eps == 1e-5f);
    assert_int_equal(c.activation, ACTIVATION_GELU_TANH);
    assert_true(c.scale_attention && c.tied_head && !c.scale_by_inverse_layer);
    assert_int_equal(c.bos, 50256);
    assert_int_equal(c.eos_count, 1);
    assert_int_equal(c.eos[0], 50256);
    assert_int_equal(config_params(&c), 124439808);
    c.tied_head = false;
    assert_int_equal(config_params(&c), 124439808 + 50257 * 768);
}

static void test_sizes(void **state)
{
    (void)state;
    struct Config c = good("{\"model_type\": \"gpt2\", \"n_layer\": 48, \"n_head\": 25, \"n_embd\": 1600,"
                           " \"n_ctx\": 7, \"n_inner\": null, \"unknown\": {\"a\": [1]}, \"resid_pdrop\": 0.1}");
    assert_int_equal(c.head_dim, 64);
    assert_int_equal(c.inner, 6400);
    assert_int_equal(c.context, 1024);
    assert_int_equal(config_params(&c), 1557611200);
    // the aliases of GPT2Config, which have priority over the names that they replace
    c = good("{\"hidden_size\": 12, \"num_hidden_layers\": 3, \"num_attention_heads\": 4, \"n_embd\": 768,"
             " \"max_position_embeddings\": 9, \"n_inner\": 5, \"vocab_size\": 1}");
    assert_int_equal(c.dim, 12);
    assert_int_equal(c.layers, 3);
    assert_int_equal(c.heads, 4);
    assert_int_equal(c.context, 9);
    assert_int_equal(c.inner, 5);
}

static void test_activations(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum Activation is;
        // clang-format off
    } known[] = {
        {"gelu_new", ACTIVATION_GELU_TANH}, {"gelu_fast", ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH}, {"gelu", ACTIVATION_GELU_ERF}, {"relu", ACTIVATION_RELU},
        {"silu", ACTIVATION_SILU}, {"swish", ACTIVATION_SILU}, {"quick_gelu", ACTIVATION_QUICK_GELU},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"activation_function\": \"%s\"}", known[i].name);
        assert_int_equal(good(text).activation, known[i].is);
    }
}

static void test_attention_scale(void **state)
{
    (void)state;
    struct Config c = good("{}");
    assert_true(config_attention_scale(&c, 3) == 0.125f);
    c = good("{\"scale_attn_by_inverse_layer_idx\": true}");
    assert_true(config_attention_scale(&c, 0) == 0.125f);
    assert_true(config_attention_scale(&c, 3) == 0.03125f);
    c = good("{\"scale_attn_weights\": false, \"tie_word_embeddings\": false, \"layer_norm_epsilon\": 1e-3}");
    assert_true(config_attention_scale(&c, 3) == 1);
    assert_false(c.tied_head);
    assert_true(c.eps == 1e-3f);
}

static void test_tokens(void **state)
{
    (void)state;
    struct Config c = good("{\"bos_token_id\": null, \"eos_token_id\": null}");
    assert_int_equal(c.bos, -1);
    assert_int_equal(c.eos_count, 0);
    c = good("{\"vocab_size\": 307}"); // the defaults are outside the vocabulary
    assert_int_equal(c.bos, -1);
    assert_int_equal(c.eos_count, 0);
    c = good("{\"vocab_size\": 307, \"bos_token_id\": 306, \"eos_token_id\": [5, 307, 5, 9, -1]}");
    assert_int_equal(c.bos, 306);
    assert_int_equal(c.eos_count, 2);
    assert_int_equal(c.eos[0], 5);
    assert_int_equal(c.eos[1], 9);
}

// {"model_type": ...} alone: the defaults of each class, checked by the parameters of the published model.
static void test_family_defaults(void **state)
{
    (void)state;
    struct Config c = good("{\"model_type\": \"openai-gpt\"}");
    assert_string_equal(c.architecture, "openai-gpt");
    assert_int_equal(c.context, 512);
    assert_int_equal(c.inner, 3072);
    assert_int_equal(c.activation, ACTIVATION_GELU_TANH);
    assert_true(c.post_norm && !c.final_norm && c.scale_attention && c.qkv_bias && c.bias && c.tied_head);
    assert_int_equal(c.bos, -1);
    assert_int_equal(c.eos_count, 0);
    assert_int_equal(config_params(&c), 116534784);

    c = good("{\"model_type\": \"gpt_neo\", \"num_layers\": 24}"); // 1.3B
    assert_int_equal(c.window, 256);
    assert_int_equal(c.inner, 8192);
    assert_true(!c.post_norm && c.final_norm && !c.scale_attention && !c.qkv_bias && c.bias);
    assert_true(config_attention_scale(&c, 1) == 1);
    for (uint32_t l = 0; l < 24; l++) assert_int_equal(config_window(&c, l), l % 2 ? 256 : 0);
    assert_int_equal(c.bos, 50256);
    assert_int_equal(config_params(&c), 1315575808);

    c = good("{\"model_type\": \"opt\"}"); // 125M
    assert_int_equal(c.position_offset, 2);
    assert_int_equal(c.embed_dim, 768);
    assert_int_equal(c.activation, ACTIVATION_RELU);
    assert_true(!c.post_norm && c.final_norm && c.norm_affine && c.scale_attention && c.qkv_bias && c.bias);
    assert_true(c.bos == 2 && c.eos_count == 1 && c.eos[0] == 2);
    assert_int_equal(config_params(&c), 125239296);

    c = good("{\"model_type\": \"opt\", \"hidden_size\": 1024, \"ffn_dim\": 4096, \"num_hidden_layers\": 24,"
             " \"num_attention_heads\": 16, \"word_embed_proj_dim\": 512, \"do_layer_norm_before\": false}"); // 350M
    assert_true(c.post_norm && !c.final_norm && c.embed_dim == 512);
    assert_int_equal(config_params(&c), 331196416);
    c = good("{\"model_type\": \"opt\", \"_remove_final_layer_norm\": true, \"word_embed_proj_dim\": null}");
    assert_true(!c.post_norm && !c.final_norm && c.embed_dim == 768);
    assert_int_equal(config_params(&c), 125239296 - 2 * 768);
    c = good("{\"model_type\": \"opt\", \"enable_bias\": false, \"layer_norm_elementwise_affine\": false}");
    assert_true(!c.qkv_bias && !c.bias && !c.norm_affine && c.final_norm);
    assert_int_equal(config_params(&c), 125239296 - 12 * (9 * 768 + 4 * 768) - 2 * 768);
}

// Without model_type, the class under "architectures" decides.
static void test_classes(void **state)
{
    (void)state;
    assert_string_equal(good("{\"architectures\": [\"OpenAIGPTLMHeadModel\"]}").architecture, "openai-gpt");
    assert_string_equal(good("{\"architectures\": [\"OPTForCausalLM\"]}").architecture, "opt");
    assert_string_equal(good("{\"architectures\": [\"GPTNeoModel\"]}").architecture, "gpt_neo");
    assert_string_equal(good("{\"architectures\": [\"GPT2LMHeadModel\"]}").architecture, "gpt2");
}

static void test_gpt1_functions(void **state)
{
    (void)state;
    static const char *const names[] = {"gelu", "relu", "silu", "swish"};
    static const enum Activation is[] = {ACTIVATION_GELU_TANH, ACTIVATION_RELU, ACTIVATION_SILU, ACTIVATION_SILU};
    for (size_t i = 0; i < 4; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"model_type\": \"openai-gpt\", \"afn\": \"%s\", \"n_inner\": 5}", names[i]);
        assert_int_equal(good(text).activation, is[i]);
        assert_int_equal(good(text).inner, 3072); // whatever the file says
    }
}

// attention: the keys that say which layers are local; kinds: the resulting kind of each layer, L or G.
static void expect_kinds(const char *attention, const char *kinds)
{
    char text[512];
    snprintf(text, sizeof text, "{\"model_type\": \"gpt_neo\", \"num_layers\": %zu, \"window_size\": 7, %s}",
             strlen(kinds), attention);
    struct Config c = good(text);
    for (uint32_t l = 0; kinds[l]; l++) assert_int_equal(config_window(&c, l), kinds[l] == 'L' ? 7 : 0);
}

static void test_attention_kinds(void **state)
{
    (void)state;
    expect_kinds("\"attention_types\": [[[\"global\"], 3]]", "GGG");
    expect_kinds("\"attention_types\": [[[\"global\", \"local\"], 5]]", "GLGLGLGLGL");
    expect_kinds("\"attention_types\": [[[\"local\"], 2], [[\"global\"], 0], [[\"global\", \"local\", \"local\"], 1]]",
                 "LLGLL");
    expect_kinds("\"attention_layers\": [\"local\", \"global\"]", "LG");
    expect_kinds("\"attention_types\": [[[\"global\"], 9]], \"attention_layers\": [\"local\", \"global\"]", "LG");
    expect_kinds("\"attention_types\": null, \"attention_layers\": null", "GLGLGLGLGLGLGLGLGLGLGLGL");
}

static struct Config with_generation(const char *generation)
{
    file_write(test_dir, "generation_config.json", generation, strlen(generation));
    return good("{\"vocab_size\": 307, \"bos_token_id\": 1, \"eos_token_id\": 2, \"n_layer\": 3}");
}

static void test_generation_config(void **state)
{
    (void)state;
    struct Config c = with_generation("{\"eos_token_id\": [7, 8], \"n_layer\": 99, \"temperature\": 0.5}");
    assert_int_equal(c.bos, 1);
    assert_int_equal(c.eos_count, 2);
    assert_int_equal(c.eos[0], 7);
    assert_int_equal(c.layers, 3);
    c = with_generation("{\"bos_token_id\": 4, \"eos_token_id\": null}");
    assert_int_equal(c.bos, 4);
    assert_int_equal(c.eos_count, 1);
    assert_int_equal(c.eos[0], 2);
    c = with_generation("{\"eos_token_id\": 50256}");
    assert_int_equal(c.eos_count, 0);

    struct Config bad;
    vkgpt_error err;
    file_write(test_dir, "generation_config.json", "{\"eos_token_id\": \"</s>\"}", 24);
    expect_sentence(config_read(test_dir, &bad, &err), VKGPT_BAD_MODEL, &err, "generation_config.json", "eos_token_id",
                    "\"</s>\"", NULL);
}

#define GPT1 "{\"model_type\": \"openai-gpt\", "
#define NEO "{\"model_type\": \"gpt_neo\", "
#define OPT "{\"model_type\": \"opt\", "

// Each row: a config, and words of its sentence.
static const struct {
    const char *text, *key, *value;
} REFUSED[] = {
    {"{\"n_layer\": 0}", "n_layer", "0"},
    {"{\"n_layer\": -1}", "n_layer", "-1"},
    {"{\"n_layer\": 1.5}", "n_layer", "1.5"},
    {"{\"n_layer\": 100000}", "n_layer", "100000"},
    {"{\"n_layer\": null}", "n_layer", "null"},
    {"{\"n_embd\": 768, \"n_embd\": 7.5}", "n_embd", "7.5"},
    {"{\"n_embd\": NaN}", "n_embd is NaN", "1 to 1048576"},
    {"{\"n_layer\": Infinity}", "n_layer is Infinity", "whole number"},
    {"{\"layer_norm_epsilon\": NaN}", "layer_norm_epsilon is NaN", "above 0"},
    {"{\"layer_norm_epsilon\": -Infinity}", "layer_norm_epsilon is -Infinity", "above 0"},
    {"{\"layer_norm_epsilon\": 1e999}", "layer_norm_epsilon is Infinity", "above 0"},
    {"{\"tie_word_embeddings\": NaN}", "tie_word_embeddings is NaN", "true or false"},
    {"{\"eos_token_id\": NaN}", "eos_token_id is NaN", "whole number"},
    {"{\"add_cross_attention\": NaN}", "add_cross_attention is NaN", "forward pass"},
    {"{\"n_embd\": \"768\"}", "n_embd", "\"768\""},
    {"{\"n_embd\": 1e300}", "n_embd", "1e+300"},
    {"{\"n_embd\": 1e999}", "n_embd", "1 to 1048576"},
    {"{\"hidden_size\": 0}", "hidden_size", "0"},
    {"{\"n_head\": 0}", "n_head", "0"},
    {"{\"n_head\": 7}", "n_head 7", "n_embd 768"},
    {"{\"n_head\": 1024}", "n_head 1024", "n_embd 768"},
    {"{\"n_inner\": 0}", "n_inner", "0"},
    {"{\"n_inner\": 99999999}", "n_inner", "99999999"},
    {"{\"n_positions\": 0}", "n_positions", "0"},
    {"{\"n_positions\": 4294967297}", "n_positions", "4294967297"},
    {"{\"vocab_size\": 0}", "vocab_size", "0"},
    {"{\"vocab_size\": 1e9}", "vocab_size", "1000000000"},
    {"{\"layer_norm_epsilon\": 0}", "layer_norm_epsilon", "0"},
    {"{\"layer_norm_epsilon\": -1e-5}", "layer_norm_epsilon", "-1e-05"},
    {"{\"layer_norm_epsilon\": 1e999}", "layer_norm_epsilon", "above 0"},
    {"{\"layer_norm_epsilon\": 1e-300}", "layer_norm_epsilon", "1e-300"},
    {"{\"layer_norm_epsilon\": true}", "layer_norm_epsilon", "true"},
    {"{\"activation_function\": \"gelu_10\"}", "activation_function", "\"gelu_10\""},
    {"{\"activation_function\": 3}", "activation_function", "3"},
    {"{\"scale_attn_weights\": 1}", "scale_attn_weights", "1"},
    {"{\"tie_word_embeddings\": \"yes\"}", "tie_word_embeddings", "\"yes\""},
    {"{\"eos_token_id\": 1.5}", "eos_token_id", "1.5"},
    {"{\"eos_token_id\": [1, [2]]}", "eos_token_id", "[2]"},
    {"{\"eos_token_id\": [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}", "eos_token_id", "16"},
    {"{\"bos_token_id\": \"a\"}", "bos_token_id", "\"a\""},
    {"{\"add_cross_attention\": true}", "add_cross_attention", "true"},
    {"{\"is_encoder_decoder\": true}", "is_encoder_decoder", "true"},
    {"{\"is_causal\": false}", "is_causal", "false"},
    {"{\"pruned_heads\": {\"0\": [1]}}", "pruned_heads", "{\"0\":[1]}"},
    {"{\"quantization_config\": {\"bits\": 4}}", "quantization_config", "{\"bits\":4}"},
    {"{\"model_type\": \"llama\"}", "model_type", "\"llama\""},
    {"{\"model_type\": 2}", "model_type", "2"},
    {"{\"architectures\": [\"LlamaForCausalLM\"]}", "architectures", "\"LlamaForCausalLM\""},
    {"[]", "config.json", "object"},
    {"{\"architectures\": [\"GPTNeoXForCausalLM\"]}", "architectures", "\"GPTNeoXForCausalLM\""},
    {"{\"model_type\": \"gpt_neox\"}", "\"gpt_neox\"", "gpt2, openai-gpt, gpt_neo, opt"},
    {GPT1 "\"afn\": \"gelu_new\"}", "afn is \"gelu_new\"", "gelu, relu, silu, swish"},
    {GPT1 "\"n_head\": 7}", "n_head 7", "n_embd 768"},
    {GPT1 "\"n_positions\": 0.5}", "n_positions", "0.5"},
    {GPT1 "\"pruned_heads\": {\"0\": [1]}}", "pruned_heads", "{\"0\":[1]}"},
    {NEO "\"num_layers\": 2}", "24 layers", "num_layers is 2"},
    {NEO "\"num_heads\": 7}", "num_heads 7", "hidden_size 2048"},
    {NEO "\"window_size\": 0}", "window_size", "0"},
    {NEO "\"intermediate_size\": -4}", "intermediate_size", "-4"},
    {NEO "\"attention_types\": [[[\"global\"], 23]]}", "attention_types", "23 layers"},
    {NEO "\"attention_types\": [[[\"global\"], 4000], [[\"local\"], 4000]]}", "attention_types", "4000 layers"},
    {NEO "\"attention_types\": [[[\"banded\"], 24]]}", "attention_types", "\"banded\""},
    {NEO "\"attention_types\": [[[\"global\"], -1]]}", "attention_types", "[[[\"global\"],-1]]"},
    {NEO "\"attention_types\": [[\"global\", 24]]}", "attention_types", "[[\"global\",24]]"},
    {NEO "\"attention_types\": [[[\"global\"], 24, 1]]}", "attention_types", "24,1"},
    {NEO "\"attention_types\": \"global\"}", "attention_types", "\"global\""},
    {NEO "\"attention_types\": []}", "attention_types", "0 layers"},
    {NEO "\"attention_layers\": [\"global\", \"local\"]}", "attention_layers", "2 layers"},
    {NEO "\"attention_layers\": [1]}", "attention_layers", "1"},
    {NEO "\"attention_layers\": {}}", "attention_layers", "{}"},
    {OPT "\"ffn_dim\": null}", "ffn_dim", "null"},
    {OPT "\"word_embed_proj_dim\": 0}", "word_embed_proj_dim", "0"},
    {OPT "\"do_layer_norm_before\": 1}", "do_layer_norm_before", "1"},
    {OPT "\"_remove_final_layer_norm\": \"no\"}", "_remove_final_layer_norm", "\"no\""},
    {OPT "\"enable_bias\": null}", "enable_bias", "null"},
    {OPT "\"num_attention_heads\": 7}", "num_attention_heads 7", "hidden_size 768"},
    {OPT "\"activation_function\": \"gelu_10\"}", "activation_function", "\"gelu_10\""},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        struct Config config;
        vkgpt_error err;
        int code = read_text(REFUSED[i].text, &config, &err);
        if (!code) fail_msg("accepted: %s", REFUSED[i].text);
        expect_sentence(code, VKGPT_BAD_MODEL, &err, "config.json", REFUSED[i].key, REFUSED[i].value, NULL);
    }
}

// Keys that would change something, with values that do not.
static void test_harmless(void **state)
{
    (void)state;
    good("{\"add_cross_attention\": false, \"is_encoder_decoder\": false, \"pruned_heads\": {},"
         " \"quantization_config\": null, \"is_causal\": true, \"reorder_and_upcast_attn\": true,"
         " \"architectures\": [\"GPT2DoubleHeadsModel\"], \"tokenizer_class\": \"X\", \"torch_dtype\": \"float64\"}");
}

// As Python and transformers read the file: the last value of a key counts, and a NaN is an error only if it is used.
static void test_python_json(void **state)
{
    (void)state;
    struct Config c =
        good("{\"n_layer\": 0, \"n_head\": 4, \"n_layer\": 3, \"attn_pdrop\": NaN, \"embd_pdrop\": -Infinity,"
             " \"n_layer\": 5, \"task_specific_params\": {\"a\": Infinity, \"a\": 1}}");
    assert_int_equal(c.layers, 5);
    assert_int_equal(c.heads, 4);
    c = with_generation("{\"eos_token_id\": 9, \"temperature\": NaN, \"eos_token_id\": 7}");
    assert_int_equal(c.eos_count, 1);
    assert_int_equal(c.eos[0], 7);
}

static void test_files(void **state)
{
    (void)state;
    struct Config config;
    vkgpt_error err;
    char other[2 * DIR_BYTES];
    expect_sentence(config_read(test_dir, &config, &err), VKGPT_BAD_FILE, &err, test_dir, "config.json", NULL);
    snprintf(other, sizeof other, "%s/nowhere", test_dir);
    expect_sentence(config_read(other, &config, &err), VKGPT_BAD_FILE, &err, other, NULL);
    file_write(test_dir, "config.json", "", 0);
    expect_sentence(config_read(test_dir, &config, &err), VKGPT_BAD_FILE, &err, "config.json", NULL);
    snprintf(other, sizeof other, "%s/config.json", test_dir);
    expect_sentence(config_read(other, &config, &err), VKGPT_BAD_FILE, &err, other, "is a file", NULL);
    expect_sentence(read_text("{\"n_layer\": 1", &config, &err), VKGPT_BAD_FILE, &err, "config.json", "JSON", NULL);
    expect_sentence(read_text("{\"n_layer\": 1, \"n_layer\": 0}", &config, &err), VKGPT_BAD_MODEL, &err, "config.json",
                    "n_layer is 0", NULL);
}

static void mutate(const char *text, int times)
{
    uint64_t seed = 1;
    for (int i = 0; i < times; i++) {
        struct Bytes bytes = {0};
        struct Config config;
        vkgpt_error err;
        bytes_text(&bytes, text);
        bytes_mutate(&bytes, &seed);
        file_write(test_dir, "config.json", bytes.data, bytes.count);
        int code = config_read(test_dir, &config, &err);
        if (code) assert_true(code == VKGPT_BAD_FILE || code == VKGPT_BAD_MODEL);
        else assert_true(config.head_dim * config.heads == config.dim && config.inner > 0 && config.layers > 0);
        bytes_free(&bytes);
    }
}

static void test_mutations(void **state)
{
    (void)state;
    mutate("{\"model_type\": \"gpt2\", \"n_layer\": 12, \"n_head\": 12, \"n_embd\": 768, \"n_inner\": null,"
           " \"activation_function\": \"gelu_new\", \"layer_norm_epsilon\": 1e-05, \"eos_token_id\": [50256, 3],"
           " \"pruned_heads\": {}, \"tie_word_embeddings\": true, \"architectures\": [\"GPT2LMHeadModel\"]}",
           3000);
    mutate("{\"model_type\": \"gpt_neo\", \"num_layers\": 5, \"window_size\": 256, \"attention_types\":"
           " [[[\"global\", \"local\"], 2], [[\"local\"], 1]]}",
           1000);
    mutate("{\"model_type\": \"gpt_neo\", \"num_layers\": 3, \"attention_layers\": [\"local\", \"global\", \"local\"]}",
           500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults),          TEST(test_sizes),          TEST(test_activations),
        TEST(test_attention_scale),   TEST(test_tokens),         TEST(test_family_defaults),
        TEST(test_classes),           TEST(test_gpt1_functions), TEST(test_attention_kinds),
        TEST(test_generation_config), TEST(test_refused),        TEST(test_harmless),
        TEST(test_python_json),       TEST(test_files),          TEST(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
