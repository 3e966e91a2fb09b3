// One broken file for each class of past vulnerabilities of loaders: the tiny model with one change. The tests of the
// readers have more of each: test_checkpoint, test_gguf, test_pickle, test_config. Each has to give one sentence that
// names the file and both values, without control bytes, which a terminal would obey (expect_sentence checks that).
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h" // before cmocka, which has a macro named fail

#include <cmocka.h>

#include "model_files.h"

enum Part { CONFIG, HEADER, LENGTH, INDEX };

#define WTE "{\"dtype\":\"F32\",\"shape\":[11,8],\"data_offsets\":[0,352]}"
#define WPE "{\"dtype\":\"F16\",\"shape\":[5,8],\"data_offsets\":[352,432]}"
#define NEST "[[[[[[[[[[[[[[[["
#define NEST_128 NEST NEST NEST NEST NEST NEST NEST NEST

// clang-format off
static const struct Broken {
    const char *class;
    enum Part part;
    const char *from, *to; // for LENGTH, `to` is the bytes of the length; for INDEX, the shard's name
    const char *words[2];
} broken[] = {
    {"no heads", CONFIG, "\"n_head\": 2", "\"n_head\": 0", {"config.json", "n_head is 0"}},
    {"no layers", CONFIG, "\"n_layer\": 2", "\"n_layer\": 0", {"config.json", "n_layer is 0"}},
    {"no vocabulary", CONFIG, "\"vocab_size\": 11", "\"vocab_size\": 0", {"config.json", "vocab_size is 0"}},
    {"a vocabulary past the table", CONFIG, "\"vocab_size\": 11", "\"vocab_size\": 12", {"wte.weight", "(12, 8)"}},
    {"more layers than tensors", CONFIG, "\"n_layer\": 2", "\"n_layer\": 3", {"h.2.", "absent"}},
    {"heads that do not divide", CONFIG, "\"n_head\": 2", "\"n_head\": 3", {"config.json", "n_embd 8 is not a multiple of n_head 3"}},
    {"a negative integer", CONFIG, "\"n_layer\": 2", "\"n_layer\": -1", {"config.json", "n_layer is -1"}},
    {"a fraction", CONFIG, "\"n_embd\": 8", "\"n_embd\": 8.5", {"config.json", "n_embd is 8.5"}},
    {"an integer past 64 bits", CONFIG, "\"n_embd\": 8", "\"n_embd\": 18446744073709551624", {"config.json", "n_embd is 1.84467"}},
    {"an integer past 32 bits", CONFIG, "\"n_embd\": 8", "\"n_embd\": 4294967304", {"config.json", "n_embd is 4294967304"}},
    {"a number past every double", CONFIG, "\"n_embd\": 8", "\"n_embd\": 1e999", {"config.json", "n_embd is Infinity"}},
    {"a number that is none", CONFIG, "\"n_embd\": 8", "\"n_embd\": NaN", {"config.json", "n_embd is NaN"}},
    {"a text for a number", CONFIG, "\"n_embd\": 8", "\"n_embd\": \"8\"", {"config.json", "n_embd is \"8\""}},
    {"a list for a number", CONFIG, "\"n_embd\": 8", "\"n_embd\": [8]", {"config.json", "n_embd is [8]"}},
    {"an object for a number", CONFIG, "\"n_embd\": 8", "\"n_embd\": {\"8\": 8}", {"config.json", "n_embd is {\"8\":8}"}},
    {"a number for a text", CONFIG, "\"model_type\": \"gpt2\"", "\"model_type\": 2", {"config.json", "model_type is 2"}},
    {"deep nesting", CONFIG, "\"n_embd\": 8", "\"n_embd\": " NEST_128 "[", {"config.json", "nested deeper than 128"}},
    {"an escape sequence in a value", CONFIG, "\"gpt2\"", "\"\\u001b[2J\\u0007\\n\"", {"config.json", "model_type is"}},
    {"a NUL in a value", CONFIG, "\"gpt2\"", "\"gpt2\\u0000x\"", {"config.json", "\\u0000"}},
    {"half a character", CONFIG, "\"gpt2\"", "\"\\ud800\"", {"config.json", "surrogate"}},

    {"count times size overflows", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[4503599627370496,4096],\"data_offsets\":[0,352]}", {"wte.weight", "overflows"}},
    {"a product of dimensions that wraps to 0", HEADER, WTE, "{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}", {"wte.weight", "overflows"}},
    {"more dimensions than allowed", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,8,1,1,1,1,1,1,1],\"data_offsets\":[0,352]}", {"wte.weight", "more than 8 dimensions"}},
    {"a shape larger than its range", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,9],\"data_offsets\":[0,352]}", {"wte.weight", "396 bytes, data_offsets give it 352"}},
    {"a type larger than its range", HEADER, WTE, "{\"dtype\":\"F64\",\"shape\":[11,8],\"data_offsets\":[0,352]}", {"wte.weight", "704 bytes, data_offsets give it 352"}},
    {"a range past the end", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,800000],\"data_offsets\":[0,35200000]}", {"wte.weight", "35200000"}},
    {"a range backwards", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,8],\"data_offsets\":[352,0]}", {"wte.weight", "[352,0]"}},
    {"a negative offset", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,8],\"data_offsets\":[-352,0]}", {"wte.weight", "[-352,0]"}},
    {"a fractional offset", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,8],\"data_offsets\":[0.5,352.5]}", {"wte.weight", "[0.5,352.5]"}},
    {"a negative size", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[-11,-8],\"data_offsets\":[0,352]}", {"wte.weight", "-11, no size"}},
    {"one offset", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,8],\"data_offsets\":[352]}", {"wte.weight", "no data_offsets"}},
    {"overlapping tensors", HEADER, WPE, "{\"dtype\":\"F16\",\"shape\":[5,8],\"data_offsets\":[351,431]}", {"wpe.weight", "inside tensor wte.weight"}},
    {"bytes of no tensor", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":[11,7],\"data_offsets\":[0,308]}", {"308 to 352", "belong to no tensor"}},
    {"duplicate tensors", HEADER, "\"wpe.weight\"", "\"wte.weight\"", {"model.safetensors", "\"wte.weight\" is there twice"}},
    {"a number for a type", HEADER, WTE, "{\"dtype\":32,\"shape\":[11,8],\"data_offsets\":[0,352]}", {"wte.weight", "no dtype"}},
    {"an object for a shape", HEADER, WTE, "{\"dtype\":\"F32\",\"shape\":{\"a\":11},\"data_offsets\":[0,352]}", {"wte.weight", "no shape"}},
    {"a list for a tensor", HEADER, WTE, "[\"F32\",[11,8],[0,352]]", {"wte.weight", "no dtype"}},
    {"a newline and a forged line in a name", HEADER, "\"wte.weight\"", "\"x\\nvkgpt: all is well\"", {"model.safetensors", "0x0a"}},
    {"an escape sequence in a name", HEADER, "\"wte.weight\"", "\"\\u001b]0;x\\u0007\"", {"model.safetensors", "0x1b"}},
    {"an escape sequence in a type", HEADER, WTE, "{\"dtype\":\"\\u001b[31m\",\"shape\":[11,8],\"data_offsets\":[0,352]}", {"wte.weight", "unknown dtype"}},
    {"a NUL in a name", HEADER, "\"wte.weight\"", "\"wte.weight\\u0000\"", {"model.safetensors", "\\u0000"}},

    {"a length past the end", LENGTH, NULL, "\xff\xff\0\0\0\0\0\0", {"model.safetensors", "65535"}},
    {"a length past every file", LENGTH, NULL, "\xff\xff\xff\xff\xff\xff\xff\x7f", {"model.safetensors", "9223372036854775807"}},
    {"a length that wraps", LENGTH, NULL, "\xf8\xff\xff\xff\xff\xff\xff\xff", {"model.safetensors", "18446744073709551608"}},
    {"no length", LENGTH, NULL, "\0\0\0\0\0\0\0\0", {"model.safetensors", "not JSON"}},

    {"a shard in the folder above", INDEX, NULL, "\"../model.safetensors\"", {"index.json", "not a plain file name"}},
    {"a shard by its whole path", INDEX, NULL, "\"/etc/passwd\"", {"index.json", "/etc/passwd"}},
    {"a shard in a folder", INDEX, NULL, "\"a/b.safetensors\"", {"index.json", "not a plain file name"}},
    {"a shard by a path of Windows", INDEX, NULL, "\"..\\\\b.safetensors\"", {"index.json", "not a plain file name"}},
    {"a shard that is the folder", INDEX, NULL, "\".\"", {"index.json", "not a plain file name"}},
    {"a shard without a name", INDEX, NULL, "\"\"", {"index.json", "not a plain file name"}},
    {"a number for a shard", INDEX, NULL, "7", {"index.json", "names no file"}},
    {"an escape sequence in a shard", INDEX, NULL, "\"\\u001b[2J\"", {"[2J", "open"}},
    {"an index as its own shard", INDEX, NULL, "\"model.safetensors.index.json\"", {"model.safetensors.index.json", "header"}},
};
// clang-format on

static void write_part(const struct Broken *b, enum Part part, const char *name, const char *text)
{
    char *changed = b->part == part ? text_replace(text, b->from, b->to) : NULL;
    const char *data = changed ? changed : text;
    file_write(test_dir, name, data, strlen(data));
    free(changed);
}

static void write_weights(const struct Broken *b)
{
    size_t bytes;
    char *header = tiny_header(&bytes), *changed = b->part == HEADER ? text_replace(header, b->from, b->to) : NULL;
    struct Bytes file = tiny_safetensors(changed ? changed : header, bytes);
    if (b->part == LENGTH) memcpy(file.data, b->to, 8);
    if (b->part != INDEX) file_write(test_dir, "model.safetensors", file.data, file.count);
    else remove(test_path("model.safetensors"));
    bytes_free(&file);
    free(changed);
    free(header);
}

static void test_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const struct Broken *b = &broken[i];
        char index[256];
        struct Checkpoint c;
        vkgpt_error err = {0};
        write_part(b, CONFIG, "config.json", tiny_config);
        write_weights(b);
        snprintf(index, sizeof index, "{\"weight_map\": {\"wte.weight\": %s}}", b->to);
        if (b->part == INDEX) file_write(test_dir, "model.safetensors.index.json", index, strlen(index));
        int code = checkpoint_open(test_dir, &c, &err);
        if (!code) fail_msg("%s: it is read", b->class);
        print_message("%s: %s\n", b->class, strrchr(err.text, '/') ? strrchr(err.text, '/') + 1 : err.text);
        expect_sentence(code, code, &err, b->words[0], b->words[1], NULL);
        assert_true(code == VKGPT_BAD_FILE || code == VKGPT_BAD_MODEL);
    }
}

// 100,000 tensors, and 100,000 keys in config.json: more than any model has, but no problem.
static void test_many_entries(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct Broken whole = {.part = CONFIG, .from = "{", .to = "{"};
    struct Bytes config = {0}, header = {0};
    char entry[128];
    size_t bytes;
    struct Checkpoint c;
    vkgpt_error err;
    write_weights(&whole);
    bytes_add(&config, tiny_config, strlen(tiny_config) - 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(entry, sizeof entry, ",\"k%d\":%d", i, i);
        bytes_text(&config, entry);
    }
    bytes_text(&config, "}");
    file_write(test_dir, "config.json", config.data, config.count);
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    tiny_check(&c);
    checkpoint_close(&c);

    char *text = tiny_header(&bytes);
    bytes_add(&header, text, strlen(text) - 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(entry, sizeof entry, ",\"t%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[%zu,%zu]}", i, bytes,
                 bytes);
        bytes_text(&header, entry);
    }
    bytes_add(&header, "}", 2);
    struct Bytes file = tiny_safetensors((char *)header.data, bytes);
    file_write(test_dir, "model.safetensors", file.data, file.count);
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    assert_true(c.table.count > MANY);
    checkpoint_close(&c);
    free(text);
    bytes_free(&config);
    bytes_free(&header);
    bytes_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_classes, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_many_entries, test_dir_setup, test_dir_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
