// Reading GGUF files: what is read, from the file's path and from its directory's, and every kind of damage that is
// refused with its sentence.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gguf_file.h"
#include "model/gguf.h"
#include "model/table.h"

static char path[2 * DIR_BYTES];

static int setup(void **state)
{
    test_dir_setup(state);
    snprintf(path, sizeof path, "%s/tiny.gguf", test_dir);
    return 0;
}

static void write_tiny(uint32_t version, uint32_t alignment)
{
    struct Bytes file = gguf_tiny(version, alignment);
    file_write(test_dir, "tiny.gguf", file.data, file.count);
    bytes_free(&file);
}

// ------------------------------------------------------------------------------------------------ what is read

static void check_open(const char *model)
{
    struct Checkpoint c;
    vkgpt_error err;
    if (checkpoint_open(model, &c, &err)) fail_msg("%s", err.text);
    tiny_check(&c);
    assert_true(c.gguf && c.config.tied_head && c.head.tensor == c.wte.tensor);
    assert_true(c.config.layers == 2 && c.config.heads == 2 && c.config.dim == 8 && c.config.inner == 12);
    assert_true(c.config.context == 5 && c.config.vocab == 11 && c.config.eps == 1e-5f);
    assert_true(c.config.bos == 10 && c.config.eos_count == 1 && c.config.eos[0] == 10);
    assert_int_equal(c.config.activation, ACTIVATION_GELU_TANH);
    checkpoint_close(&c);
}

static void test_reads(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        for (uint32_t alignment = 1; alignment <= 256; alignment *= 2) {
            write_tiny(version, alignment);
            check_open(path);
            check_open(test_dir);
        }
    }
}

static void test_paths(void **state)
{
    (void)state;
    struct Checkpoint c;
    struct Config config;
    vkgpt_error err;
    write_tiny(3, 32);
    assert_int_equal(gguf_config_read(path, &config, &err), 0);
    assert_true(config.vocab == 11 && config.tied_head);
    file_write(test_dir, "other.gguf", "x", 1);
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_MODEL, &err, test_dir, "2 GGUF files", "other.gguf",
                    NULL);
    check_open(path);
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_MODEL, &err, "other.gguf", "give its path", NULL);
    expect_sentence(checkpoint_open("/nowhere/x.gguf", &c, &err), VKGPT_BAD_FILE, &err, "/nowhere/x.gguf", NULL);
}

static void encode(const vkgpt_tokenizer *tok, const char *text, bool special, const char *wanted)
{
    uint32_t *ids;
    size_t count, n = 0;
    char got[256] = "";
    vkgpt_error err;
    if (vkgpt_encode(tok, text, strlen(text), special, &ids, &count, &err)) fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) n += (size_t)snprintf(got + n, sizeof got - n, "%s%u", i ? " " : "", ids[i]);
    assert_string_equal(got, wanted);
    free(ids);
}

static vkgpt_tokenizer *open_tokenizer(const char *model)
{
    vkgpt_tokenizer *tok;
    vkgpt_error err;
    if (vkgpt_tokenizer_open(model, 0, &tok, &err)) fail_msg("%s", err.text);
    return tok;
}

static void test_tokenizer(void **state)
{
    (void)state;
    size_t bytes;
    write_tiny(3, 32);
    vkgpt_tokenizer *tok = open_tokenizer(path);
    encode(tok, "ab ab\nc", true, "4 5 6 2");
    encode(tok, "a<x y>d<|endoftext|>", true, "0 9 7 10");
    assert_memory_equal(vkgpt_token_bytes(tok, 5, &bytes), " ab", 3);
    assert_int_equal(bytes, 3);
    assert_memory_equal(vkgpt_token_bytes(tok, 9, &bytes), "<x y>", 5);
    vkgpt_token_bytes(tok, 8, &bytes);
    assert_int_equal(bytes, 0);
    vkgpt_tokenizer_close(tok);

    struct Bytes file = gguf_tiny(3, 32);
    gguf_patch(&file, "add_bos_token", 4, 1, 1);
    file_write(test_dir, "tiny.gguf", file.data, file.count);
    tok = open_tokenizer(test_dir);
    encode(tok, "ab", true, "10 4");
    vkgpt_tokenizer_close(tok);
    bytes_free(&file);
}

// A file with only one matrix in a block format: rows, parts of rows, and rows as halves.
static void blocks_check(enum BlockFormat format)
{
    const struct BlockInfo *info = &BLOCK_INFO[format];
    uint64_t seed = 3;
    int64_t in = 512, rows = 3;
    size_t count = (size_t)(rows * in) / info->weights * info->bytes;
    uint8_t *blocks = malloc(count);
    for (size_t i = 0; i < count; i++) blocks[i] = (uint8_t)random_next(&seed) & 0x3b; // finite as halves

    struct Bytes file = {0};
    bytes_text(&file, GGUF_MAGIC);
    bytes_number(&file, 3, 4);
    bytes_number(&file, 1, 8);
    bytes_number(&file, 0, 8);
    gguf_add_text(&file, "m");
    bytes_number(&file, 2, 4);
    bytes_number(&file, (uint64_t)in, 8);
    bytes_number(&file, (uint64_t)rows, 8);
    bytes_number(&file, info->gguf, 4);
    bytes_number(&file, 0, 8);
    while (file.count % 32) bytes_number(&file, 0, 1);
    bytes_add(&file, blocks, count);
    file_write(test_dir, "tiny.gguf", file.data, file.count);

    struct TensorTable table = {0};
    struct Gguf gguf;
    vkgpt_error err;
    if (gguf_read(path, &table, &gguf, &err)) fail_msg("%s", err.text);
    const struct Tensor *tensor = table_find(&table, "m");
    assert_true(tensor->dtype == DTYPE_BLOCKS && tensor->block == format && tensor->bytes == count);
    struct Weight weight = {tensor, false};
    float wanted[1536], got[1536];
    uint16_t halves[1536];
    block_unpack(format, blocks, 1536, wanted);
    weight_rows(&weight, 0, rows, in, got);
    weight_rows_half(&weight, 0, rows, in, halves);
    assert_memory_equal(got, wanted, sizeof wanted);
    for (int i = 0; i < 1536; i++) assert_int_equal(halves[i], float_to_half(wanted[i]));
    weight_rows(&weight, 1, 2, in, got);
    assert_memory_equal(got, wanted + 512, 1024 * sizeof *got);
    static const int parts[][2] = {{0, 512}, {1, 511}, {31, 2}, {7, 300}, {256, 256}, {255, 1}, {100, 0}, {33, 479}};
    float most = 0;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        for (int o = 0; o < 3; o++) {
            weight_row(&weight, o, parts[p][0], parts[p][1], got);
            assert_memory_equal(got, wanted + 512 * o + parts[p][0], (size_t)parts[p][1] * sizeof *got);
        }
    }
    for (int i = 0; i < 1536; i++) most = wanted[i] > most ? wanted[i] : -wanted[i] > most ? -wanted[i] : most;
    assert_true(weight_max_abs(&weight) == most);
    gguf_free(&gguf);
    table_free(&table);
    bytes_free(&file);
    free(blocks);
}

// F64 is read like the other types.
static void test_f64(void **state)
{
    (void)state;
    struct Bytes file = gguf_tiny(3, 32);
    while (file.count % 32) bytes_number(&file, 0, 1);
    size_t at = file.count;
    for (int r = 0; r < 5; r++) // position_embd.weight goes to the end
        for (int c = 0; c < 8; c++) {
            double value = tiny_value("position_embd.weight", r, c);
            bytes_add(&file, &value, sizeof value);
        }
    size_t data = gguf_behind(&file, "blk.1.ffn_down.bias") + 4 + 8 + 4 + 8; // the last tensor's description ends there
    gguf_patch(&file, "position_embd.weight", 20, 28, 4);
    gguf_patch(&file, "position_embd.weight", 24, at - (data + 31) / 32 * 32, 8);
    file_write(test_dir, "tiny.gguf", file.data, file.count);
    check_open(path);
    bytes_free(&file);
}

static void test_blocks(void **state)
{
    (void)state;
    for (int f = 0; f < BLOCK_FORMATS; f++) blocks_check((enum BlockFormat)f);
}

// The names that llama.cpp uses for GPT-2's own pattern.
static void test_pre_names(void **state)
{
    (void)state;
    static const char *const names[] = {"phi-2",           "mpt",        "olmo",        "jais",        "trillion",
                                        "granite-docling", "gigachat",   "roberta-bpe", "jina-es",     "jina-de",
                                        "jina-v1-en",      "jina-v2-es", "jina-v2-de",  "jina-v2-code"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct Bytes file = gguf_tiny_pre(3, 32, names[i]);
        vkgpt_tokenizer *tok;
        vkgpt_error err;
        file_write(test_dir, "tiny.gguf", file.data, file.count);
        if (vkgpt_tokenizer_open(path, 0, &tok, &err)) fail_msg("%s", err.text);
        vkgpt_tokenizer_close(tok);
        bytes_free(&file);
    }
}

// ------------------------------------------------------------------------------------------------- bad files

static void expect_bad(const struct Bytes *file, vkgpt_code code, const char *word, const char *other)
{
    struct Checkpoint c;
    vkgpt_error err;
    vkgpt_tokenizer *tok = NULL;
    file_write(test_dir, "tiny.gguf", file->data, file->count);
    int got = checkpoint_open(path, &c, &err);
    if (!got) { // valid as a model
        checkpoint_close(&c);
        got = vkgpt_tokenizer_open(path, 0, &tok, &err);
        vkgpt_tokenizer_close(tok);
    }
    expect_sentence(got, code, &err, "tiny.gguf", word, other, NULL);
}

// wpe is the second tensor: F16, 5 rows of 8 (file order: 8, 5), at byte 352 of the data. Distances count from the end
// of the text: its own length is at -(length + 8).
#define MOST_U64 UINT64_MAX
#define MOST_I64 ((uint64_t)INT64_MAX)
static const struct {
    const char *text;
    int distance;
    uint64_t value;
    int count;
    vkgpt_code code;
    const char *words[2];
    // clang-format off
} BAD_VALUES[] = {
    {"GGUF", -4, 0x46554747 ^ 1, 4, VKGPT_BAD_FILE, {"46 47 55 46", "GGUF"}},
    {"GGUF", 0, 1, 4, VKGPT_BAD_FILE, {"version 1", "2 and 3"}},
    {"GGUF", 0, 4, 4, VKGPT_BAD_FILE, {"version 4", "2 and 3"}},
    {"GGUF", 0, 0x03000000, 4, VKGPT_BAD_FILE, {"version 50331648", "big-endian"}},
    {"GGUF", 4, MOST_U64, 8, VKGPT_BAD_FILE, {"18446744073709551615 tensors", "bytes"}},
    {"GGUF", 4, 1000, 8, VKGPT_BAD_FILE, {"1000 tensors", "bytes"}},
    {"GGUF", 4, 29, 8, VKGPT_BAD_FILE, {"name of 0 bytes", NULL}}, // the padding read as one
    {"GGUF", 12, MOST_U64, 8, VKGPT_BAD_FILE, {"18446744073709551615 keys", "bytes"}},
    {"GGUF", 12, 1u << 20, 8, VKGPT_BAD_FILE, {"1048576 keys", "bytes"}},
    {"general.architecture", -28, MOST_U64, 8, VKGPT_BAD_FILE, {"the name of a key", "18446744073709551615"}},
    {"general.architecture", -28, 0, 8, VKGPT_BAD_FILE, {"key 0", "empty"}},
    {"general.architecture", 0, 13, 4, VKGPT_BAD_FILE, {"general.architecture", "type 13"}},
    {"general.architecture", 0, 4, 4, VKGPT_BAD_FILE, {"", NULL}},
    {"general.architecture", 4, MOST_U64, 8, VKGPT_BAD_FILE, {"general.architecture", "18446744073709551615"}},
    {"general.architecture", 4, 3, 8, VKGPT_BAD_FILE, {"", NULL}},
    {"general.architecture", 12, 'G', 1, VKGPT_BAD_MODEL, {"general.architecture", "\"Gpt2\""}},
    {"general.architecture", 12, 0x616d616c, 4, VKGPT_BAD_MODEL, {"\"lama\"", "gpt2"}},
    {"tokenizer.ggml.tokens", 4, GGUF_ARRAY, 4, VKGPT_BAD_FILE, {"tokenizer.ggml.tokens", "array of arrays"}},
    {"tokenizer.ggml.tokens", 4, 77, 4, VKGPT_BAD_FILE, {"tokenizer.ggml.tokens", "77"}},
    {"tokenizer.ggml.tokens", 8, MOST_U64, 8, VKGPT_BAD_FILE, {"tokenizer.ggml.tokens", "18446744073709551615"}},
    {"tokenizer.ggml.tokens", 8, MOST_I64 / 8 + 2, 8, VKGPT_BAD_FILE, {"tokenizer.ggml.tokens", "string"}},
    {"tokenizer.ggml.tokens", 16, MOST_U64, 8, VKGPT_BAD_FILE, {"tokenizer.ggml.tokens", "18446744073709551615"}},
    {"tokenizer.ggml.tokens", 24, 0xff, 1, VKGPT_BAD_FILE, {"token 0", "not UTF-8"}},
    {"tokenizer.ggml.tokens", 24, 0, 1, VKGPT_BAD_FILE, {"token 0", "NUL"}},
    {"tokenizer.ggml.tokens", 24, 'b', 1, VKGPT_BAD_MODEL, {"\"b\"", "twice"}},
    {"tokenizer.ggml.token_type", 8, MOST_U64 / 4, 8, VKGPT_BAD_FILE, {"token_type", "int32"}},
    {"tokenizer.ggml.token_type", 8, MOST_U64 / 4 + 2, 8, VKGPT_BAD_FILE, {"token_type", "int32"}},
    {"tokenizer.ggml.token_type", 16, 7, 4, VKGPT_BAD_MODEL, {"token 0", "type 7"}},
    {"tokenizer.ggml.token_type", 16, 6, 4, VKGPT_BAD_MODEL, {"type byte", "\"a\""}},
    {"tokenizer.ggml.merges", 24, 'b', 1, VKGPT_BAD_MODEL, {"\"b\" with \"b\"", NULL}},
    {"tokenizer.ggml.merges", 25, '_', 1, VKGPT_BAD_MODEL, {"merges[0]", "a_b"}},
    {"tokenizer.ggml.merges", 24, 'x', 1, VKGPT_BAD_MODEL, {"x", "tiny.gguf"}},
    {"tokenizer.ggml.model", 12, 'G', 1, VKGPT_BAD_MODEL, {"tokenizer.ggml.model", "\"Gpt2\""}},
    {"tokenizer.ggml.pre", 12, 'G', 1, VKGPT_BAD_MODEL, {"tokenizer.ggml.pre", "\"Gpt-2\""}},
    {"tokenizer.ggml.add_bos_token", 4, 2, 1, VKGPT_BAD_FILE, {"add_bos_token", "2"}},
    {"tokenizer.ggml.bos_token_id", 0, GGUF_F32, 4, VKGPT_BAD_MODEL, {"bos_token_id", "float32"}},
    {"gpt2.block_count", 0, GGUF_F32, 4, VKGPT_BAD_MODEL, {"gpt2.block_count", "float32"}},
    {"gpt2.block_count", 4, 0, 4, VKGPT_BAD_MODEL, {"gpt2.block_count", "0"}},
    {"gpt2.block_count", 4, UINT32_MAX, 4, VKGPT_BAD_MODEL, {"gpt2.block_count", "4294967295"}},
    {"gpt2.block_count", 4, 1, 4, VKGPT_BAD_MODEL, {"blk.1.", "gpt2.block_count is 1"}},
    {"gpt2.block_count", 4, 3, 4, VKGPT_BAD_MODEL, {"blk.2.attn_norm.weight", "gpt2.block_count is 3"}},
    {"gpt2.context_length", 4, 6, 4, VKGPT_BAD_MODEL, {"(5, 8)", "(6, 8)"}},
    {"gpt2.context_lengt", 0, 'k', 1, VKGPT_BAD_MODEL, {"gpt2.context_length", "absent"}},
    {"gpt2.embedding_length", 4, 10, 4, VKGPT_BAD_MODEL, {"(11, 8)", "(11, 10)"}},
    {"gpt2.feed_forward_length", 4, 13, 4, VKGPT_BAD_MODEL, {"(12, 8)", "(13, 8)"}},
    {"gpt2.attention.head_count", 4, 3, 4, VKGPT_BAD_MODEL, {"8", "3"}},
    {"gpt2.attention.layer_norm_epsilon", 4, 0, 4, VKGPT_BAD_MODEL, {"layer_norm_epsilon", "0"}},
    {"gpt2.attention.layer_norm_epsilon", 4, 0x7fc00000, 4, VKGPT_BAD_MODEL, {"layer_norm_epsilon", "nan"}},
    {"general.alignment", 4, 0, 4, VKGPT_BAD_FILE, {"general.alignment is 0", "power of two"}},
    {"general.alignment", 4, 48, 4, VKGPT_BAD_FILE, {"general.alignment is 48", "power of two"}},
    {"output_norm.weight", 16, 0, 8, VKGPT_BAD_FILE, {"overlaps tensor ", "token_embd.weight"}},
    {"general.alignment", 4, 0x80000000, 4, VKGPT_BAD_FILE, {"352 bytes", "0 bytes of data"}},
    {"general.alignment", 0, GGUF_STRING, 4, VKGPT_BAD_FILE, {"general.alignment", "bytes"}},
    {"position_embd.weight", -28, 4096, 8, VKGPT_BAD_FILE, {"4096 bytes", NULL}},
    {"position_embd.weight", -28, 0, 8, VKGPT_BAD_FILE, {"name of 0 bytes", NULL}},
    {"position_embd.weight", -1, 0, 1, VKGPT_BAD_FILE, {"NUL", "position_embd.weigh?"}},
    {"position_embd.weight", 0, 5, 4, VKGPT_BAD_FILE, {"position_embd.weight", "5 dimensions"}},
    {"position_embd.weight", 0, UINT32_MAX, 4, VKGPT_BAD_FILE, {"position_embd.weight", "4294967295 dimensions"}},
    {"position_embd.weight", 4, MOST_U64, 8, VKGPT_BAD_FILE, {"position_embd.weight", "18446744073709551615"}},
    {"position_embd.weight", 4, 0, 8, VKGPT_BAD_FILE, {"position_embd.weight", "dimension of 0"}},
    {"position_embd.weight", 4, MOST_I64, 8, VKGPT_BAD_FILE, {"(5, 9223372036854775807)", "overflows"}},
    {"position_embd.weight", 4, MOST_I64 / 16, 8, VKGPT_BAD_FILE, {"(5, 576460752303423487)", "overflows"}},
    {"position_embd.weight", 4, MOST_I64 / 64, 8, VKGPT_BAD_FILE, {"position_embd.weight", "1441151880758558710"}},
    {"position_embd.weight", 4, 7, 8, VKGPT_BAD_MODEL, {"(5, 7)", "(5, 8)"}},
    {"position_embd.weight", 12, 4, 8, VKGPT_BAD_MODEL, {"(4, 8)", "(5, 8)"}},
    {"position_embd.weight", 4, 9, 8, VKGPT_BAD_FILE,
     {"position_embd.weight of 90 bytes overlaps", "output_norm.weight"}},
    {"position_embd.weight", 20, 99, 4, VKGPT_BAD_FILE, {"position_embd.weight", "type 99"}},
    {"position_embd.weight", 20, 4, 4, VKGPT_BAD_FILE, {"position_embd.weight", "type 4"}},
    {"position_embd.weight", 20, 8, 4, VKGPT_BAD_FILE, {"rows of 8 weights", "Q8_0 has blocks of 32"}},
    {"position_embd.weight", 20, 14, 4, VKGPT_BAD_FILE, {"rows of 8 weights", "Q6_K has blocks of 256"}},
    {"position_embd.weight", 20, 25, 4, VKGPT_BAD_MODEL, {"position_embd.weight is of type I16, which is not read", "IQ4_XS"}},
    {"position_embd.weight", 20, 10, 4, VKGPT_BAD_FILE, {"rows of 8 weights", "Q2_K has blocks of 256"}},
    {"position_embd.weight", 20, 20, 4, VKGPT_BAD_FILE, {"rows of 8 weights", "IQ4_NL has blocks of 32"}},
    {"position_embd.weight", 24, 353, 8, VKGPT_BAD_FILE, {"353", "alignment 8"}},
    {"position_embd.weight", 24, MOST_U64 - 7, 8, VKGPT_BAD_FILE, {"position_embd.weight", "18446744073709551608"}},
    {"position_embd.weight", 24, 1u << 20, 8, VKGPT_BAD_FILE, {"80 bytes", "1048576"}},
    {"token_embd.weight", 12, 10, 8, VKGPT_BAD_MODEL, {"lists 11 tokens", "10 rows"}},
    {"token_embd.weight", 0, 1, 4, VKGPT_BAD_FILE, {"", NULL}},
};
// clang-format on

static void test_bad_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD_VALUES / sizeof *BAD_VALUES; i++) {
        struct Bytes file = gguf_tiny(3, 8);
        gguf_patch(&file, BAD_VALUES[i].text, BAD_VALUES[i].distance, BAD_VALUES[i].value, BAD_VALUES[i].count);
        expect_bad(&file, BAD_VALUES[i].code, BAD_VALUES[i].words[0], BAD_VALUES[i].words[1]);
        bytes_free(&file);
    }
}

static void test_bad_names(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to; // of one length
        vkgpt_code code;
        const char *words[2];
    } bad[] = {
        {"gpt2.context_length", "general.architectur", VKGPT_BAD_MODEL, {"gpt2.context_length", "absent"}},
        {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", VKGPT_BAD_FILE, {"eos_token_id", "twice"}},
        {"blk.0.attn_norm.weight", "blk.1.attn_norm.weight", VKGPT_BAD_FILE, {"blk.1.attn_norm.weight", "twice"}},
        {"blk.0.attn_norm.weight", "blk.7.attn_norm.weight", VKGPT_BAD_MODEL, {"blk.7.attn_norm.weight", "is 2"}},
        {"blk.0.ffn_up.weight", "blk.0.ffn_up.wei\nht", VKGPT_BAD_MODEL, {"blk.0.ffn_up.weight", "absent"}},
        {"token_embd.weight", "token_embd.wait__", VKGPT_BAD_MODEL, {"token_embd.weight", "absent"}},
        {"[PAD8]", "<0x-1>", VKGPT_BAD_MODEL, {"type byte", "<0x-1>"}},
        {"[PAD8]", "<0xG0>", VKGPT_BAD_MODEL, {"type byte", "<0xG0>"}},
        {"[PAD8]", "<0x+1>", VKGPT_BAD_MODEL, {"type byte", "<0x+1>"}},
        {"[PAD8]", "<0x61>", VKGPT_BAD_MODEL, {"\"a\"", "twice"}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct Bytes file = gguf_tiny(3, 32);
        size_t length = strlen(bad[i].from);
        memcpy(file.data + gguf_behind(&file, bad[i].from) - length, bad[i].to, length);
        if (i >= 6) gguf_patch(&file, "token_type", 16 + 4 * 8, 6, 4);
        expect_bad(&file, bad[i].code, bad[i].words[0], bad[i].words[1]);
        bytes_free(&file);
    }
    struct Bytes file = gguf_tiny(3, 32); // a byte that has no token yet
    memcpy(file.data + gguf_behind(&file, "[PAD8]") - 6, "<0x21>", 6);
    gguf_patch(&file, "token_type", 16 + 4 * 8, 6, 4);
    file_write(test_dir, "tiny.gguf", file.data, file.count);
    vkgpt_tokenizer *tok = open_tokenizer(path);
    encode(tok, "a!", true, "0 8");
    vkgpt_tokenizer_close(tok);
    bytes_free(&file);
}

// A file that is cut anywhere is refused, except in the padding after the last tensor.
static void test_truncated(void **state)
{
    (void)state;
    struct Bytes file = gguf_tiny(3, 32);
    for (size_t count = 0; count < file.count; count += count < 3500 ? 3 : 37) {
        struct Bytes cut = {file.data, count, count};
        expect_bad(&cut, VKGPT_BAD_FILE, "", NULL);
    }
    bytes_free(&file);
}

static void test_mutations(void **state)
{
    (void)state;
    uint64_t seed = 4;
    int accepted = 0;
    for (int round = 0; round < 2000; round++) {
        struct Bytes file = gguf_tiny(3, round % 2 ? 32 : 8);
        struct Bytes head = {file.data, round % 3 ? 2800 : file.count, file.capacity}; // mostly outside the data
        size_t tail = file.count - head.count;
        bytes_mutate(&head, &seed);
        if (head.count == 2800) head.count += tail;
        file_write(test_dir, "tiny.gguf", head.data, head.count);
        struct Checkpoint c;
        vkgpt_tokenizer *tok;
        vkgpt_error err = {0};
        if (!checkpoint_open(path, &c, &err)) {
            float row[12], most = weight_max_abs(&c.layers[0].c_fc);
            weight_rows(&c.layers[1].c_fc, 0, 1, c.config.dim <= 12 ? c.config.dim : 1, row);
            assert_true(most >= 0);
            checkpoint_close(&c);
            accepted++;
        } else {
            expect_sentence((int)err.code, (int)err.code, &err, "tiny.gguf", NULL);
        }
        if (!vkgpt_tokenizer_open(path, 0, &tok, &err)) vkgpt_tokenizer_close(tok);
        file.data = head.data;
        bytes_free(&file);
    }
    assert_true(accepted > 60);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads), TEST(test_paths),      TEST(test_tokenizer), TEST(test_pre_names), TEST(test_blocks),
        TEST(test_f64),   TEST(test_bad_values), TEST(test_bad_names), TEST(test_truncated), TEST(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
