// The models of the papers by name, and checkpoints of them with random weights.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "model/presets_random.h"
#include "model_files.h"

#include <cmocka.h> // last: its fail is a macro, ours a function

#define TALES VKGPT_SOURCE_DIR "/models/tales"

static struct Config config_of(const char *name)
{
    struct Config config;
    const struct Preset *preset = preset_find(name);
    assert_non_null(preset);
    preset_config(preset, &config);
    return config;
}

static void test_sizes_of_the_papers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double millions, within; // GPT-2: as in the published files; GPT-3: as in table D.1
        // clang-format off
    } papers[] = {
        {"gpt2", 124.439808, 1e-9},      {"gpt2-medium", 354.823168, 1e-9}, {"gpt2-large", 774.030080, 1e-9}, {"gpt2-xl", 1557.611200, 1e-9},
        {"gpt3-125m", 125, 0.5},         {"gpt3-350m", 356, 0.5},           {"gpt3-760m", 760, 0.5},          {"gpt3-1.3b", 1320, 5},
        {"gpt3-2.7b", 2650, 5},          {"gpt3-6.7b", 6660, 5},            {"gpt3-13b", 12850, 5},           {"gpt3-175b", 174600, 5},
    };
    // clang-format on
    size_t count = 0;
    while (PRESETS[count].name) count++;
    assert_int_equal(count, sizeof papers / sizeof *papers);
    for (size_t i = 0; i < count; i++) {
        struct Config config = config_of(papers[i].name);
        double millions = (double)config_params(&config) * 1e-6;
        if (!(fabs(millions - papers[i].millions) <= papers[i].within))
            fail_msg("%s: %f M parameters", papers[i].name, millions);
        assert_int_equal(config.dim % config.heads, 0);
        assert_int_equal(config.context, i < 4 ? 1024 : 2048);
        for (uint32_t l = 0; l < config.layers; l++)
            assert_int_equal(config_window(&config, l), i >= 4 && l % 2 ? 256 : 0);
    }
    assert_null(preset_find("gpt4"));
}

static void test_resize(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Config config = config_of("gpt3-125m");
    assert_int_equal(
        preset_resize(&config, &(struct PresetSizes){.layers = 5, .dim = 96, .heads = 6, .vocab = 11}, &err), 0);
    assert_int_equal(config.inner, 384);
    assert_int_equal(config.head_dim, 16);
    assert_int_equal(config_window(&config, 3), 256);
    assert_int_equal(config_window(&config, 5), 0); // after the last layer
    assert_int_equal(preset_resize(&config, &(struct PresetSizes){.inner = 100, .dim = 48}, &err), 0);
    assert_int_equal(config.inner, 100);
    assert_int_equal(preset_resize(&config, &(struct PresetSizes){.heads = 5}, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "48 is not a multiple of 5 heads"));
    assert_int_equal(preset_resize(&config, &(struct PresetSizes){.layers = 5000}, &err), VKGPT_BAD_ARGUMENT);
}

static void test_numbers(void **state)
{
    (void)state;
    static float values[100000], again[100000];
    const struct RandomTensor tensor = {"transformer.h.0.ln_1.weight", 100000, 0, 1, 0.25};
    random_fill(&tensor, 7, DTYPE_F32, 0, 100000, (uint8_t *)values);
    double sum = 0, squares = 0, largest = 0;
    for (size_t i = 0; i < 100000; i++)
        sum += values[i] - 1.0, squares += (values[i] - 1.0) * (values[i] - 1.0),
            largest = fmax(largest, fabs(values[i] - 1.0));
    assert_true(fabs(sum / 100000) < 0.004);
    assert_true(fabs(sqrt(squares / 100000) - 0.25) < 0.003);
    assert_true(largest > 0.7 && largest < 0.87);

    for (size_t at = 0, step = 1; at < 100000; at += step, step = step * 3 % 1001 + 1) // no matter how it is cut
        random_fill(&tensor, 7, DTYPE_F32, at, 100000 - at < step ? 100000 - at : step, (uint8_t *)(again + at));
    assert_memory_equal(values, again, sizeof values);
    random_fill(&tensor, 8, DTYPE_F32, 0, 100000, (uint8_t *)again);
    assert_memory_not_equal(values, again, sizeof values);
    const struct RandomTensor other = {"transformer.h.0.ln_2.weight", 100000, 0, 1, 0.25};
    random_fill(&other, 7, DTYPE_F32, 0, 100000, (uint8_t *)again);
    assert_memory_not_equal(values, again, sizeof values);
}

// ------------------------------------------------------------------------------------------------ checkpoints

struct Place {
    char dir[DIR_BYTES], model[DIR_BYTES + 16];
};

static struct Place place_make(void)
{
    struct Place place;
    dir_make(place.dir);
    snprintf(place.model, sizeof place.model, "%s/model", place.dir);
    return place;
}

static void place_file(char path[2 * DIR_BYTES], const struct Place *place, const char *name)
{
    snprintf(path, 2 * DIR_BYTES, "%s/%s", place->model, name);
}

// Checks that the directory has these files; that it can be removed shows that there are no others.
static void place_remove(const struct Place *place, const char *const *files)
{
    char path[2 * DIR_BYTES];
    for (; *files; files++) {
        place_file(path, place, *files);
        if (remove(path)) fail_msg("%s is not there", path);
    }
    if (os_is_dir(place->model) && rmdir(place->model)) fail_msg("%s holds more than it should", place->model);
    assert_int_equal(rmdir(place->dir), 0);
}

static const char *const one_file[] = {"config.json", "model.safetensors", "vocab.json", "merges.txt", NULL};
static const struct PresetSizes small = {.layers = 3, .heads = 2, .dim = 48, .inner = 80, .context = 37, .vocab = 307};

static struct PresetOutput output_of(const struct Place *place, const char *preset)
{
    return (struct PresetOutput){
        .dir = place->model, .tokenizer = TALES, .preset = preset, .dtype = DTYPE_F32, .seed = 3, .shards = 1};
}

static int write_small(const char *preset, const struct PresetOutput *output, vkgpt_error *err)
{
    struct Config config = config_of(preset);
    assert_int_equal(preset_resize(&config, &small, err), 0);
    return preset_write(&config, output, err);
}

static double deviation(const struct Weight *weight, int64_t in)
{
    float row[128];
    double squares = 0, rows = 24;
    for (int64_t o = 0; o < rows; o++) {
        weight_row(weight, o, 0, in, row);
        for (int64_t i = 0; i < in; i++) squares += (double)row[i] * row[i];
    }
    return sqrt(squares / (rows * (double)in));
}

static void opens(const char *preset, enum Dtype dtype, uint32_t shards)
{
    vkgpt_error err = {0};
    struct Checkpoint checkpoint;
    struct Place place = place_make();
    struct PresetOutput output = output_of(&place, preset);
    output.dtype = dtype;
    if (write_small(preset, &output, &err)) fail_msg("%s", err.text);
    output.shards = shards;
    output.force = true; // replaces an earlier one
    if (write_small(preset, &output, &err)) fail_msg("%s", err.text);
    if (checkpoint_open(place.model, &checkpoint, &err)) fail_msg("%s", err.text);
    struct Config wanted = config_of(preset), *got = &checkpoint.config;
    preset_resize(&wanted, &small, &err);
    assert_string_equal(got->architecture, wanted.architecture);
    assert_int_equal(config_params(got), config_params(&wanted));
    assert_int_equal(got->scale_attention, wanted.scale_attention);
    assert_memory_equal(got->local, wanted.local, sizeof wanted.local);
    assert_int_equal(got->context, 37);
    assert_int_equal(checkpoint.wte.tensor->dtype, dtype);
    assert_true(got->tied_head);
    const struct LayerWeights *layer = &checkpoint.layers[1];
    assert_true(fabs(deviation(&layer->c_fc, 48) - 0.02) < 0.001);
    assert_true(fabs(deviation(&layer->c_out, 80) - 0.02 / sqrt(6)) < 0.0005);
    if (layer->q.tensor) assert_true(fabs(deviation(&layer->q, 48) - 0.02 / sqrt(24)) < 0.0003);
    checkpoint_close(&checkpoint);

    vkgpt_tokenizer *tokenizer;
    if (vkgpt_tokenizer_open(place.model, 0, &tokenizer, &err)) fail_msg("%s", err.text);
    vkgpt_tokenizer_close(tokenizer);
    static const char *const three[] = {"config.json",
                                        "model.safetensors.index.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "model-00001-of-00003.safetensors",
                                        "model-00002-of-00003.safetensors",
                                        "model-00003-of-00003.safetensors",
                                        NULL};
    place_remove(&place, shards == 1 ? one_file : three);
}

static void test_checkpoints(void **state)
{
    (void)state;
    opens("gpt2", DTYPE_F32, 1);
    opens("gpt2", DTYPE_F16, 3);
    opens("gpt3-125m", DTYPE_F32, 3);
    opens("gpt3-125m", DTYPE_BF16, 1);
}

static uint64_t file_hash(const struct Place *place, const char *name)
{
    char path[2 * DIR_BYTES], *data;
    size_t bytes;
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    place_file(path, place, name);
    assert_int_equal(os_read(path, 1 << 24, &data, &bytes, NULL), 0);
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ (uint8_t)data[i]) * UINT64_C(0x100000001B3);
    free(data);
    return hash;
}

static void test_same_bytes(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Place place = place_make();
    struct PresetOutput output = output_of(&place, "gpt2");
    output.dtype = DTYPE_F16;
    assert_int_equal(write_small("gpt2", &output, &err), 0);
    assert_true(file_hash(&place, "model.safetensors") == UINT64_C(0x980A2C10FEE6148A)); // on every machine, for ever
    place_remove(&place, one_file);
}

static void put(const struct Place *place, const char *name, const char *text)
{
    char path[2 * DIR_BYTES];
    assert_int_equal(os_make_dirs(place->model), 0);
    place_file(path, place, name);
    assert_int_equal(os_write(path, text, strlen(text), NULL), 0);
}

static void test_refuses_to_overwrite(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.json", "pytorch_model.bin"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vkgpt_error err;
        struct Place place = place_make();
        struct PresetOutput output = output_of(&place, "gpt2");
        put(&place, files[i], "{\"model_type\": \"gpt2\"}");
        assert_int_equal(write_small("gpt2", &output, &err), VKGPT_BAD_FILE);
        assert_non_null(strstr(err.text, files[i]));
        assert_non_null(strstr(err.text, "holds a model already"));
        output.force = true; // no file of the old one stays with the new one
        put(&place, "special_tokens_map.json", "{}");
        put(&place, "model-00001-of-00009.safetensors", "x");
        assert_int_equal(write_small("gpt2", &output, &err), 0);
        place_remove(&place, one_file);
    }
}

static bool stop_at_once(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    assert_true(done <= total);
    return false;
}

static void test_failures_leave_nothing(void **state)
{
    (void)state;
    vkgpt_error err;
    struct Place place = place_make();
    struct PresetOutput output = output_of(&place, "gpt2");
    output.progress = stop_at_once;
    assert_int_equal(write_small("gpt2", &output, &err), VKGPT_INTERRUPTED);
    assert_false(os_exists(place.model));
    output.progress = NULL;
    output.tokenizer = place.dir;
    assert_int_equal(write_small("gpt2", &output, &err), VKGPT_BAD_FILE);
    assert_non_null(strstr(err.text, "vocab.json"));
    assert_false(os_exists(place.model));
    output.tokenizer = TALES;
    output.shards = 1000;
    assert_int_equal(write_small("gpt2", &output, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "1000 shards for 40 tensors"));
    assert_false(os_exists(place.model));

    output.shards = 1; // and the old files stay
    assert_int_equal(write_small("gpt2", &output, &err), 0);
    uint64_t before = file_hash(&place, "model.safetensors");
    output.seed = 9;
    output.force = true;
    output.progress = stop_at_once;
    assert_int_equal(write_small("gpt2", &output, &err), VKGPT_INTERRUPTED);
    assert_true(file_hash(&place, "model.safetensors") == before);
    place_remove(&place, one_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_of_the_papers),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_refuses_to_overwrite),
        cmocka_unit_test(test_failures_leave_nothing),
    };
    return cmocka_run_group_tests_name("presets", tests, NULL, NULL);
}
