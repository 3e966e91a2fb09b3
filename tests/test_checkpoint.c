// Opening checkpoints in safetensors form, in one file and in shards: what is read, what is ignored, and every kind of
// damage that is refused with its sentence. Also the rows of the weights, in every type and order.
#define _POSIX_C_SOURCE 200809L // truncate
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/safetensors.h"
#include "model/table.h"
#include "model_files.h"

static int setup(void **state)
{
    test_dir_setup(state);
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    return 0;
}

static void write_header(const char *name, const char *header, size_t data_bytes)
{
    struct Bytes file = tiny_safetensors(header, data_bytes);
    file_write(test_dir, name, file.data, file.count);
    bytes_free(&file);
}

static void open_good(struct Checkpoint *c)
{
    vkgpt_error err;
    if (checkpoint_open(test_dir, c, &err)) fail_msg("%s", err.text);
}

// The header with one more tensor after the others; its values are zeros.
static char *header_add(char *header, const char *name, const char *dtype, const char *shape, size_t bytes,
                        size_t *data_bytes)
{
    char entry[256];
    snprintf(entry, sizeof entry, ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}}", name, dtype,
             shape, *data_bytes, *data_bytes + bytes);
    *data_bytes += bytes;
    header[strlen(header) - 1] = '\0';
    struct Bytes out = {0};
    bytes_text(&out, header);
    bytes_add(&out, entry, strlen(entry) + 1);
    free(header);
    return (char *)out.data;
}

// ------------------------------------------------------------------------------------------------ what is read

static void test_reads(void **state)
{
    (void)state;
    size_t bytes;
    char *header = tiny_header(&bytes);
    struct Checkpoint c;
    write_header("model.safetensors", header, bytes);
    open_good(&c);
    tiny_check(&c);
    assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
    assert_string_equal(c.name, strrchr(test_dir, '/') + 1);
    checkpoint_close(&c);
    checkpoint_close(&c);
    free(header);
}

static void test_prefix(void **state)
{
    (void)state;
    static const char *const plain[] = {",\"wte.", ",\"wpe.", ",\"ln_f.", ",\"h."};
    static const char *const prefixed[] = {",\"transformer.wte.", ",\"transformer.wpe.", ",\"transformer.ln_f.",
                                           ",\"transformer.h."};
    size_t bytes;
    char *header = tiny_header(&bytes);
    for (size_t i = 0; i < 4; i++) {
        while (strstr(header, plain[i])) {
            char *next = text_replace(header, plain[i], prefixed[i]);
            free(header);
            header = next;
        }
    }
    struct Checkpoint c;
    write_header("model.safetensors", header, bytes);
    open_good(&c);
    tiny_check(&c);
    assert_string_equal(c.layers[1].c_fc.tensor->name, "transformer.h.1.mlp.c_fc.weight");
    checkpoint_close(&c);
    free(header);
}

// Doubles are read in any tensor.
static void test_f64(void **state)
{
    (void)state;
    size_t bytes;
    char *header = tiny_header(&bytes), *plain = text_replace(header, "\"wpe.weight\":", "\"old.weight\":");
    plain = header_add(plain, "wpe.weight", "F64", "[5,8]", 5 * 8 * 8, &bytes);
    struct Bytes file = tiny_safetensors(plain, bytes);
    double *values = malloc(5 * 8 * sizeof *values);
    for (int i = 0; i < 5 * 8; i++) values[i] = tiny_value("wpe.weight", i / 8, i % 8);
    memcpy(file.data + file.count - 5 * 8 * 8, values, 5 * 8 * sizeof *values);
    file_write(test_dir, "model.safetensors", file.data, file.count);
    struct Checkpoint c;
    open_good(&c);
    assert_int_equal(c.wpe.tensor->dtype, DTYPE_F64);
    tiny_check(&c);
    checkpoint_close(&c);
    bytes_free(&file);
    free(values);
    free(plain);
    free(header);
}

static void test_ignored_tensors(void **state)
{
    (void)state;
    size_t bytes;
    char *header = tiny_header(&bytes);
    header = header_add(header, "h.0.attn.bias", "BOOL", "[1,1,5,5]", 25, &bytes);
    header = header_add(header, "h.1.attn.bias", "U8", "[1,1,5,5]", 25, &bytes);
    header = header_add(header, "h.0.attn.masked_bias", "F32", "[]", 4, &bytes);
    header = header_add(header, "h.2.ln_1.weight", "F32", "[8]", 32, &bytes);
    header = header_add(header, "multiple_choice_head.summary.weight", "F64", "[1,8]", 64, &bytes);
    header = header_add(header, "nothing", "I64", "[3,0]", 0, &bytes);
    struct Checkpoint c;
    write_header("model.safetensors", header, bytes);
    open_good(&c);
    tiny_check(&c);
    checkpoint_close(&c);
    free(header);
}

static void test_head(void **state)
{
    (void)state;
    static const char untied[] = "{\"tie_word_embeddings\": false, \"n_layer\": 2, \"n_head\": 2, \"n_embd\": 8,"
                                 " \"n_inner\": 12, \"n_positions\": 5, \"vocab_size\": 11}";
    struct Checkpoint c;
    vkgpt_error err;
    size_t bytes;
    char *header = tiny_header(&bytes), *other;

    // untied, without a head
    write_header("model.safetensors", header, bytes);
    file_write(test_dir, "config.json", untied, strlen(untied));
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_MODEL, &err, "model.safetensors", "lm_head.weight",
                    "tie_word_embeddings", NULL);

    // untied, a head of zeros
    other = header_add(tiny_header(&bytes), "lm_head.weight", "F32", "[11,8]", 352, &bytes);
    write_header("model.safetensors", other, bytes);
    open_good(&c);
    assert_string_equal(c.head.tensor->name, "lm_head.weight");
    assert_true(!c.config.tied_head && weight_max_abs(&c.head) == 0 && weight_max_abs(&c.wte) == 4);
    checkpoint_close(&c);

    // tied, but with a head of other values: that head is used
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    open_good(&c);
    assert_true(!c.config.tied_head && c.head.tensor != c.wte.tensor);
    checkpoint_close(&c);

    // tied, and a redundant copy: wte is the first tensor of the data
    struct Bytes file = tiny_safetensors(other, bytes);
    memcpy(file.data + file.count - 352, file.data + 8 + strlen(other), 352);
    file_write(test_dir, "model.safetensors", file.data, file.count);
    open_good(&c);
    assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
    checkpoint_close(&c);
    bytes_free(&file);
    free(other);

    // tied, kept under the head's name only
    other = text_replace(header, "\"wte.weight\"", "\"lm_head.weight\"");
    write_header("model.safetensors", other, bytes - 352);
    open_good(&c);
    assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
    tiny_check(&c);
    checkpoint_close(&c);
    free(other);
    free(header);
}

// ---------------------------------------------------------------------------------------------------- shards

static char *tiny_index(const char *last_shard)
{
    struct Bytes text = {0};
    size_t bytes;
    char *header = tiny_header(&bytes);
    bytes_text(&text, "{\"metadata\":{\"total_size\":1},\"weight_map\":{\"extra\":\"");
    bytes_text(&text, last_shard);
    bytes_text(&text, "\"");
    for (char *at = header; (at = strstr(at, "\":{\"dtype")); at++) {
        char *start = at;
        while (start[-1] != '"') start--;
        bytes_text(&text, ",\"");
        bytes_add(&text, start, (size_t)(at - start));
        bytes_text(&text, "\":\"a.safetensors\"");
    }
    bytes_text(&text, "}}");
    bytes_add(&text, "", 1);
    free(header);
    return (char *)text.data;
}

static const char extra_header[] = "{\"extra\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";

static void write_shards(const char *last_shard)
{
    size_t bytes;
    char *header = tiny_header(&bytes), *index = tiny_index(last_shard);
    write_header("a.safetensors", header, bytes);
    struct Bytes extra = {0};
    bytes_number(&extra, strlen(extra_header), 8);
    bytes_text(&extra, extra_header);
    bytes_number(&extra, 0, 8);
    file_write(test_dir, "b.safetensors", extra.data, extra.count);
    file_write(test_dir, "model.safetensors.index.json", index, strlen(index));
    bytes_free(&extra);
    free(header);
    free(index);
}

static void test_shards(void **state)
{
    (void)state;
    struct Checkpoint c;
    write_shards("b.safetensors");
    open_good(&c);
    tiny_check(&c);
    assert_int_equal(c.table.file_count, 2);
    checkpoint_close(&c);
}

static void expect_shard_error(const char *last_shard, const char *word, const char *other)
{
    struct Checkpoint c;
    vkgpt_error err;
    write_shards(last_shard);
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, word, other, NULL);
}

static void test_bad_shards(void **state)
{
    (void)state;
    struct Checkpoint c;
    vkgpt_error err;
    expect_shard_error("../b.safetensors", "index.json", "\"../b.safetensors\"");
    expect_shard_error("/etc/passwd", "index.json", "\"/etc/passwd\"");
    expect_shard_error("..", "index.json", "\"..\"");
    expect_shard_error("x\\\\y", "index.json", "plain file name");
    expect_shard_error("", "index.json", "extra");
    expect_shard_error("c.safetensors", "c.safetensors", "No such file");
    expect_shard_error("a.safetensors", "tensor extra is absent", "a.safetensors");

    // no shard has the head: it is wte, unless the config says otherwise
    write_shards("b.safetensors");
    struct Bytes listed = file_read(test_dir, "model.safetensors.index.json");
    char *head = text_replace((char *)listed.data, "\"extra\":", "\"lm_head.weight\":\"b.safetensors\",\"extra\":");
    file_write(test_dir, "model.safetensors.index.json", head, strlen(head));
    open_good(&c);
    assert_true(c.config.tied_head && c.head.tensor == c.wte.tensor);
    checkpoint_close(&c);
    char *own = text_replace(tiny_config, "{", "{\"tie_word_embeddings\": false, ");
    file_write(test_dir, "config.json", own, strlen(own));
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_MODEL, &err, "index.json",
                    "lm_head.weight is absent", NULL);
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    free(own);
    free(head);
    bytes_free(&listed);

    // a tensor that is in another shard than the index says
    write_shards("b.safetensors");
    struct Bytes index = file_read(test_dir, "model.safetensors.index.json");
    char *moved = text_replace((char *)index.data, "\"wpe.weight\":\"a.", "\"wpe.weight\":\"b.");
    file_write(test_dir, "model.safetensors.index.json", moved, strlen(moved));
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, "index.json", "wpe.weight",
                    "b.safetensors", NULL);
    free(moved);
    bytes_free(&index);

    // one tensor in two shards
    size_t bytes;
    char *header = tiny_header(&bytes);
    write_shards("b.safetensors");
    write_header("b.safetensors", header, bytes);
    free(header);
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, "a.safetensors", "b.safetensors",
                    "wte.weight", NULL);

    static const char *const maps[] = {"{}", "[]", "{\"weight_map\":{}}", "{\"weight_map\":[\"a\"]}"};
    for (size_t i = 0; i < 4; i++) {
        file_write(test_dir, "model.safetensors.index.json", maps[i], strlen(maps[i]));
        expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, "index.json", "weight_map", NULL);
    }
    file_write(test_dir, "model.safetensors.index.json", "{\"weight_map\":{\"a\":1}}", 22);
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, "index.json", "tensor a", NULL);
}

// ------------------------------------------------------------------------------------------------ bad headers

// wte is F32 [11,8] at [0,352], wpe F16 [5,8] at [352,432], ln_f.weight BF16 [8] at [432,448].
static void test_bad_headers(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        vkgpt_code code;
        const char *words[3];
    } bad[] = {
        {"\"wpe.weight\":", "\"wte.weight\":", VKGPT_BAD_FILE, {"wte.weight", "twice"}},
        {"\"F16\"", "\"F17\"", VKGPT_BAD_FILE, {"wpe.weight", "F17"}},
        {"\"F16\"", "16", VKGPT_BAD_FILE, {"wpe.weight", "dtype"}},
        {"\"dtype\":\"F16\",", "", VKGPT_BAD_FILE, {"wpe.weight", "dtype"}},
        {"[5,8]", "\"5,8\"", VKGPT_BAD_FILE, {"wpe.weight", "shape"}},
        {"[5,8]", "[5,-8]", VKGPT_BAD_FILE, {"wpe.weight", "-8"}},
        {"[5,8]", "[5,8.5]", VKGPT_BAD_FILE, {"wpe.weight", "8.5"}},
        {"[5,8]", "[5,9]", VKGPT_BAD_FILE, {"(5, 9)", "90 bytes", "80"}},
        {"[5,8]", "[1,1,1,1,1,1,1,1,40]", VKGPT_BAD_FILE, {"wpe.weight", "dimensions"}},
        {"[5,8]", "[4294967296,4294967296]", VKGPT_BAD_FILE, {"(4294967296, 4294967296)", "overflows"}},
        {"[5,8]", "[4503599627370496,4]", VKGPT_BAD_FILE, {"(4503599627370496, 4)", "80"}},
        {"[5,8]", "[4503599627370496,2048]", VKGPT_BAD_FILE, {"(4503599627370496, 2048)", "overflows"}},
        {"[352,432]", "[352]", VKGPT_BAD_FILE, {"wpe.weight", "data_offsets"}},
        {"[352,432]", "[352,432,432]", VKGPT_BAD_FILE, {"wpe.weight", "data_offsets"}},
        {"[352,432]", "[432,352]", VKGPT_BAD_FILE, {"432", "352"}},
        {"[352,432]", "[-1,79]", VKGPT_BAD_FILE, {"-1", "79"}},
        {"[352,432]", "[352.5,432.5]", VKGPT_BAD_FILE, {"352.5", "432.5"}},
        {"[352,432]", "[1e18,1e18]", VKGPT_BAD_FILE, {"1e+18", "wpe.weight"}},
        {"[352,432]", "[999352,999432]", VKGPT_BAD_FILE, {"wpe.weight", "999432"}},
        {"[352,432]", "[350,430]", VKGPT_BAD_FILE, {"byte 350", "wte.weight", "352"}},
        {"[352,432]", "[0,80]", VKGPT_BAD_FILE, {"wpe.weight", "wte.weight"}},
        {"\"wpe.weight\":{\"dtype\":\"F16\",\"shape\":[5,8],\"data_offsets\":[352,432]},",
         "",
         VKGPT_BAD_FILE,
         {"352", "432", "ln_f.weight"}},
        {"\"wpe.weight\":{", "\"wpe.weight\":7,\"x\":{", VKGPT_BAD_FILE, {"wpe.weight", "dtype"}},
        {"\"wpe.weight\":{", "\"a\\u001bb\":{", VKGPT_BAD_FILE, {"control character", "0x1b"}},
        {"\"wpe.weight\"", "\"wpe.wait\"", VKGPT_BAD_MODEL, {"wpe.weight", "absent"}},
        {"\"wte.weight\"", "\"wte\"", VKGPT_BAD_MODEL, {"wte.weight", "absent"}},
        {"\"h.1.mlp.c_fc.weight\"", "\"h.9.mlp.c_fc.weight\"", VKGPT_BAD_MODEL, {"h.1.mlp.c_fc.weight", "absent"}},
        {"[5,8]", "[8,5]", VKGPT_BAD_MODEL, {"wpe.weight", "(8, 5)", "(5, 8)"}},
        {"[5,8]", "[40]", VKGPT_BAD_MODEL, {"wpe.weight", "(40)", "(5, 8)"}},
        {"[8,24]", "[24,8]", VKGPT_BAD_MODEL, {"h.0.attn.c_attn.weight", "(24, 8)", "(8, 24)"}},
        {"\"F16\"", "\"I16\"", VKGPT_BAD_MODEL, {"wpe.weight", "I16"}},
        {"{\"__meta", "[\"__meta", VKGPT_BAD_FILE, {"not JSON", "0x5b"}},
        {"{\"format\":\"pt\"}", "{\"format\":\"pt\"", VKGPT_BAD_FILE, {"not JSON"}},
        {"{\"format\":\"pt\"}", "{\"format\":\"pt\xff\"}", VKGPT_BAD_FILE, {"UTF-8"}},
    };
    size_t bytes;
    char *header = tiny_header(&bytes);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct Checkpoint c;
        vkgpt_error err;
        char *text = text_replace(header, bad[i].from, bad[i].to);
        write_header("model.safetensors", text, bytes);
        int code = checkpoint_open(test_dir, &c, &err);
        if (!code) fail_msg("accepted: %s", bad[i].to);
        expect_sentence(code, bad[i].code, &err, "model.safetensors", bad[i].words[0], bad[i].words[1], bad[i].words[2],
                        NULL);
        free(text);
    }
    free(header);
}

static void expect_file_error(const void *data, size_t count, const char *word, const char *other)
{
    struct Checkpoint c;
    vkgpt_error err;
    file_write(test_dir, "model.safetensors", data, count);
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, "model.safetensors", word, other, NULL);
}

static void test_bad_files(void **state)
{
    (void)state;
    size_t bytes;
    char *header = tiny_header(&bytes);
    struct Bytes file = tiny_safetensors(header, bytes);
    char size[32], cut[32];
    snprintf(size, sizeof size, "%zu", bytes);
    snprintf(cut, sizeof cut, "%zu", bytes - 1);
    expect_file_error(file.data, file.count - 1, size, cut); // truncated
    bytes_number(&file, 0, 1);
    snprintf(cut, sizeof cut, "%zu", bytes + 1);
    expect_file_error(file.data, file.count, size, cut); // oversized
    expect_file_error(file.data, 0, "0 bytes", NULL);
    expect_file_error(file.data, 7, "7 bytes", NULL);
    snprintf(size, sizeof size, "%zu bytes", strlen(header));
    expect_file_error(file.data, 100, size, "100 bytes"); // a header longer than the file
    memcpy(file.data, "\x01\xe1\xf5\x05\0\0\0\0", 8);
    expect_file_error(file.data, file.count, "100000001", "100000000"); // past the limit
    memcpy(file.data, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    expect_file_error(file.data, file.count, "18446744073709551615", "100000000");
    expect_file_error("\0\0\0\0\0\0\0\0", 8, "not JSON", NULL);
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    expect_file_error(pointer, strlen(pointer), "Git LFS pointer", NULL);
    bytes_free(&file);
    free(header);
}

static void test_no_weights(void **state)
{
    (void)state;
    static const char *const foreign[] = {"tf_model.h5", "flax_model.msgpack", "model.gguf"};
    struct Checkpoint c;
    vkgpt_error err;
    expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_FILE, &err, test_dir, "model.safetensors",
                    "pytorch_model.bin", NULL);
    for (size_t i = 0; i < 3; i++) {
        char path[2 * DIR_BYTES];
        file_write(test_dir, foreign[i], "x", 1);
        expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_MODEL, &err, test_dir, foreign[i], NULL);
        snprintf(path, sizeof path, "%s/%s", test_dir, foreign[i]);
        remove(path);
    }
    expect_sentence(checkpoint_open("/nowhere/gpt2/", &c, &err), VKGPT_BAD_FILE, &err, "/nowhere/gpt2/", NULL);
}

// A config that contradicts the tensors, and one with more layers than there are tensors for.
static void test_config_contradicts(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *words[3];
    } bad[] = {
        {"\"vocab_size\": 11", "\"vocab_size\": 12", {"wte.weight", "(11, 8)", "(12, 8)"}},
        {"\"n_positions\": 5", "\"n_positions\": 6", {"wpe.weight", "(5, 8)", "(6, 8)"}},
        {"\"n_embd\": 8", "\"n_embd\": 10", {"wte.weight", "(11, 8)", "(11, 10)"}},
        {"\"n_inner\": 12", "\"n_inner\": null", {"h.0.mlp.c_fc.weight", "(8, 12)", "(8, 32)"}},
        {"\"n_layer\": 2", "\"n_layer\": 4096", {"h.2.ln_1.weight", "absent"}},
    };
    size_t bytes;
    char *header = tiny_header(&bytes);
    write_header("model.safetensors", header, bytes);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct Checkpoint c;
        vkgpt_error err;
        char *text = text_replace(tiny_config, bad[i].from, bad[i].to);
        file_write(test_dir, "config.json", text, strlen(text));
        expect_sentence(checkpoint_open(test_dir, &c, &err), VKGPT_BAD_MODEL, &err, "model.safetensors",
                        bad[i].words[0], bad[i].words[1], bad[i].words[2], NULL);
        free(text);
    }
    free(header);
}

// Thousands of damaged files: an error or a model, never a crash.
static void test_mutations(void **state)
{
    (void)state;
    size_t data_bytes;
    char *header = tiny_header(&data_bytes);
    uint64_t seed = 2;
    int good = 0;
    for (int i = 0; i < 2000; i++) {
        struct Bytes text = {0};
        struct Checkpoint c;
        vkgpt_error err;
        bytes_text(&text, header);
        bytes_mutate(&text, &seed);
        struct Bytes file = {0};
        bytes_number(&file, text.count, 8);
        bytes_add(&file, text.data, text.count);
        for (size_t n = 0; n < data_bytes; n += 8) bytes_number(&file, 0, 8);
        file_write(test_dir, "model.safetensors", file.data, 8 + text.count + data_bytes);
        int code = checkpoint_open(test_dir, &c, &err);
        if (code) {
            assert_true(code == VKGPT_BAD_FILE || code == VKGPT_BAD_MODEL);
        } else {
            weight_max_abs(&c.layers[1].c_out);
            good++;
        }
        checkpoint_close(&c);
        bytes_free(&file);
        bytes_free(&text);
    }
    assert_true(good > 0); // "format":"pt" may be anything
    free(header);
}

// ----------------------------------------------------------------------------------------------------- numbers

static float half_by_fields(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double value = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    if (exponent == 31) value = mantissa ? NAN : INFINITY;
    return (float)(h & 0x8000 ? -value : value);
}

// Every half, and the floats around the midpoint between it and the next half.
static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = half_to_float((uint16_t)h), wanted = half_by_fields((uint16_t)h);
        if (isnan(wanted)) {
            assert_true(isnan(f) && (float_to_half(f) & 0x7fff) > 0x7c00);
            continue;
        }
        if (f != wanted || signbit(f) != signbit(wanted)) fail_msg("half %04x: %g, not %g", h, f, wanted);
        if (float_to_half(f) != h) fail_msg("half %04x came back as %04x", h, float_to_half(f));
        if ((h & 0x7fff) >= 0x7bff) continue;
        float middle = (float)(((double)f + half_by_fields((uint16_t)(h + 1))) / 2);
        uint16_t even = (uint16_t)(h + (h & 1)), away = (uint16_t)(h + 1);
        assert_int_equal(float_to_half(middle), even);
        assert_int_equal(float_to_half(nextafterf(middle, 0)), h);
        assert_int_equal(float_to_half(nextafterf(middle, f < 0 || signbit(f) ? -INFINITY : INFINITY)), away);
    }
    assert_int_equal(float_to_half(65519.996f), 0x7bff);
    assert_int_equal(float_to_half(65520), 0x7c00);
    assert_int_equal(float_to_half(-FLT_MAX), 0xfc00);
    assert_int_equal(float_to_half(INFINITY), 0x7c00);
    assert_int_equal(float_to_half(FLT_MIN), 0);
    assert_true(bfloat_to_float(0xc049) == -3.140625f);
}

static float element(enum Dtype dtype, const uint8_t *data, int64_t index)
{
    uint32_t bits = 0;
    float f;
    double d;
    if (dtype == DTYPE_F64) {
        memcpy(&d, data + index * 8, sizeof d);
        return (float)d;
    }
    memcpy(&bits, data + index * (dtype == DTYPE_F32 ? 4 : 2), dtype == DTYPE_F32 ? 4 : 2);
    if (dtype == DTYPE_F16) return half_by_fields((uint16_t)bits);
    if (dtype == DTYPE_BF16) bits <<= 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

// One matrix of `rows` by `in`, stored with these strides, against its elements one by one.
static void rows_check(enum Dtype dtype, bool in_out, int64_t rows, int64_t in, int64_t stride_0, int64_t stride_1)
{
    int64_t shape[2] = {in_out ? in : rows, in_out ? rows : in}, size = (int64_t)dtype_bytes(dtype);
    int64_t count = (shape[0] - 1) * stride_0 + (shape[1] - 1) * stride_1 + 1, first = rows > 3 ? 3 : 0;
    uint8_t *store = malloc((size_t)(count * size) + 1), *data = store + 1; // unaligned
    uint64_t seed = 3;
    float most = 0;
    for (int64_t i = 0; i < count; i++) {
        float value = ldexpf((float)(random_next(&seed) % 255) - 127, (int)(random_next(&seed) % 20) - 24);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (dtype == DTYPE_F16) bits = float_to_half(value);
        if (dtype == DTYPE_BF16) bits >>= 16;
        double wide = value * (1 + (double)(random_next(&seed) % 1000) * 0x1p-40); // a float does not hold it
        memcpy(data + i * size, dtype == DTYPE_F64 ? (const void *)&wide : &bits, (size_t)size);
    }
    struct Tensor tensor = {.name = "t",
                            .dtype = dtype,
                            .rank = 2,
                            .shape = {shape[0], shape[1]},
                            .stride = {stride_0, stride_1},
                            .data = data};
    struct Weight weight = {&tensor, in_out};
    float *floats = malloc((size_t)(rows * in) * sizeof *floats);
    uint16_t *halves = malloc((size_t)(rows * in) * sizeof *halves);
    weight_rows(&weight, 0, rows, in, floats);
    weight_rows(&weight, first, rows - first, in, floats + first * in); // again, from a row in the middle
    weight_rows_half(&weight, 0, rows, in, halves);
    for (int64_t o = 0; o < rows; o++) {
        for (int64_t i = 0; i < in; i++) {
            float wanted = element(dtype, data, in_out ? i * stride_0 + o * stride_1 : o * stride_0 + i * stride_1);
            float one;
            weight_row(&weight, o, i, 1, &one);
            if (floats[o * in + i] != wanted || one != wanted || halves[o * in + i] != float_to_half(wanted))
                fail_msg("(%d, %d) of (%d, %d), type %d, in_out %d: %g, not %g", (int)o, (int)i, (int)rows, (int)in,
                         dtype, in_out, floats[o * in + i], wanted);
            most = fabsf(wanted) > most ? fabsf(wanted) : most;
        }
    }
    assert_true(weight_max_abs(&weight) == most);
    free(floats);
    free(halves);
    free(store);
}

static void test_rows(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 7, 63, 64, 65, 130, 257};
    for (int dtype = DTYPE_F32; dtype <= DTYPE_F64; dtype++)
        for (size_t r = 0; r < 7; r++)
            for (size_t i = 0; i < 7; i++)
                for (int in_out = 0; in_out < 2; in_out++) {
                    int64_t rows = sizes[r], in = sizes[i], height = in_out ? in : rows, width = in_out ? rows : in;
                    rows_check((enum Dtype)dtype, in_out, rows, in, width, 1);
                    rows_check((enum Dtype)dtype, in_out, rows, in, width + 3, 1); // part of a wider one
                    rows_check((enum Dtype)dtype, in_out, rows, in, 1, height);    // transposed
                    rows_check((enum Dtype)dtype, in_out, rows, in, 2 * width, 2); // every other one
                }
}

static void test_max_abs(void **state)
{
    (void)state;
    const float values[] = {1, -7.5f, NAN, INFINITY, -INFINITY, 3};
    struct Tensor tensor = {
        .dtype = DTYPE_F32, .rank = 1, .shape = {6}, .stride = {1}, .data = (const uint8_t *)values};
    assert_true(weight_max_abs(&(struct Weight){&tensor, false}) == 7.5f);
}

// The range to read ahead: from the end of the last one, over the tensor and a part of what follows, and never beyond
// the file.
static void test_read_ahead(void **state)
{
    (void)state;
    enum { MIB = 1 << 20, BYTES = 200 * MIB };
    char path[DIR_BYTES + 8];
    snprintf(path, sizeof path, "%s/sparse", test_dir);
    file_write(test_dir, "sparse", "", 0);
    assert_int_equal(truncate(path, BYTES), 0);
    struct TensorTable table = {0};
    const struct Mapping *file;
    const char *kept;
    vkgpt_error err;
    if (table_map(&table, path, &file, &kept, &err)) fail_msg("%s", err.text);
    const uint8_t *until = NULL;
    struct Tensor tensor = {.data = file->data + 10, .bytes = 30 * MIB};
    table_read_ahead(&table, &tensor, &until);
    assert_ptr_equal(until, tensor.data + tensor.bytes + 64 * MIB);
    tensor.data += 110 * MIB; // the rest of the file is less
    table_read_ahead(&table, &tensor, &until);
    assert_ptr_equal(until, file->data + BYTES);
    tensor.data = file->data + 3 * MIB; // back
    table_read_ahead(&table, &tensor, &until);
    assert_ptr_equal(until, tensor.data + tensor.bytes + 64 * MIB);
    const uint8_t *before = until;
    uint8_t elsewhere[4];
    table_read_ahead(&table, &(struct Tensor){.data = elsewhere, .bytes = sizeof elsewhere}, &until); // in no file
    assert_ptr_equal(until, before);
    table_free(&table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads),
        TEST(test_prefix),
        TEST(test_ignored_tensors),
        TEST(test_f64),
        TEST(test_head),
        TEST(test_shards),
        TEST(test_bad_shards),
        TEST(test_bad_headers),
        TEST(test_bad_files),
        TEST(test_no_weights),
        TEST(test_config_contradicts),
        TEST(test_mutations),
        cmocka_unit_test(test_half),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_max_abs),
        TEST(test_read_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
