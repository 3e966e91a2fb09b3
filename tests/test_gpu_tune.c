// Tuning: no variant changes a bit of the results of decode, measurements are saved and found again, and a file that is
// damaged or of another device is ignored and reported.
#define _POSIX_C_SOURCE 200809L // setenv
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"
#include "engine/settings.h"
#include "engine/tuning.h" // before cmocka, whose macro fail() hides a function
#include "decode_bits.h"
#include "model_files.h"
#include "synthetic_model.h"

#include "check.h"

#define PROMPT 70 // tokens: two splits of the cache

static vkgpt_device *open_device(const char *disable, const char *tuning)
{
    vkgpt_error err;
    vkgpt_device *device;
    setenv("VKGPT_DISABLE", disable, 1);
    setenv("VKGPT_TUNING", tuning, 1);
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(tuning_open(device, &err));
    return device;
}

static void close_device(vkgpt_device *device)
{
    assert_int_equal(device->validation_messages, 0);
    vkgpt_device_close(device);
    unsetenv("VKGPT_DISABLE");
}

static struct ProductKey key_of(const vkgpt_model *m, enum ProductKernel product, uint32_t sequences)
{
    const struct Matrix *w = model_matrix(m, product, 0);
    return product_key(m->device, product, w->format, w->in, w->out, sequences);
}

// ------------------------------------------------------------------------------------------------- bits

// The products use the chosen variants, which is what these tests are about.
static void check_products(const vkgpt_session *s)
{
    for (uint32_t p = 0; p < PRODUCT_KERNELS; p++) {
        const struct ProductKey key = key_of(s->model, p, s->sequences);
        const struct Variant *v = tuning_find(s->device, &key);
        if (!v) continue;
        assert_int_equal(s->decode->products[p].staged[key.format], v->staged);
        assert_int_equal(s->decode->products[p].group_outputs[key.format], variant_outputs(s->device, *v));
    }
}

static void decode(vkgpt_model *model, uint32_t sequences, struct Decoded *d)
{
    vkgpt_error err;
    vkgpt_session *s;
    const vkgpt_session_options options = {.sequences = sequences};
    CHECK(vkgpt_session_open(model, &options, &s, &err));
    check_products(s);
    decode_bits(s, PROMPT, d);
    vkgpt_session_close(s);
}

// Leaves out variants that differ from the built-in one both in their loads and in their lanes or staging: variants
// that differ in one of them are enough.
static uint32_t few_loads(struct Variant variants[MAX_VARIANTS], uint32_t count)
{
    uint32_t kept = 1;
    for (uint32_t i = 1; i < count; i++) {
        struct Variant v = variants[i], usual = variants[0];
        if (v.loads == usual.loads || (v.size == usual.size && v.staged == usual.staged)) variants[kept++] = v;
    }
    return kept;
}

// Sets the variant of a round, for one product: a list starts again after its end. Returns the length of the list.
static uint32_t set_variant(vkgpt_model *model, enum ProductKernel product, uint32_t sequences, uint32_t round,
                            char *text, size_t size)
{
    vkgpt_error err;
    struct Variant variants[MAX_VARIANTS];
    const struct ProductKey key = key_of(model, product, sequences);
    uint32_t count = variants_of(model->device, &key, variants);
    assert_true(count <= MAX_VARIANTS);
    count = few_loads(variants, count);
    const struct Variant *v = &variants[round % count];
    assert_true(count > (key.software ? 0 : 1) && count <= MAX_VARIANTS);
    CHECK(tuning_set(model->device, &key, *v, FOUND_THOROUGH, &err));
    snprintf(text, size, "%s of %u rows, %u lanes, %u loads, staged %d", product_kernel_name(product), v->rows, v->size,
             v->loads, v->staged);
    return count;
}

// Finds which of a round's variants changes the bits, by setting each alone.
static void tell_apart(vkgpt_model *model, uint32_t sequences, uint32_t round, const struct Decoded *usual)
{
    char text[128];
    struct Decoded d;
    for (uint32_t alone = 0; alone < PRODUCT_KERNELS; alone++) {
        for (uint32_t p = 0; p < PRODUCT_KERNELS; p++)
            if (p != alone) set_variant(model, p, sequences, 0, text, sizeof text);
        set_variant(model, alone, sequences, round, text, sizeof text);
        decode(model, sequences, &d);
        if (memcmp(&d, usual, sizeof d)) print_error("the bits change with %s\n", text);
    }
}

static void variants_agree(vkgpt_model *model, uint32_t sequences)
{
    struct Decoded usual, d;
    char text[128];
    uint32_t rounds = 1;
    decode(model, sequences, &usual);
    assert_int_equal(usual.counts[sequences - 1], DECODED_TOKENS);
    for (uint32_t i = 0; i < rounds; i++) {
        for (uint32_t p = 0; p < PRODUCT_KERNELS; p++) { // a round has the next variant of every product
            uint32_t count = set_variant(model, p, sequences, i, text, sizeof text);
            if (count > rounds) rounds = count;
        }
        decode(model, sequences, &d);
        if (!memcmp(&d, &usual, sizeof d)) continue;
        tell_apart(model, sequences, i, &usual);
        fail_msg("%u sequences: the bits change in round %u", sequences, i);
    }
}

static void all_variants(const char *disable, const char *dir, vkgpt_format weights, bool several)
{
    vkgpt_error err;
    vkgpt_model *model;
    vkgpt_device *device = open_device(disable, "off");
    const vkgpt_model_options options = {.weights = weights};
    CHECK(vkgpt_model_open(device, dir, &options, &model, &err));
    assert_string_equal(vkgpt_model_describe(model)->note, "");
    variants_agree(model, 1);
    if (several) variants_agree(model, DECODED_SEQUENCES);
    vkgpt_model_close(model);
    close_device(device);
}

static char model_dir[256];

static void test_bits(void **state)
{
    (void)state;
    all_variants("", model_dir, VKGPT_F16, false); // a batch has no variants in this case
    all_variants("", model_dir, VKGPT_Q8_0, false);
}

static void test_bits_by_gpu_kernels(void **state)
{
    (void)state;
    all_variants("software_kernels", model_dir, VKGPT_F16, true);
}

// ------------------------------------------------------------------------------------------------ files

// The file of a device with one choice that is not the built-in one.
static struct Bytes choice_file(vkgpt_device *device, const struct ProductKey *key, const struct Variant *variant)
{
    vkgpt_error err;
    char path[2 * DIR_BYTES];
    CHECK(tuning_set(device, key, *variant, FOUND_THOROUGH, &err));
    snprintf(path, sizeof path, "%s/tuning.txt", test_dir);
    CHECK(vkgpt_tuning_save(device, path, &err));
    return file_read(test_dir, "tuning.txt");
}

// Reads the file as a newly opened device does.
static const char *read_again(vkgpt_device *device, const char *path)
{
    vkgpt_error err;
    free(device->tuning);
    device->tuning = NULL;
    setenv("VKGPT_TUNING", path, 1);
    CHECK(tuning_open(device, &err));
    return tuning_note(device);
}

static const char *read_text(vkgpt_device *device, const void *data, size_t bytes)
{
    char path[2 * DIR_BYTES];
    file_write(test_dir, "bad.txt", data, bytes);
    snprintf(path, sizeof path, "%s/bad.txt", test_dir);
    return read_again(device, path);
}

static void ignored(vkgpt_device *device, const struct ProductKey *key, const void *data, size_t bytes,
                    const char *part)
{
    const char *note = read_text(device, data, bytes);
    if (!note) fail_msg("nothing is said of what should say '%s'", part);
    if (strncmp(note, "the tuning file is ignored: ", 28) || !strstr(note, part) || strchr(note, '\n'))
        fail_msg("'%s' lacks '%s'", note, part);
    assert_null(tuning_note(device)); // it is reported once
    assert_null(tuning_find(device, key));
}

static void ignored_lines(vkgpt_device *device, const struct ProductKey *key, const char *good)
{
    static const char *const lines[] = {
        "contract gpu f16 64 256 1 4 128 12 0",
        "contract gpu f16 64 256 1 4 128 12 0 quick 0",
        "contract gpu f16 64 256 1 4 128 12 0 slow",
        "contract gpu f16 64 256 1 4 128 0 quick",
        "contract gpu f16 64 256 1 3 128 12 0 quick",
        "contract gpu f16 64 256 1 16 128 12 0 quick",
        "contract gpu f16 64 256 1 4 96 12 0 quick",
        "contract gpu f16 64 256 1 4 128 12 1 quick",
        "contract gpu f16 64 256 1 4 128 12 2 quick",
        "contract gpu f16 64 256 1 4 128 13 0 quick",
        "contract gpu f16 64 256 3 2 128 12 0 quick",
        "contract gpu f16 64 256 0 2 128 12 0 quick",
        "contract gpu f16 0 256 1 4 128 12 0 quick",
        "contract gpu f16 64 99999999999999999999 1 4 128 12 0 quick",
        "contract gpu f16 -64 256 1 4 128 12 0 quick",
        "contract gpu f15 64 256 1 4 128 12 0 quick",
        "contract cpu f16 64 256 1 4 128 12 0 quick",
        "embed gpu f16 64 256 1 4 128 12 0 quick",
        "qkv gpu f16 64 192 1 4 512 12 1 quick",
        "qkv software f16 64 192 1 4 64 12 1 quick",
        "qkv",
        " ",
        "contract gpu f16 64 256 1 4x 128 12 0 quick",
        "expand gpu f16 64 256 8 8 128 12 0 quick",
        "expand gpu f16 64 256 8 2 128 24 0 quick",
        "contract gpu f16 64 256 1 4 128 12 0 quick                                                          ",
        "step",
        "step ",
        "step persistent",
        "step unknown gpu f16 2 64 256 304 quick",
        "step  gpu f16 2 64 256 304 quick",
        "step persistent gpu f16 2 64 256 304",
        "step persistent gpu f16 2 64 256 304 quick 1",
        "step persistent gpu f16 2 64 256 quick",
        "step persistent gpu f15 2 64 256 304 quick",
        "step persistent cpu f16 2 64 256 304 quick",
        "step persistent gpu f16 2 64 256 304 12",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[2048];
        int bytes = snprintf(text, sizeof text, "%s%s\n", good, lines[i]);
        ignored(device, key, text, (size_t)bytes, "is not a choice");
    }
}

static void test_files(void **state)
{
    (void)state;
    vkgpt_device *device = open_device("", "off");
    const struct ProductKey key = product_key(device, CONTRACT, WEIGHTS_F16, 64, 256, 1);
    struct Variant variants[MAX_VARIANTS];
    assert_true(variants_of(device, &key, variants) > 1);
    struct Bytes good = choice_file(device, &key, &variants[1]);
    bytes_add(&good, "", 1);
    const char *text = (const char *)good.data;

    assert_null(read_text(device, text, strlen(text)));
    assert_non_null(tuning_find(device, &key));
    assert_true(variant_same(*tuning_find(device, &key), variants[1]));

    ignored(device, &key, text, 0, "empty");
    ignored(device, &key, text, good.count, "is a NUL");
    ignored(device, &key, "vkgpt", 5, "does not begin with 'vkgpt-tuning '");
    char *other = text_replace(text, "vkgpt-tuning 5 ", "vkgpt-tuning 2 ");
    ignored(device, &key, other, strlen(other), "its version is 2");
    free(other);
    other = text_replace(text, "vkgpt-tuning 5 " VKGPT_VERSION " ", "vkgpt-tuning 5 0.0.9 ");
    ignored(device, &key, other, strlen(other), "it is of vkgpt 0.0.9, this is vkgpt " VKGPT_VERSION);
    free(other);
    other = text_replace(text, device->info.name, "Another");
    ignored(device, &key, other, strlen(other), "another device or driver");
    free(other);
    ignored_lines(device, &key, text);
    char *large = calloc(140000, 1);
    memset(large, '#', 139999);
    memcpy(large, text, strlen(text));
    ignored(device, &key, large, 139999, "bad.txt");
    free(large);
    assert_non_null(strstr(read_again(device, test_dir), "ignored")); // a directory
    assert_non_null(strstr(read_again(device, "no/such/file"), "no/such/file"));
    assert_null(read_again(device, "off"));
    bytes_free(&good);
    close_device(device);
}

// Every tile that a product of a block may have, on a device with cooperative matrices; and invalid ones.
static void test_tiles(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "tile",
        "tile ",
        "tile contract matrices f16 3072 768 128 64 64 128 split",
        "tile contract matrices f16 3072 768 128 64 64 128 split quick 1",
        "tile contract matrices f16 3072 768 128 64 64 128 half quick",
        "tile contract matrices f16 3072 768 128 64 64 64 split quick",
        "tile contract matrices f16 3072 768 128 48 64 128 split quick",
        "tile contract matrices f16 3072 768 120 64 64 128 split quick",
        "tile contract matrices f16 3072 768 8 16 64 128 split quick",
        "tile contract matrices f16 3072 768 4096 64 64 128 whole quick",
        "tile contract matrices f16 3072 768 0 16 64 128 whole quick",
        "tile contract matrices f16 3072 768 16 128 64 128 split quick",
        "tile expand matrices f16 768 3072 128 64 64 128 split quick",
        "tile contract software f16 3072 768 128 64 64 128 split quick",
        "tile contract matrices f16 256 768 128 64 64 128 split quick",
        "tile contract matrices f16 3072 768 2048 16 64 128 split quick",
        "tile contract matrices f16 3072 768 1024 128 128 256 whole quick",
        "tile contract matrices f16 0 768 128 64 64 128 whole quick",
        "tile embed matrices f16 3072 768 128 64 64 128 whole quick",
        "tile contract matrices f16 3072 768 -1 64 64 128 whole quick",
    };
    vkgpt_device *device = open_device("", "off");
    device->matrix = (struct MatrixShape){8, 8, 8};
    device->processors = 132, device->info.subgroup_size = device->matrix_lanes = 8;
    device->info.shared_bytes = 49152, device->info.max_workgroup = 1024;
    const struct ProductKey key = block_key(BY_MATRICES, CONTRACT, WEIGHTS_F16, 3072, 768, 100);
    assert_int_equal(key.block, 128);
    struct Variant variants[MAX_VARIANTS];
    uint32_t count = variants_of(device, &key, variants);
    assert_true(count > 6 && variants[0].split);
    struct Bytes good = {0};
    for (uint32_t i = 0; i < count; i++) {
        bytes_free(&good);
        good = choice_file(device, &key, &variants[i]);
        bytes_add(&good, "", 1);
        assert_null(read_text(device, good.data, strlen((const char *)good.data)));
        assert_true(tuning_find(device, &key) && variant_same(*tuning_find(device, &key), variants[i]));
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[2048];
        int bytes = snprintf(text, sizeof text, "%s%s\n", (const char *)good.data, lines[i]);
        ignored(device, &key, text, (size_t)bytes, "is not a choice");
    }
    device->matrix.m = 0; // switched off: the saved choices stay
    assert_null(read_text(device, good.data, strlen((const char *)good.data)));
    assert_non_null(tuning_find(device, &key));
    bytes_free(&good);
    close_device(device);
}

// Every choice that is read from a damaged file is a valid variant.
static void test_mutations(void **state)
{
    (void)state;
    vkgpt_device *device = open_device("", "off");
    const struct ProductKey key = product_key(device, CONTRACT, WEIGHTS_F16, 64, 256, 1);
    struct Variant variants[MAX_VARIANTS];
    uint32_t count = variants_of(device, &key, variants);
    struct Bytes good = choice_file(device, &key, &variants[1]);
    uint64_t seed = 1;
    for (int i = 0; i < 300; i++) {
        struct Bytes bad = {0};
        bytes_add(&bad, good.data, good.count);
        bytes_mutate(&bad, &seed);
        read_text(device, bad.data, bad.count);
        const struct Variant *v = tuning_find(device, &key);
        bool known = !v;
        for (uint32_t c = 0; c < count && !known; c++) known = variant_same(*v, variants[c]);
        assert_true(known);
        bytes_free(&bad);
    }
    bytes_free(&good);
    close_device(device);
}

// ----------------------------------------------------------------------------------------------- tuning

struct Results {
    uint32_t count;
    bool took_built_in; // the whole step was not faster with each product's best
    vkgpt_tuned tuned[2 * PRODUCT_KERNELS];
};

static void on_result(void *user, const vkgpt_tuned *tuned)
{
    struct Results *r = user;
    if (tuned->settings) {
        assert_string_equal(tuned->kernel, "step");
        assert_true(tuned->built_in_seconds > 0 && tuned->best_seconds > 0 && tuned->tried == 2);
        assert_true(!tuned->settings[0] || !strcmp(tuned->settings, "each product's best"));
        r->took_built_in = !tuned->settings[0];
        return;
    }
    if (tuned->best.outputs) { // a product of a block
        assert_true(tuned->tokens >= GROUP_ROWS && tuned->tokens <= 1024 && tuned->tried > 1);
        assert_true(tuned->best_seconds > 0 && tuned->best_seconds <= tuned->built_in_seconds);
        return;
    }
    assert_true(r->count < 2 * PRODUCT_KERNELS);
    r->tuned[r->count++] = *tuned;
}

// Every product has a result, the file keeps all of them, and a damaged file is reported where users look.
static void test_tune(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_model *model;
    struct Results r = {0};
    char path[2 * DIR_BYTES];
    vkgpt_device *device = open_device("", "off");
    CHECK(vkgpt_model_open(device, model_dir, NULL, &model, &err));
    CHECK(vkgpt_tune(model, on_result, &r, &err));
    snprintf(path, sizeof path, "%s/tuned.txt", test_dir);
    CHECK(vkgpt_tuning_save(device, path, &err));
    assert_null(read_again(device, path));
    uint32_t seen = 0;
    for (uint32_t i = 0; i < 2 * PRODUCT_KERNELS; i++) {
        const struct ProductKey key = key_of(model, i % PRODUCT_KERNELS, i < PRODUCT_KERNELS ? 1 : 8);
        const struct Variant *v = tuning_find(device, &key), usual = variant_built_in(device, &key);
        struct Variant variants[MAX_VARIANTS];
        if (variants_of(device, &key, variants) == 1) continue;
        assert_true(seen < r.count);
        const vkgpt_tuned *t = &r.tuned[seen++];
        assert_non_null(v);
        const struct Variant best = {
            .rows = t->best.rows, .size = t->best.size, .loads = t->best.loads, .staged = t->best.staged};
        const struct Variant told = {.rows = t->built_in.rows,
                                     .size = t->built_in.size,
                                     .loads = t->built_in.loads,
                                     .staged = t->built_in.staged};
        assert_true(variant_same(*v, key.tokens == 1 && r.took_built_in ? usual : best));
        assert_true(tuning_is_thorough(device, &key));
        assert_true(variant_same(usual, told));
        assert_in_range(t->tried, 2, variants_of(device, &key, variants));
        assert_true(t->best_seconds > 0 && t->built_in_seconds > 0);
        assert_true(variant_same(best, usual) || t->best_seconds < t->built_in_seconds);
    }
    assert_true(seen == r.count && seen > 0);
    vkgpt_model_close(model);

    assert_int_equal(vkgpt_tuning_save(device, "no/such/folder/file", &err), VKGPT_BAD_FILE);
    free(device->tuning);
    device->tuning = NULL;
    file_write(test_dir, "bad.txt", "hello", 5);
    snprintf(path, sizeof path, "%s/bad.txt", test_dir);
    setenv("VKGPT_TUNING", path, 1);
    CHECK(vkgpt_model_open(device, model_dir, NULL, &model, &err));
    assert_non_null(strstr(vkgpt_model_describe(model)->note, "the tuning file is ignored"));
    vkgpt_model_close(model);
    close_device(device);
}

static int setup(void **state)
{
    vkgpt_error err;
    CHECK(synthetic_model_temporary(&DECODED_MODEL, model_dir, sizeof model_dir, &err));
    return test_dir_setup(state);
}

static int teardown(void **state)
{
    synthetic_model_remove(model_dir);
    return test_dir_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_bits_by_gpu_kernels),
        cmocka_unit_test(test_tune),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
