// The tensors of GPT-1, GPT-Neo and OPT: each is found by its name, with either prefix, and an error names each that is
// absent, of the wrong shape or of the wrong type.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_files.h"

// One layer, width 8, inner width 12, 5 positions, 11 tokens, and rows of 6 if the tokens are projected: all sizes
// differ, so that a mixed-up size is found.
static const struct Family {
    const char *config, *prefixes[2];
    const char *tensors[32]; // "name shape"
    // clang-format off
} families[] = {
    {"{\"model_type\": \"openai-gpt\", \"n_layer\": 1, \"n_head\": 2, \"n_embd\": 8, \"n_positions\": 5,"
     " \"vocab_size\": 11}",
     {"transformer.", ""},
     {"tokens_embed.weight 11,8", "positions_embed.weight 5,8", "h.0.ln_1.weight 8", "h.0.ln_1.bias 8",
      "h.0.attn.c_attn.weight 8,24", "h.0.attn.c_attn.bias 24", "h.0.attn.c_proj.weight 8,8", "h.0.attn.c_proj.bias 8",
      "h.0.ln_2.weight 8", "h.0.ln_2.bias 8", "h.0.mlp.c_fc.weight 8,32", "h.0.mlp.c_fc.bias 32",
      "h.0.mlp.c_proj.weight 32,8", "h.0.mlp.c_proj.bias 8"}},
    {"{\"model_type\": \"gpt_neo\", \"num_layers\": 1, \"num_heads\": 2, \"hidden_size\": 8, \"intermediate_size\": 12,"
     " \"max_position_embeddings\": 5, \"vocab_size\": 11, \"attention_layers\": [\"local\"]}",
     {"transformer.", ""},
     {"wte.weight 11,8", "wpe.weight 5,8", "ln_f.weight 8", "ln_f.bias 8", "h.0.ln_1.weight 8", "h.0.ln_1.bias 8",
      "h.0.attn.attention.q_proj.weight 8,8", "h.0.attn.attention.k_proj.weight 8,8",
      "h.0.attn.attention.v_proj.weight 8,8", "h.0.attn.attention.out_proj.weight 8,8",
      "h.0.attn.attention.out_proj.bias 8", "h.0.ln_2.weight 8", "h.0.ln_2.bias 8", "h.0.mlp.c_fc.weight 12,8",
      "h.0.mlp.c_fc.bias 12", "h.0.mlp.c_proj.weight 8,12", "h.0.mlp.c_proj.bias 8"}},
#define OPT "{\"model_type\": \"opt\", \"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"hidden_size\": 8,"    \
            " \"ffn_dim\": 12, \"max_position_embeddings\": 5, \"vocab_size\": 11"
#define OPT_MATRICES "layers.0.self_attn.q_proj.weight 8,8", "layers.0.self_attn.k_proj.weight 8,8",                   \
    "layers.0.self_attn.v_proj.weight 8,8", "layers.0.self_attn.out_proj.weight 8,8", "layers.0.fc1.weight 12,8",      \
    "layers.0.fc2.weight 8,12"
#define OPT_BIASES "layers.0.self_attn.q_proj.bias 8", "layers.0.self_attn.k_proj.bias 8",                             \
    "layers.0.self_attn.v_proj.bias 8", "layers.0.self_attn.out_proj.bias 8", "layers.0.fc1.bias 12",                  \
    "layers.0.fc2.bias 8"
#define OPT_NORMS "layers.0.self_attn_layer_norm.weight 8", "layers.0.self_attn_layer_norm.bias 8",                    \
    "layers.0.final_layer_norm.weight 8", "layers.0.final_layer_norm.bias 8"
    {OPT "}", {"model.decoder.", "decoder."},
     {"embed_tokens.weight 11,8", "embed_positions.weight 7,8", "final_layer_norm.weight 8", "final_layer_norm.bias 8",
      OPT_MATRICES, OPT_BIASES, OPT_NORMS}},
    {OPT ", \"word_embed_proj_dim\": 6, \"do_layer_norm_before\": false}", {"model.decoder.", "decoder."},
     {"embed_tokens.weight 11,6", "embed_positions.weight 7,8", "project_in.weight 8,6", "project_out.weight 6,8",
      OPT_MATRICES, OPT_BIASES, OPT_NORMS}},
    {OPT ", \"enable_bias\": false, \"layer_norm_elementwise_affine\": false}", {"model.decoder.", "decoder."},
     {"embed_tokens.weight 11,8", "embed_positions.weight 7,8", OPT_MATRICES}},
    {OPT ", \"enable_bias\": false, \"_remove_final_layer_norm\": true}", {"model.decoder.", "decoder."},
     {"embed_tokens.weight 11,8", "embed_positions.weight 7,8", OPT_MATRICES, OPT_NORMS}},
};
// clang-format on

#define FAMILIES (sizeof families / sizeof *families)

static size_t product(const char *shape)
{
    size_t count = 1;
    for (const char *at = shape; *at; at += *at == ',') count *= strtoul(at, (char **)(uintptr_t)&at, 10);
    return count;
}

// A safetensors file of zeros. Tensor `odd` gets this shape and type, or is left out (NULL); an index after the last
// changes none.
static void write_file(const struct Family *f, const char *prefix, size_t odd, const char *odd_shape,
                       const char *odd_type)
{
    struct Bytes header = {0}, file = {0};
    size_t at = 0;
    bytes_text(&header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; f->tensors[i]; i++) {
        char entry[256];
        const char *shape = strchr(f->tensors[i], ' ') + 1;
        int name = (int)(shape - 1 - f->tensors[i]);
        if (i == odd && !odd_shape) continue;
        if (i == odd) shape = odd_shape;
        size_t end = at + 4 * product(shape);
        snprintf(entry, sizeof entry, ",\"%s%.*s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                 prefix, name, f->tensors[i], i == odd ? odd_type : "F32", shape, at, end);
        bytes_text(&header, entry);
        at = end;
    }
    bytes_text(&header, "}");
    bytes_number(&file, header.count, 8);
    bytes_add(&file, header.data, header.count);
    for (size_t i = 0; i < at; i += 4) bytes_number(&file, 0, 4);
    file_write(test_dir, "model.safetensors", file.data, file.count);
    file_write(test_dir, "config.json", f->config, strlen(f->config));
    bytes_free(&header);
    bytes_free(&file);
}

// The number of weights of the model and of its only layer that use this tensor, and the last of them.
static int uses_of(const struct Checkpoint *c, const char *name, const struct Weight **last)
{
    const struct Weight *model[] = {&c->wte, &c->wpe, &c->project_in, &c->project_out, &c->ln_f_gain, &c->ln_f_bias};
    const struct Weight *layer = (const struct Weight *)c->layers;
    int uses = 0;
    *last = NULL;
    for (size_t i = 0; i < sizeof model / sizeof *model + sizeof *c->layers / sizeof *layer; i++) {
        const struct Weight *w = i < 6 ? model[i] : layer + (i - 6);
        if (!w->tensor || strcmp(w->tensor->name, name) != 0) continue;
        *last = w;
        uses++;
    }
    return uses;
}

static int weights_there(const struct Checkpoint *c)
{
    const struct Weight *layer = (const struct Weight *)c->layers;
    int count = !!c->wte.tensor + !!c->wpe.tensor + !!c->project_in.tensor + !!c->project_out.tensor +
                !!c->ln_f_gain.tensor + !!c->ln_f_bias.tensor;
    for (size_t i = 0; i < sizeof *c->layers / sizeof *layer; i++) count += !!layer[i].tensor;
    return count;
}

static void test_every_tensor_is_found(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2 * FAMILIES; n++) {
        const struct Family *f = &families[n / 2];
        struct Checkpoint c;
        vkgpt_error err;
        int count = 0;
        write_file(f, f->prefixes[n % 2], SIZE_MAX, NULL, NULL);
        if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
        for (; f->tensors[count]; count++) {
            char name[128];
            const struct Weight *weight;
            snprintf(name, sizeof name, "%s%.*s", f->prefixes[n % 2], (int)strcspn(f->tensors[count], " "),
                     f->tensors[count]);
            if (uses_of(&c, name, &weight) != 1) fail_msg("%s is used %d times", name, uses_of(&c, name, &weight));
            assert_non_null(weight);
            bool conv1d = n < 2 && (strstr(name, "attn.c_") || strstr(name, "mlp.")) && strstr(name, "weight");
            assert_int_equal(weight->in_out, conv1d);
        }
        assert_int_equal(weights_there(&c), count);
        assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
        checkpoint_close(&c);
    }
}

// By name, because tensors of the same shape could be swapped.
static void test_tensors_are_what_their_names_say(void **state)
{
    (void)state;
    struct Checkpoint c;
    vkgpt_error err;
    write_file(&families[1], "", SIZE_MAX, NULL, NULL);
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    assert_string_equal(c.layers->q.tensor->name, "h.0.attn.attention.q_proj.weight");
    assert_string_equal(c.layers->k.tensor->name, "h.0.attn.attention.k_proj.weight");
    assert_string_equal(c.layers->v.tensor->name, "h.0.attn.attention.v_proj.weight");
    assert_string_equal(c.layers->c_proj.tensor->name, "h.0.attn.attention.out_proj.weight");
    assert_true(!c.layers->c_attn.tensor && !c.layers->q_bias.tensor);
    checkpoint_close(&c);
    write_file(&families[2], "decoder.", SIZE_MAX, NULL, NULL);
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    assert_string_equal(c.layers->ln_1_gain.tensor->name, "decoder.layers.0.self_attn_layer_norm.weight");
    assert_string_equal(c.layers->ln_2_gain.tensor->name, "decoder.layers.0.final_layer_norm.weight");
    assert_string_equal(c.ln_f_gain.tensor->name, "decoder.final_layer_norm.weight");
    assert_string_equal(c.layers->k_bias.tensor->name, "decoder.layers.0.self_attn.k_proj.bias");
    assert_string_equal(c.layers->v_bias.tensor->name, "decoder.layers.0.self_attn.v_proj.bias");
    checkpoint_close(&c);
}

// Weights that the model does not have according to the config are not read, even if the file has them.
static void test_unwanted_tensors_are_left_alone(void **state)
{
    (void)state;
    struct Checkpoint c;
    vkgpt_error err;
    struct Family f = families[2]; // all of OPT's
    f.config = families[4].config;
    write_file(&f, "model.decoder.", SIZE_MAX, NULL, NULL);
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    assert_int_equal(weights_there(&c), 8);
    assert_true(!c.layers->ln_1_gain.tensor && !c.layers->q_bias.tensor && !c.ln_f_gain.tensor);
    checkpoint_close(&c);
}

static void expect_bad_tensor(const struct Family *f, size_t odd, const char *shape, const char *type, const char *word,
                              const char *other)
{
    struct Checkpoint c;
    vkgpt_error err;
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(f->tensors[odd], " "), f->tensors[odd]);
    write_file(f, f->prefixes[0], odd, shape, type);
    int code = checkpoint_open(test_dir, &c, &err);
    if (!code) fail_msg("accepted: %s", name);
    expect_sentence(code, VKGPT_BAD_MODEL, &err, "model.safetensors", name, word, other, NULL);
}

// "11,8" -> "(11, 8)"
static void spelled(const char *shape, char text[64])
{
    const char *comma = strchr(shape, ',');
    if (comma) snprintf(text, 64, "(%.*s, %s)", (int)(comma - shape), shape, comma + 1);
    else snprintf(text, 64, "(%s)", shape);
}

static void test_every_damage_is_named(void **state)
{
    (void)state;
    for (size_t n = 0; n < FAMILIES; n++) {
        const struct Family *f = &families[n];
        for (size_t i = 0; f->tensors[i]; i++) {
            char is[64], wanted[64], longer[32];
            const char *shape = strchr(f->tensors[i], ' ') + 1;
            snprintf(longer, sizeof longer, "1%s", shape);
            spelled(longer, is);
            spelled(shape, wanted);
            expect_bad_tensor(f, i, NULL, NULL, "absent", f->prefixes[0]);
            expect_bad_tensor(f, i, longer, "F32", is, wanted);
            expect_bad_tensor(f, i, strchr(shape, ',') ? "7" : "7,7", "F32", wanted, "the config says");
            expect_bad_tensor(f, i, shape, "I32", "I32", "which is not read");
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_tensor_is_found),
        TEST(test_tensors_are_what_their_names_say),
        TEST(test_unwanted_tensors_are_left_alone),
        TEST(test_every_damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
