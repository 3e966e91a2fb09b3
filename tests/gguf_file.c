#include "gguf_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/gguf.h"

static const struct {
    const char *name;
    int rows, columns; // rows 0: a vector
    // clang-format off
} tensors[] = {
    {"token_embd.weight", 11, 8}, {"position_embd.weight", 5, 8}, {"output_norm.weight", 0, 8},
    {"output_norm.bias", 0, 8},
#define LAYER(b)                                                                                                       \
    {b "attn_norm.weight", 0, 8}, {b "attn_norm.bias", 0, 8}, {b "attn_qkv.weight", 24, 8}, {b "attn_qkv.bias", 0, 24}, \
    {b "attn_output.weight", 8, 8}, {b "attn_output.bias", 0, 8}, {b "ffn_norm.weight", 0, 8},                         \
    {b "ffn_norm.bias", 0, 8}, {b "ffn_up.weight", 12, 8}, {b "ffn_up.bias", 0, 12}, {b "ffn_down.weight", 8, 12},     \
    {b "ffn_down.bias", 0, 8}
    LAYER("blk.0."), LAYER("blk.1."),
};
// clang-format on

#define TENSORS (sizeof tensors / sizeof *tensors)

static const char *const tokens[] = {"a",        "b", "c",      "\304\240", "ab",           "\304\240ab",
                                     "\304\212", "d", "[PAD8]", "<x y>",    "<|endoftext|>"};
static const int types[] = {1, 1, 1, 1, 1, 1, 1, 1, 5, 4, 3};
static const char *const merges[] = {"a b", "\xc4\xa0 ab"};

void gguf_add_text(struct Bytes *out, const char *text)
{
    bytes_number(out, strlen(text), 8);
    bytes_text(out, text);
}

void gguf_add_integer(struct Bytes *out, const char *key, uint32_t value)
{
    gguf_add_text(out, key);
    bytes_number(out, GGUF_U32, 4);
    bytes_number(out, value, 4);
}

static void add_string(struct Bytes *out, const char *key, const char *value)
{
    gguf_add_text(out, key);
    bytes_number(out, GGUF_STRING, 4);
    gguf_add_text(out, value);
}

static void add_array(struct Bytes *out, const char *key, enum GgufType type, size_t count)
{
    gguf_add_text(out, key);
    bytes_number(out, GGUF_ARRAY, 4);
    bytes_number(out, type, 4);
    bytes_number(out, count, 8);
}

static int add_keys(struct Bytes *out, uint32_t alignment, const char *pre)
{
    add_string(out, "general.architecture", "gpt2");
    add_string(out, "tokenizer.ggml.model", "gpt2");
    add_string(out, "tokenizer.ggml.pre", pre);
    gguf_add_integer(out, "gpt2.block_count", 2);
    gguf_add_integer(out, "gpt2.context_length", 5);
    gguf_add_integer(out, "gpt2.embedding_length", 8);
    gguf_add_integer(out, "gpt2.feed_forward_length", 12);
    gguf_add_integer(out, "gpt2.attention.head_count", 2);
    gguf_add_integer(out, "tokenizer.ggml.bos_token_id", 10);
    gguf_add_integer(out, "tokenizer.ggml.eos_token_id", 10);
    gguf_add_text(out, "tokenizer.ggml.add_bos_token");
    bytes_number(out, GGUF_BOOL, 4);
    bytes_number(out, 0, 1);
    gguf_add_text(out, "gpt2.attention.layer_norm_epsilon");
    bytes_number(out, GGUF_F32, 4);
    bytes_number(out, 0x3727c5ac, 4); // 1e-5
    add_array(out, "tokenizer.ggml.tokens", GGUF_STRING, 11);
    for (int i = 0; i < 11; i++) gguf_add_text(out, tokens[i]);
    add_array(out, "tokenizer.ggml.token_type", GGUF_I32, 11);
    for (int i = 0; i < 11; i++) bytes_number(out, (uint64_t)types[i], 4);
    add_array(out, "tokenizer.ggml.merges", GGUF_STRING, 2);
    for (int i = 0; i < 2; i++) gguf_add_text(out, merges[i]);
    if (alignment != GGUF_ALIGNMENT) gguf_add_integer(out, "general.alignment", alignment);
    return alignment != GGUF_ALIGNMENT ? 16 : 15;
}

static void add_values(struct Bytes *out, size_t i)
{
    for (int r = 0; r < (tensors[i].rows ? tensors[i].rows : 1); r++) {
        for (int c = 0; c < tensors[i].columns; c++) {
            float value = tiny_value(tensors[i].name, r, c);
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            if (i % 3 == 0) bytes_number(out, bits, 4);
            else bytes_number(out, i % 3 == 1 ? float_to_half(value) : bits >> 16, 2);
        }
    }
}

static void pad(struct Bytes *out, size_t alignment)
{
    while (out->count % alignment) bytes_number(out, 0, 1);
}

struct Bytes gguf_tiny(uint32_t version, uint32_t alignment) { return gguf_tiny_pre(version, alignment, "gpt-2"); }

struct Bytes gguf_tiny_pre(uint32_t version, uint32_t alignment, const char *pre)
{
    struct Bytes out = {0}, data = {0};
    bytes_text(&out, GGUF_MAGIC);
    bytes_number(&out, version, 4);
    bytes_number(&out, TENSORS, 8);
    bytes_number(&out, 0, 8);
    out.data[16] = (uint8_t)add_keys(&out, alignment, pre);
    for (size_t i = 0; i < TENSORS; i++) {
        pad(&data, alignment);
        gguf_add_text(&out, tensors[i].name);
        bytes_number(&out, tensors[i].rows ? 2 : 1, 4);
        bytes_number(&out, (uint64_t)tensors[i].columns, 8);
        if (tensors[i].rows) bytes_number(&out, (uint64_t)tensors[i].rows, 8);
        bytes_number(&out, (uint64_t[]){0, 1, 30}[i % 3], 4);
        bytes_number(&out, data.count, 8);
        add_values(&data, i);
    }
    pad(&out, alignment);
    bytes_add(&out, data.data, data.count);
    bytes_free(&data);
    return out;
}

size_t gguf_behind(const struct Bytes *file, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= file->count; i++)
        if (memcmp(file->data + i, text, length) == 0) return i + length;
    fail_msg("no \"%s\" in the file", text);
    return 0;
}

void gguf_patch(struct Bytes *file, const char *text, int distance, uint64_t value, int count)
{
    uint8_t *at = file->data + gguf_behind(file, text) + distance;
    for (int i = 0; i < count; i++) at[i] = (uint8_t)(value >> 8 * i);
}
