// Writing GGUF files and Hugging Face directories: the written files are opened again and compared, weight by weight
// and token by token.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/config_write.h"
#include "model/gguf_write.h"
#include "model/safetensors_write.h"
#include "model/table.h"
#include "model_files.h"
#include "text/gguf_vocab_write.h"
#include "text/reader.h"
#include "text/tokenizer_write.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static char path[2 * DIR_BYTES], said[4096];

static int setup(void **state)
{
    test_dir_setup(state);
    snprintf(path, sizeof path, "%s/out.gguf", test_dir);
    said[0] = '\0';
    return 0;
}

static void on_note(const char *sentence)
{
    strncat(said, sentence, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

static void open_good(const char *model, struct Checkpoint *c)
{
    vkgpt_error err;
    if (checkpoint_open(model, c, &err)) fail_msg("%s", err.text);
}

static void write_good(const struct Checkpoint *c, vkgpt_format type, const struct Vocab *vocab)
{
    struct GgufKeys keys = {0};
    vkgpt_error err;
    gguf_put_model(&keys, c, type);
    if (vocab && gguf_put_vocab(&keys, "model", vocab, &c->config, &err)) fail_msg("%s", err.text);
    const struct GgufOutput output = {.path = path, .type = type, .note = on_note};
    if (gguf_write(&output, c, &keys, &err)) fail_msg("%s", err.text);
    gguf_keys_free(&keys);
}

// Writes a directory with the weights and the config of a GGUF file.
static void write_directory(const struct Checkpoint *c, bool half)
{
    vkgpt_error err;
    if (config_write(test_dir, &c->config, half, &err) || safetensors_write(test_dir, c, half, &err))
        fail_msg("%s", err.text);
}

// The largest difference of two weights (rows, in).
static float difference(const struct Weight *a, const struct Weight *b, int64_t rows, int64_t in)
{
    float *x = malloc((size_t)(rows * in) * sizeof *x), *y = malloc((size_t)(rows * in) * sizeof *y), most = 0;
    weight_rows(a, 0, rows, in, x);
    weight_rows(b, 0, rows, in, y);
    for (int64_t i = 0; i < rows * in; i++) most = fmaxf(most, fabsf(x[i] - y[i]));
    free(x);
    free(y);
    return most;
}

// Matrices may differ by `bound`; the rest has to be equal.
static void compare(const struct Checkpoint *a, const struct Checkpoint *b, float bound)
{
    const struct Config *c = &a->config;
    int64_t dim = c->dim, inner = c->inner;
    assert_true(c->layers == b->config.layers && c->heads == b->config.heads && c->dim == b->config.dim);
    assert_true(c->inner == b->config.inner && c->context == b->config.context && c->vocab == b->config.vocab);
    assert_true(c->eps == b->config.eps && c->bos == b->config.bos && c->eos_count == b->config.eos_count);
    assert_true(c->tied_head == b->config.tied_head && c->activation == b->config.activation);
    assert_true(difference(&a->wte, &b->wte, c->vocab, dim) <= bound);
    assert_true(difference(&a->head, &b->head, c->vocab, dim) <= bound);
    assert_true(difference(&a->wpe, &b->wpe, c->context, dim) == 0);
    assert_true(difference(&a->ln_f_gain, &b->ln_f_gain, 1, dim) == 0);
    assert_true(difference(&a->ln_f_bias, &b->ln_f_bias, 1, dim) == 0);
    for (uint32_t l = 0; l < c->layers; l++) {
        const struct LayerWeights *x = &a->layers[l], *y = &b->layers[l];
        assert_true(difference(&x->ln_1_gain, &y->ln_1_gain, 1, dim) == 0);
        assert_true(difference(&x->ln_1_bias, &y->ln_1_bias, 1, dim) == 0);
        assert_true(difference(&x->c_attn, &y->c_attn, 3 * dim, dim) <= bound);
        assert_true(difference(&x->c_attn_bias, &y->c_attn_bias, 1, 3 * dim) == 0);
        assert_true(difference(&x->c_proj, &y->c_proj, dim, dim) <= bound);
        assert_true(difference(&x->c_proj_bias, &y->c_proj_bias, 1, dim) == 0);
        assert_true(difference(&x->ln_2_gain, &y->ln_2_gain, 1, dim) == 0);
        assert_true(difference(&x->ln_2_bias, &y->ln_2_bias, 1, dim) == 0);
        assert_true(difference(&x->c_fc, &y->c_fc, inner, dim) <= bound);
        assert_true(difference(&x->c_fc_bias, &y->c_fc_bias, 1, inner) == 0);
        assert_true(difference(&x->c_out, &y->c_out, dim, inner) <= bound);
        assert_true(difference(&x->c_out_bias, &y->c_out_bias, 1, dim) == 0);
    }
}

static void compare_tokenizers(const char *one, const char *other)
{
    static const char text[] =
        "Once upon a time, there's  a caf\xc3\xa9 at 12:30;\n\n\t<|endoftext|>\xe6\x97\xa5\xff the end ";
    vkgpt_tokenizer *a, *b;
    vkgpt_error err;
    if (vkgpt_tokenizer_open(one, 0, &a, &err) || vkgpt_tokenizer_open(other, 0, &b, &err)) fail_msg("%s", err.text);
    for (int special = 0; special < 2; special++) {
        uint32_t *x, *y;
        size_t n, m;
        assert_int_equal(vkgpt_encode(a, text, sizeof text - 1, special, &x, &n, &err), 0);
        assert_int_equal(vkgpt_encode(b, text, sizeof text - 1, special, &y, &m, &err), 0);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n * sizeof *x);
        free(x);
        free(y);
    }
    for (uint32_t id = 0; id < 5000; id++) {
        size_t n, m;
        const char *x = vkgpt_token_bytes(a, id, &n), *y = vkgpt_token_bytes(b, id, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
    }
    vkgpt_tokenizer_close(a);
    vkgpt_tokenizer_close(b);
}

// To GGUF, and from there to a directory: the weights keep their bits and the tokenizer its ids.
static void test_there_and_back(void **state)
{
    (void)state;
    struct Checkpoint a, b, c;
    struct Vocab vocab;
    vkgpt_error err;
    open_good(TALES, &a);
    if (reader_open(TALES, a.config.vocab, &vocab, &err)) fail_msg("%s", err.text);
    for (vkgpt_format type = VKGPT_F32; type <= VKGPT_F16; type++) {
        write_good(&a, type, &vocab);
        open_good(path, &b);
        compare(&a, &b, 0);
        assert_int_equal(b.layers[0].c_fc.tensor->dtype, type == VKGPT_F32 ? DTYPE_F32 : DTYPE_F16);
        assert_int_equal(b.wpe.tensor->dtype, DTYPE_F32);
        compare_tokenizers(TALES, path);

        struct Vocab again;
        if (reader_open(path, 0, &again, &err) || tokenizer_json_write(test_dir, &again, &err) ||
            tokenizer_config_write(test_dir, &again, &b.config, &err))
            fail_msg("%s", err.text);
        write_directory(&b, type == VKGPT_F16);
        open_good(test_dir, &c);
        assert_false(c.gguf);
        compare(&a, &c, 0);
        compare_tokenizers(TALES, test_dir);
        vocab_free(&again);
        checkpoint_close(&b);
        checkpoint_close(&c);
    }
    vocab_free(&vocab);
    checkpoint_close(&a);
    assert_string_equal(said, "");
}

static void test_small_types(void **state)
{
    (void)state;
    static const struct {
        vkgpt_format type;
        const char *table, *matrix;
        float bound; // of weights that reach about 1.6
    } cases[] = {
        {VKGPT_Q8_0, "Q8_0", "Q8_0", 0.01f},
        {VKGPT_Q4_0, "Q8_0", "Q4_0", 0.3f},
        {VKGPT_Q4_K, "Q8_0", "Q4_K", 0.3f},
    };
    struct Checkpoint a, b, c;
    struct Vocab vocab;
    vkgpt_error err;
    open_good(TALES, &a);
    if (reader_open(TALES, 0, &vocab, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < 3; i++) {
        write_good(&a, cases[i].type, &vocab);
        open_good(path, &b);
        assert_string_equal(b.wte.tensor->dtype_name, cases[i].table);
        assert_string_equal(b.layers[1].c_out.tensor->dtype_name, cases[i].matrix);
        assert_string_equal(b.layers[1].c_out_bias.tensor->dtype_name, "F32");
        compare(&a, &b, cases[i].bound * weight_max_abs(&a.layers[0].c_attn));
        assert_true(difference(&a.layers[0].c_fc, &b.layers[0].c_fc, a.config.inner, a.config.dim) > 0);
        write_directory(&b, false); // blocks, unpacked and transposed
        open_good(test_dir, &c);
        compare(&b, &c, 0);
        checkpoint_close(&b);
        checkpoint_close(&c);
    }
    vocab_free(&vocab);
    checkpoint_close(&a);
}

static void write_tiny(void)
{
    size_t bytes;
    char *header = tiny_header(&bytes);
    struct Bytes file = tiny_safetensors(header, bytes);
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    file_write(test_dir, "model.safetensors", file.data, file.count);
    bytes_free(&file);
    free(header);
}

// Rows of 8 and 12 are not a multiple of any block size.
static void test_falls_back(void **state)
{
    (void)state;
    struct Checkpoint a, b;
    write_tiny();
    open_good(test_dir, &a);
    write_good(&a, VKGPT_Q4_K, NULL);
    open_good(path, &b);
    compare(&a, &b, 0);
    assert_int_equal(b.layers[1].c_out.tensor->dtype, DTYPE_F16);
    assert_non_null(strstr(said, "blk.1.ffn_down.weight is f16 in place of q4_k"));
    assert_non_null(strstr(said, "token_embd.weight is f16 in place of q8_0"));
    checkpoint_close(&a);
    checkpoint_close(&b);
}

static void test_range(void **state)
{
    (void)state;
    struct Checkpoint a, b;
    struct GgufKeys keys = {0};
    vkgpt_error err;
    write_tiny();
    open_good(test_dir, &a);
    float *wide = malloc(88 * sizeof *wide); // a token table of (11, 8)
    for (int i = 0; i < 88; i++) wide[i] = 1e5f * (float)i;
    struct Tensor tensor = *a.wte.tensor;
    tensor.dtype = DTYPE_F32;
    tensor.data = (const uint8_t *)wide;
    a.wte = a.head = (struct Weight){&tensor, false};
    write_good(&a, VKGPT_F16, NULL);
    assert_non_null(strstr(said, "token_embd.weight is f32 in place of f16"));
    open_good(path, &b);
    compare(&a, &b, 0);
    checkpoint_close(&b);
    expect_sentence(safetensors_write(test_dir, &a, true, &err), VKGPT_BAD_MODEL, &err, "wte", "65504", NULL);
    if (safetensors_write(test_dir, &a, false, &err)) fail_msg("%s", err.text); // the values in use, not the file's
    open_good(test_dir, &b);
    compare(&a, &b, 0);
    checkpoint_close(&b);
    gguf_put_model(&keys, &a, VKGPT_F16);
    const struct GgufOutput nowhere = {.path = "/nowhere/x.gguf", .type = VKGPT_F16};
    expect_sentence(gguf_write(&nowhere, &a, &keys, &err), VKGPT_BAD_FILE, &err, "/nowhere/x.gguf", NULL);
    gguf_keys_free(&keys);
    checkpoint_close(&a);
    free(wide);
}

// A tensor that is not a weight, stored column by column, as a PyTorch file may have it.
static void test_strided(void **state)
{
    (void)state;
    static const int32_t columns[] = {1, 2, 3, 4, 5, 6}, rows[] = {1, 4, 2, 5, 3, 6};
    struct Checkpoint c;
    vkgpt_error err;
    char more[128];
    size_t bytes;
    char *header = tiny_header(&bytes);
    snprintf(more, sizeof more, "{\"extra\": {\"dtype\": \"I32\", \"shape\": [3, 2], \"data_offsets\": [%zu, %zu]}, ",
             bytes, bytes + sizeof columns);
    char *longer = text_replace(header, "{", more);
    struct Bytes file = tiny_safetensors(longer, bytes + sizeof columns);
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    file_write(test_dir, "model.safetensors", file.data, file.count);
    for (int turned = 0; turned < 2; turned++) {
        open_good(test_dir, &c);
        struct Tensor *extra = (struct Tensor *)table_find(&c.table, "extra");
        if (!turned) {
            extra->stride[0] = 1;
            extra->stride[1] = 3;
            extra->data = (const uint8_t *)columns;
            if (safetensors_write(test_dir, &c, false, &err)) fail_msg("%s", err.text);
        } else {
            assert_string_equal(extra->dtype_name, "I32");
            assert_true(extra->rank == 2 && extra->shape[0] == 3 && extra->shape[1] == 2);
            assert_memory_equal(extra->data, rows, sizeof rows);
        }
        checkpoint_close(&c);
    }
    bytes_free(&file);
    free(header);
    free(longer);
}

// A NaN cannot be packed: no new file is left, and an old one stays.
static void test_not_a_number(void **state)
{
    (void)state;
    struct Checkpoint a;
    struct GgufKeys keys = {0};
    vkgpt_error err;
    char name[64];
    open_good(TALES, &a);
    float *values = calloc(256 * 1024, sizeof *values);
    values[5000] = NAN;
    struct Tensor tensor = *a.layers[3].c_out.tensor;
    tensor.dtype = DTYPE_F32;
    tensor.data = (const uint8_t *)values;
    a.layers[3].c_out.tensor = &tensor;
    file_write(test_dir, "out.gguf", "before", 6);
    gguf_put_model(&keys, &a, VKGPT_Q4_0);
    const struct GgufOutput output = {.path = path, .type = VKGPT_Q4_0};
    expect_sentence(gguf_write(&output, &a, &keys, &err), VKGPT_BAD_MODEL, &err, "NaN", "q4_0", NULL);
    struct Bytes file = file_read(test_dir, "out.gguf");
    assert_int_equal(file.count, 6);
    assert_int_equal(os_find(test_dir, ".tmp", name, sizeof name), 0);
    bytes_free(&file);
    gguf_keys_free(&keys);
    checkpoint_close(&a);
    free(values);
}

static void test_cannot_say(void **state)
{
    (void)state;
    static const struct {
        const char *key, *word;
    } bad[] = {
        {"\"activation_function\": \"gelu\"", "activation_function gelu (erf)"},
        {"\"activation_function\": \"relu\"", "activation_function relu"},
        {"\"activation_function\": \"silu\"", "activation_function silu"},
        {"\"scale_attn_weights\": false", "scale_attn_weights false"},
        {"\"scale_attn_by_inverse_layer_idx\": true", "scale_attn_by_inverse_layer_idx true"},
        {"\"model_type\": \"opt\"", "architecture opt"},
        {"\"model_type\": \"gpt_neo\"", "architecture gpt_neo"},
        {"\"model_type\": \"openai-gpt\"", "architecture openai-gpt"},
    };
    struct Config config;
    vkgpt_error err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char json[128];
        snprintf(json, sizeof json, "{%s}", bad[i].key);
        file_write(test_dir, "config.json", json, strlen(json));
        if (i == 6)
            snprintf(json, sizeof json, "{%s, \"num_layers\": 2, \"attention_layers\": [\"global\", \"local\"]}",
                     bad[i].key);
        file_write(test_dir, "config.json", json, strlen(json));
        if (config_read(test_dir, &config, &err)) fail_msg("%s", err.text);
        expect_sentence(gguf_can_say(test_dir, &config, &err), VKGPT_BAD_MODEL, &err, test_dir, bad[i].word, NULL);
    }
    struct Vocab vocab = {.add_prefix_space = true};
    struct GgufKeys keys = {0};
    expect_sentence(gguf_put_vocab(&keys, test_dir, &vocab, &config, &err), VKGPT_BAD_MODEL, &err, "add_prefix_space",
                    NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back), TEST(test_small_types), TEST(test_falls_back), TEST(test_range),
        TEST(test_not_a_number),   TEST(test_cannot_say),  TEST(test_strided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
