#define _XOPEN_SOURCE 700 // mkdtemp
#include "model_files.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// ---------------------------------------------------------------------------------------------------- bytes

void bytes_add(struct Bytes *bytes, const void *data, size_t count)
{
    if (count == 0) return;
    if (bytes->capacity - bytes->count < count) {
        bytes->capacity = 2 * (bytes->count + count);
        bytes->data = realloc(bytes->data, bytes->capacity);
        assert_non_null(bytes->data);
    }
    memcpy(bytes->data + bytes->count, data, count);
    bytes->count += count;
}

void bytes_text(struct Bytes *bytes, const char *text) { bytes_add(bytes, text, strlen(text)); }

void bytes_number(struct Bytes *bytes, uint64_t value, int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t byte = i < 8 ? (uint8_t)(value >> 8 * i) : 0;
        bytes_add(bytes, &byte, 1);
    }
}

void bytes_free(struct Bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct Bytes){0};
}

char *text_replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at) fail_msg("no \"%s\" in %s", from, text);
    struct Bytes out = {0};
    bytes_add(&out, text, (size_t)(at - text));
    bytes_text(&out, to);
    bytes_add(&out, at + strlen(from), strlen(at + strlen(from)) + 1);
    return (char *)out.data;
}

// ---------------------------------------------------------------------------------------------------- files

void dir_make(char dir[DIR_BYTES])
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, DIR_BYTES, "%s/vkgpt-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(dir)) fail_msg("cannot make %s", dir);
}

void dir_remove(const char *dir)
{
    DIR *list = opendir(dir);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list));) {
        char path[2 * DIR_BYTES];
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(path)) dir_remove(path); // a folder
    }
    closedir(list);
    assert_int_equal(rmdir(dir), 0);
}

void file_write(const char *dir, const char *name, const void *data, size_t count)
{
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("cannot write %s", path);
    if (count) assert_int_equal(fwrite(data, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

struct Bytes file_read(const char *dir, const char *name)
{
    char path[2 * DIR_BYTES], *data;
    size_t count;
    vkgpt_error err;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (os_read(path, 1u << 28, &data, &count, &err)) fail_msg("%s", err.text);
    return (struct Bytes){(uint8_t *)data, count, count};
}

// ------------------------------------------------------------------------------------------- the tiny model

const char tiny_config[] =
    "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], \"n_layer\": 2, \"n_head\": 2,"
    " \"n_embd\": 8, \"n_inner\": 12, \"n_positions\": 5, \"vocab_size\": 11}";

static const struct {
    const char *name;
    int rows, columns; // rows 0: a vector
    // clang-format off
} tiny_tensors[] = {
    {"wte.weight", 11, 8}, {"wpe.weight", 5, 8}, {"ln_f.weight", 0, 8}, {"ln_f.bias", 0, 8},
#define LAYER(h)                                                                                                       \
    {h "ln_1.weight", 0, 8}, {h "ln_1.bias", 0, 8}, {h "attn.c_attn.weight", 8, 24}, {h "attn.c_attn.bias", 0, 24},    \
    {h "attn.c_proj.weight", 8, 8}, {h "attn.c_proj.bias", 0, 8}, {h "ln_2.weight", 0, 8}, {h "ln_2.bias", 0, 8},      \
    {h "mlp.c_fc.weight", 8, 12}, {h "mlp.c_fc.bias", 0, 12}, {h "mlp.c_proj.weight", 12, 8}, {h "mlp.c_proj.bias", 0, 8}
    LAYER("h.0."), LAYER("h.1."),
};
// clang-format on

#define TINY_COUNT (sizeof tiny_tensors / sizeof *tiny_tensors)

static enum Dtype tiny_dtype(size_t i) { return (enum Dtype[]){DTYPE_F32, DTYPE_F16, DTYPE_BF16}[i % 3]; }

float tiny_value(const char *name, int64_t row, int64_t column)
{
    int64_t sum = 0;
    for (const char *c = name; *c; c++) sum += (unsigned char)*c;
    return (float)((sum * 31 + row * 7 + column * 3) % 64 - 32) / 8;
}

char *tiny_header(size_t *data_bytes)
{
    struct Bytes text = {0};
    size_t at = 0;
    bytes_text(&text, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < TINY_COUNT; i++) {
        int rows = tiny_tensors[i].rows, columns = tiny_tensors[i].columns;
        enum Dtype dtype = tiny_dtype(i);
        size_t end = at + (size_t)((rows ? rows : 1) * columns) * (dtype == DTYPE_F32 ? 4 : 2);
        char entry[256], shape[32];
        if (rows) snprintf(shape, sizeof shape, "%d,%d", rows, columns);
        else snprintf(shape, sizeof shape, "%d", columns);
        snprintf(entry, sizeof entry, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                 tiny_tensors[i].name, (const char *[]){"F32", "F16", "BF16"}[i % 3], shape, at, end);
        bytes_text(&text, entry);
        at = end;
    }
    bytes_add(&text, "}", 2);
    *data_bytes = at;
    return (char *)text.data;
}

static void tiny_add(struct Bytes *out, size_t i)
{
    for (int r = 0; r < (tiny_tensors[i].rows ? tiny_tensors[i].rows : 1); r++) {
        for (int c = 0; c < tiny_tensors[i].columns; c++) {
            float value = tiny_value(tiny_tensors[i].name, r, c);
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            if (tiny_dtype(i) == DTYPE_F32) bytes_number(out, bits, 4);
            else bytes_number(out, tiny_dtype(i) == DTYPE_F16 ? float_to_half(value) : bits >> 16, 2);
        }
    }
}

struct Bytes tiny_safetensors(const char *header, size_t data_bytes)
{
    struct Bytes out = {0};
    bytes_number(&out, strlen(header), 8);
    bytes_text(&out, header);
    size_t end = out.count + data_bytes;
    for (size_t i = 0; i < TINY_COUNT; i++) tiny_add(&out, i);
    while (out.count < end) bytes_number(&out, 0, 1);
    out.count = end;
    return out;
}

// ----------------------------------------------------------------------------------------------------- checks

static void weight_check(const struct Weight *weight, int64_t rows, int64_t in)
{
    const char *name = weight->tensor->name;
    float *floats = malloc((size_t)(rows * in) * sizeof *floats), one[64];
    uint16_t *halves = malloc((size_t)(rows * in) * sizeof *halves);
    if (strncmp(name, "transformer.", 12) == 0) name += 12;
    if (strcmp(name, "lm_head.weight") == 0) name = "wte.weight";
    weight_rows(weight, 0, rows, in, floats);
    weight_rows_half(weight, 0, rows, in, halves);
    for (int64_t o = 0; o < rows; o++) {
        weight_row(weight, o, 0, in, one);
        for (int64_t i = 0; i < in; i++) {
            float wanted = weight->in_out ? tiny_value(name, i, o) : tiny_value(name, o, i);
            if (floats[o * in + i] != wanted || one[i] != wanted || half_to_float(halves[o * in + i]) != wanted)
                fail_msg("%s (%d, %d): %g, %g and %g, not %g", name, (int)o, (int)i, floats[o * in + i], one[i],
                         half_to_float(halves[o * in + i]), wanted);
        }
    }
    free(floats);
    free(halves);
}

void tiny_check(const struct Checkpoint *c)
{
    weight_check(&c->wte, 11, 8);
    weight_check(&c->wpe, 5, 8);
    weight_check(&c->head, 11, 8);
    weight_check(&c->ln_f_gain, 1, 8);
    weight_check(&c->ln_f_bias, 1, 8);
    for (uint32_t l = 0; l < c->config.layers; l++) {
        const struct LayerWeights *w = &c->layers[l];
        weight_check(&w->ln_1_gain, 1, 8);
        weight_check(&w->ln_1_bias, 1, 8);
        weight_check(&w->c_attn, 24, 8);
        weight_check(&w->c_attn_bias, 1, 24);
        weight_check(&w->c_proj, 8, 8);
        weight_check(&w->c_proj_bias, 1, 8);
        weight_check(&w->ln_2_gain, 1, 8);
        weight_check(&w->ln_2_bias, 1, 8);
        weight_check(&w->c_fc, 12, 8);
        weight_check(&w->c_fc_bias, 1, 12);
        weight_check(&w->c_out, 8, 12);
        weight_check(&w->c_out_bias, 1, 8);
    }
}

void expect_sentence(int code, int wanted, const vkgpt_error *err, ...)
{
    if (code == 0) fail_msg("accepted, instead of code %d", wanted);
    if (code != wanted || (int)err->code != code) fail_msg("code %d, not %d: %s", code, wanted, err->text);
    if (strchr(err->text, '\n') || !*err->text) fail_msg("not one line: %s", err->text);
    for (const char *c = err->text; *c; c++) // control bytes, which a terminal would obey
        if ((unsigned char)*c < ' ' || *c == 127) fail_msg("the byte 0x%02x in: %s", (unsigned)*c, err->text);
    if (code == VKGPT_OUT_OF_MEMORY && strstr(err->text, " 0 bytes")) fail_msg("memory for nothing: %s", err->text);
    va_list words;
    va_start(words, err);
    for (const char *word; (word = va_arg(words, const char *));)
        if (!strstr(err->text, word)) fail_msg("no \"%s\" in: %s", word, err->text);
    va_end(words);
}

// -------------------------------------------------------------------------------------------------- mutations

uint32_t random_next(uint64_t *state) // splitmix64
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

void bytes_mutate(struct Bytes *bytes, uint64_t *state)
{
    static const char liked[] = "0123456789-{}[]\",:.(uetqrsKMJXRQb\x00\x7f\x80\xff";
    for (uint32_t n = random_next(state) % 4 + 1; n > 0 && bytes->count > 0; n--) {
        uint8_t *at = bytes->data + random_next(state) % bytes->count;
        size_t rest = bytes->count - (size_t)(at - bytes->data);
        size_t length = random_next(state) % 8 + 1 < rest ? random_next(state) % 8 + 1 : 1;
        if (length > rest) length = rest;
        switch (random_next(state) % 6) {
        case 0: *at ^= (uint8_t)(1u << random_next(state) % 8); break;
        case 1: *at = (uint8_t)random_next(state); break;
        case 2:
        case 3: *at = (uint8_t)liked[random_next(state) % sizeof liked]; break;
        case 4:
            memmove(at, at + length, rest - length);
            bytes->count -= length;
            break;
        default: // truncate, rarely
            if (random_next(state) % 4 == 0) bytes->count -= rest;
            else *at = bytes->data[random_next(state) % bytes->count];
        }
    }
}

char test_dir[DIR_BYTES];

int test_dir_setup(void **state)
{
    (void)state;
    dir_make(test_dir);
    return 0;
}

int test_dir_teardown(void **state)
{
    (void)state;
    dir_remove(test_dir);
    return 0;
}

const char *test_path(const char *name)
{
    static char paths[4][3 * DIR_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s%s", test_dir, *name ? "/" : "", name);
    return path;
}
