// embed: hidden states of every class against Hugging Face transformers, batches against single texts, both outputs,
// and what is refused.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function

#include "check.h"
#include "compare.h"
#include "layer_fixture.h"
#include "model_files.h"
#include "program.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define WIDE "--weights", "f32", "--kv", "f32"
#define BOUND 1e-4 // of hidden states, which are near 1
#define WIDTH 256  // of tales

// The embedding of text `index`, and its width.
static size_t embedding_of(const cJSON *json, size_t index, double values[512])
{
    size_t count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(cJSON_GetArrayItem(json_member(json, "embeddings"), (int)index), "embedding"))
    {
        assert_true(count < 512 && cJSON_IsNumber(item));
        values[count++] = item->valuedouble;
    }
    assert_int_equal(count, json_member(json, "width")->valueint);
    return count;
}

// ------------------------------------------------------------------------------------------ transformers

static void agrees(const char *name, const char *pooling)
{
    struct LayerFixture f = layer_fixture_open(name);
    double want[512] = {0}, row[512], got[512];
    size_t width = 0, first = strcmp(pooling, "last") == 0 ? f.tokens - 1 : 0;
    for (size_t t = first; t < f.tokens; t++) {
        width = layer_fixture_hidden(&f, f.layers, t, row);
        for (size_t i = 0; i < width; i++) want[i] += row[i] / (double)(f.tokens - first);
    }
    cJSON *json = output_json(RUN("embed", "-m", f.dir, "--ids", f.ids, "--pooling", pooling, WIDE));
    assert_string_equal(json_member(json, "pooling")->valuestring, pooling);
    assert_int_equal(embedding_of(json, 0, got), width);
    assert_within(difference_f64(got, want, width), BOUND, "%s: %s", name, pooling);
    cJSON_Delete(json);
    layer_fixture_close(&f);
}

static void test_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; layer_fixture_name(i); i++) {
        agrees(layer_fixture_name(i), "mean");
        agrees(layer_fixture_name(i), "last");
    }
}

// ---------------------------------------------------------------------------------------------- batches

#define TEXTS 7

// Texts of several lengths, more rows than a block has: each is what it is alone, and what vkgpt_hidden makes it.
static void test_batches(void **state)
{
    (void)state;
    static const size_t lengths[TEXTS] = {1, 16, 17, 100, 95, 90, 3};
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    vkgpt_ids texts[TEXTS];
    uint32_t ids[256];
    size_t rows[256];
    for (size_t i = 0; i < 256; i++) ids[i] = (uint32_t)(i * 37 % 4000), rows[i] = i;
    for (size_t i = 0; i < TEXTS; i++) texts[i] = (vkgpt_ids){ids + i, lengths[i]};
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(vkgpt_model_open(device, TALES, &(vkgpt_model_options){.hidden_only = true}, &model, &err));
    CHECK(vkgpt_session_open(model, &(vkgpt_session_options){.sequences = 3}, &session, &err));
    for (int pooling = VKGPT_POOL_MEAN; pooling <= VKGPT_POOL_LAST; pooling++) {
        static float all[TEXTS][WIDTH], hidden[256 * WIDTH];
        float alone[WIDTH];
        double mean[WIDTH];
        CHECK(vkgpt_embed(session, texts, TEXTS, (vkgpt_pooling)pooling, all[0], &err));
        assert_int_equal(vkgpt_session_position(session), 0);
        for (size_t i = 0; i < TEXTS; i++) {
            CHECK(vkgpt_embed(session, &texts[i], 1, (vkgpt_pooling)pooling, alone, &err));
            assert_memory_equal(all[i], alone, sizeof alone);
            CHECK(vkgpt_hidden(session, texts[i].ids, lengths[i], rows, lengths[i], hidden, &err));
            CHECK(vkgpt_session_rewind(session, 0, &err));
            memset(mean, 0, sizeof mean);
            size_t first = pooling == VKGPT_POOL_LAST ? lengths[i] - 1 : 0;
            for (size_t r = first; r < lengths[i]; r++)
                for (size_t d = 0; d < WIDTH; d++)
                    mean[d] += (double)hidden[r * WIDTH + d] / (double)(lengths[i] - first);
            assert_within(difference_mixed(all[i], mean, WIDTH), 1e-4, "text %zu, pooling %d", i, pooling);
        }
    }
    assert_int_equal(device->validation_messages, 0);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
}

static void test_refused_texts(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    float row[WIDTH];
    const uint32_t ids[3] = {1, 2, 4096};
    CHECK(vkgpt_device_open(NULL, &device, &err));
    CHECK(vkgpt_model_open(device, TALES, NULL, &model, &err));
    CHECK(vkgpt_session_open(model, &(vkgpt_session_options){.context = 2}, &session, &err));
    static const struct {
        size_t count;
        const char *words;
    } cases[] = {{0, "text 0: 0 tokens, 1 to 2 can be"}, {3, "text 0: 3 tokens, 1 to 2 can be"}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vkgpt_embed(session, &(vkgpt_ids){ids, cases[i].count}, 1, VKGPT_POOL_MEAN, row, &err),
                         VKGPT_BAD_ARGUMENT);
        assert_string_equal(err.text, cases[i].words);
    }
    assert_int_equal(vkgpt_embed(session, &(vkgpt_ids){ids + 2, 1}, 1, VKGPT_POOL_MEAN, row, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "text 0: token id 4096: tales has ids below 4096");
    CHECK(vkgpt_embed(session, NULL, 0, VKGPT_POOL_MEAN, row, &err));
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
}

// ------------------------------------------------------------------------------------------- the program

static double length_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += values[i] * values[i];
    return sqrt(sum);
}

// A line of a file is a text, an empty one too; the NumPy file has the numbers of the JSON.
static void test_prompts(void **state)
{
    (void)state;
    static const char lines[] = "Once upon a time\n\nThe old king had three sons.\r\nOnce upon a time";
    file_write(test_dir, "lines.txt", lines, strlen(lines));
    const char *npy = test_path("rows.npy");
    cJSON *json = output_json(
        RUN("embed", "-m", TALES, "--prompts", test_path("lines.txt"), "-np", "2", "--json", "-o", npy, "--normalize"));
    cJSON *one = output_json(RUN("embed", "-m", TALES, "The old king had three sons.", "--normalize"));
    struct Bytes file = file_read(test_dir, "rows.npy");
    double rows[4][512], alone[512];
    assert_int_equal(cJSON_GetArraySize(json_member(json, "embeddings")), 4);
    assert_true(cJSON_IsTrue(json_member(json, "normalized")));
    assert_int_equal(file.count, 128 + 4 * WIDTH * sizeof(float));
    assert_non_null(strstr((const char *)file.data + 10, "'shape': (4, 256)"));
    for (size_t i = 0; i < 4; i++) {
        float binary[WIDTH];
        assert_int_equal(embedding_of(json, i, rows[i]), WIDTH);
        assert_true(fabs(length_of(rows[i], WIDTH) - 1) < 1e-6);
        memcpy(binary, file.data + 128 + i * sizeof binary, sizeof binary);
        for (size_t d = 0; d < WIDTH; d++) assert_true(binary[d] == (float)rows[i][d]);
    }
    assert_memory_equal(rows[0], rows[3], sizeof(double) * WIDTH);
    assert_int_equal(embedding_of(one, 0, alone), WIDTH);
    assert_within(difference_f64(alone, rows[2], WIDTH), 1e-5, "a line and the text alone");
    assert_true(difference_f64(rows[0], rows[2], WIDTH).most > 1e-2);
    bytes_free(&file);
    cJSON_Delete(json);
    cJSON_Delete(one);
}

// Without --json the file alone is written. A text has the tokens that its tokenizer puts around it.
static void test_output(void **state)
{
    (void)state;
    struct Output o = RUN("embed", "-m", TALES, "--ids", "5,6", "-o", test_path("one.npy"));
    assert_status(&o, 0);
    assert_int_equal(o.out_bytes, 0);
    output_free(&o);
    struct Bytes file = file_read(test_dir, "one.npy");
    assert_int_equal(file.count, 128 + WIDTH * sizeof(float));
    bytes_free(&file);
}

static void test_refusals(void **state)
{
    (void)state;
    file_write(test_dir, "empty.txt", "", 0);
    // clang-format off
    assert_sentence(RUN("embed", "-m", TALES, "a b c d", "-c", "1"), 1, "tokens: the context has room for 1; -c");
    assert_sentence(RUN("embed", "-m", TALES, "--ids", "4096"), 1, "--ids: id 4096 is outside the vocabulary of 4096 tokens");
    assert_sentence(RUN("embed", "-m", TALES, "a", "-o", "/no/such/folder/a.npy"), 1, "/no/such/folder/a.npy");
    assert_sentence(RUN("embed", "-m", TALES, "--prompts", "/no/such/file"), 1, "/no/such/file");
    assert_sentence(RUN("embed", "-m", TALES, "--prompts", test_path("empty.txt")), 1, "empty.txt: holds no line");
    assert_sentence(RUN("embed", "a", "--pooling", "max"), 2, "--pooling is 'max', it has to be one of mean|last");
    assert_sentence(RUN("embed", "a", "--prompts", "b"), 2, "the text is given twice");
    assert_sentence(RUN("embed", "a", "--normalize=l2"), 2, "--normalize takes no value");
    // clang-format on
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transformers),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_refused_texts),
        cmocka_unit_test_setup_teardown(test_prompts, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_output, test_dir_setup, test_dir_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, test_dir_setup, test_dir_teardown),
    };
    return cmocka_run_group_tests_name("gpu_cli_embed", tests, NULL, NULL);
}
