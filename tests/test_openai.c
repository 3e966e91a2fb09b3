// GPT-1 as OpenAI published it: ten .npy files and their shapes, cut at several allowed places, and every kind of
// damage that is refused with its sentence. The fixture gpt1/openai-release shows that the numbers give the right
// model.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model_files.h"

// One layer, width 12, 5 positions, 7 tokens.
#define TABLES "[[5, 12], [7, 12], "
#define LAYER "[1, 12, 36], [36], [1, 12, 12], [12], [12], [12], [1, 12, 48], [48], [1, 48, 12], [12], [12], [12]"
static const char shapes[] = TABLES LAYER "]";
enum { NUMBERS = 5 * 12 + 7 * 12 + 12 * 36 + 36 + 12 * 12 + 3 * 12 + 12 * 48 + 48 + 48 * 12 + 3 * 12 };

static void write_piece(int index, const char *header, int first, int count)
{
    struct Bytes file = {0};
    char name[32];
    bytes_add(&file, "\x93NUMPY\1", 8); // with the minor version 0
    bytes_number(&file, strlen(header), 2);
    bytes_text(&file, header);
    for (int i = first; i < first + count; i++) {
        float value = (float)i;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bytes_number(&file, bits, 4);
    }
    snprintf(name, sizeof name, "params_%d.npy", index);
    file_write(test_dir, name, file.data, file.count);
    bytes_free(&file);
}

static void write_good_piece(int index, int first, int count)
{
    char header[128];
    snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }   \n", count);
    write_piece(index, header, first, count);
}

static void write_shapes(const char *text) { file_write(test_dir, "params_shapes.json", text, strlen(text)); }

// The numbers 0, 1, 2, ... in ten pieces with these ends.
static void write_pieces(const int ends[10])
{
    for (int i = 0; i < 10; i++) write_good_piece(i, i ? ends[i - 1] : 0, ends[i] - (i ? ends[i - 1] : 0));
}

static const int even[10] = {203, 406, 609, 812, 1015, 1218, 1421, 1624, 1827, NUMBERS};

static int setup(void **state)
{
    test_dir_setup(state);
    write_shapes(shapes);
    write_pieces(even);
    return 0;
}

// Checks a weight of `rows` rows of `in`, whose numbers begin at `first`; returns where they end.
static int expect_numbers(const struct Weight *weight, int rows, int in, int first)
{
    assert_non_null(weight->tensor);
    for (int o = 0; o < rows; o++)
        for (int i = 0; i < in; i++) {
            float value, wanted = (float)(first + (weight->in_out ? i * rows + o : o * in + i));
            weight_row(weight, o, i, 1, &value);
            if (value != wanted) fail_msg("%s (%d, %d) is %g, not %g", weight->tensor->name, o, i, value, wanted);
        }
    return first + rows * in;
}

static void expect_model(size_t copies)
{
    struct Checkpoint c;
    vkgpt_error err;
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    assert_string_equal(c.config.architecture, "openai-gpt");
    assert_true(c.config.layers == 1 && c.config.heads == 12 && c.config.dim == 12 && c.config.inner == 48);
    assert_true(c.config.context == 5 && c.config.vocab == 7 && c.config.post_norm && c.config.tied_head);
    const struct LayerWeights *l = c.layers;
    int at = expect_numbers(&c.wpe, 5, 12, 0); // positions come first
    at = expect_numbers(&c.wte, 7, 12, at);
    at = expect_numbers(&l->c_attn, 36, 12, at);
    at = expect_numbers(&l->c_attn_bias, 1, 36, at);
    at = expect_numbers(&l->c_proj, 12, 12, at);
    at = expect_numbers(&l->c_proj_bias, 1, 12, at);
    at = expect_numbers(&l->ln_1_gain, 1, 12, at);
    at = expect_numbers(&l->ln_1_bias, 1, 12, at);
    at = expect_numbers(&l->c_fc, 48, 12, at);
    at = expect_numbers(&l->c_fc_bias, 1, 48, at);
    at = expect_numbers(&l->c_out, 12, 48, at);
    at = expect_numbers(&l->c_out_bias, 1, 12, at);
    at = expect_numbers(&l->ln_2_gain, 1, 12, at);
    at = expect_numbers(&l->ln_2_bias, 1, 12, at);
    assert_int_equal(at, NUMBERS);
    assert_int_equal(c.table.room_count, copies);
    checkpoint_close(&c);
}

static void test_cuts(void **state)
{
    (void)state;
    expect_model(4);
    // no piece ends inside a tensor: nothing is copied
    write_pieces((const int[10]){60, 144, 576, 612, 756, 768, 780, 792, 1368, NUMBERS});
    expect_model(0);
    // all in the last piece; all in the first; pieces of one number
    write_pieces((const int[10]){0, 0, 0, 0, 0, 0, 0, 0, 0, NUMBERS});
    expect_model(0);
    enum { N = NUMBERS };
    write_pieces((const int[10]){N, N, N, N, N, N, N, N, N, N});
    expect_model(0);
    write_pieces((const int[10]){61, 62, 62, 63, 64, 65, 66, 67, 68, NUMBERS});
    expect_model(1);
}

static void expect_bad(vkgpt_code code, const char *file, const char *word, const char *other)
{
    struct Checkpoint c;
    vkgpt_error err;
    int got = checkpoint_open(test_dir, &c, &err);
    if (!got) fail_msg("accepted, with no word of %s", word);
    expect_sentence(got, code, &err, file, word, other, NULL);
}

static void test_bad_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        vkgpt_code code;
        const char *words[2];
        // clang-format off
    } bad[] = {
        {"{}", VKGPT_BAD_MODEL, {"0 shapes", "12 for each layer"}},
        {"[]", VKGPT_BAD_MODEL, {"0 shapes", NULL}},
        {"[[5, 12], [7, 12]]", VKGPT_BAD_MODEL, {"2 shapes", NULL}},
        {"[[5, 12], " LAYER "]", VKGPT_BAD_MODEL, {"13 shapes", NULL}},
        {TABLES LAYER ", [1]]", VKGPT_BAD_MODEL, {"15 shapes", NULL}},
        {"[[5, 12], [7], " LAYER "]", VKGPT_BAD_MODEL, {"2 and 1 sizes", NULL}},
        {"[7, [7, 12], " LAYER "]", VKGPT_BAD_MODEL, {"shape 0", "list"}},
        {"[[], [7, 12], " LAYER "]", VKGPT_BAD_MODEL, {"shape 0", "list"}},
        {"[[5, 12, 1, 1], [7, 12], " LAYER "]", VKGPT_BAD_MODEL, {"shape 0", "list"}},
        {"[[5, 0], [7, 12], " LAYER "]", VKGPT_BAD_MODEL, {"shape 0", "size 0"}},
        {"[[5, 12], [7, -12], " LAYER "]", VKGPT_BAD_MODEL, {"shape 1", "size -12"}},
        {"[[5, 12], [7, 1.5], " LAYER "]", VKGPT_BAD_MODEL, {"shape 1", "size 1.5"}},
        {"[[5, 12], [1e9, 12], " LAYER "]", VKGPT_BAD_MODEL, {"size 1e+09", "16777216"}},
        {"[[5, 12], [16777216, 16777216, 16777216], " LAYER "]", VKGPT_BAD_MODEL, {"shape 1", "overflows"}},
        {"[[5, 10], [7, 12], " LAYER "]", VKGPT_BAD_MODEL, {"n_embd 10", "n_head 12"}},
        {"[[5, 12], [6, 12], " LAYER "]", VKGPT_BAD_FILE, {"take 2016", "hold 2028"}},
        {"[[5, 12], [8, 12], " LAYER "]", VKGPT_BAD_FILE, {"h.0.ln_2.bias takes 12 numbers from 2028", "hold 2028"}},
        {"[[5, 12], [16777216, 16777216], " LAYER "]", VKGPT_BAD_FILE, {"281474976710656 numbers from 60", "2028"}},
        {"[[7, 12], [5, 12, 1], " LAYER "]", VKGPT_BAD_MODEL, {"2 and 3 sizes", NULL}},
        {TABLES "[12, 36, 1], [36], [1, 12, 12], [12], [12], [12], [1, 12, 48], [48], [1, 48, 12], [12], [12], [12]]",
         VKGPT_BAD_MODEL, {"h.0.attn.c_attn.weight is (12, 36, 1)", "(12, 36)"}},
        {TABLES "[1, 12, 36], [3, 12], [1, 12, 12], [12], [12], [12], [1, 12, 48], [48], [1, 48, 12], [12], [12],"
                " [12]]",
         VKGPT_BAD_MODEL, {"h.0.attn.c_attn.bias is (3, 12)", "(36)"}},
        {TABLES "[1, 12, 36], [36], [1, 12, 12], [12], [12], [12], [1, 48, 12], [48], [1, 12, 48], [12], [12], [12]]",
         VKGPT_BAD_MODEL, {"h.0.mlp.c_fc.weight is (48, 12)", "(12, 48)"}},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_shapes(bad[i].text);
        expect_bad(bad[i].code, "params_shapes.json", bad[i].words[0], bad[i].words[1]);
    }
    write_shapes("[[5, 12]");
    expect_bad(VKGPT_BAD_FILE, "params_shapes.json", "JSON", NULL);
}

static void test_bad_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *header, *words[2];
    } bad[] = {
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (203,), }\n", {"'<f8'", "'<f4'"}},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (203,), }\n", {"'>f4'", "'<f4'"}},
        {"{'fortran_order': False, 'shape': (203,), }\n", {"absent", "'<f4'"}},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (203,), }\n", {"fortran_order is True", "False"}},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (7, 29), }\n", {"(7, 29)", "flat"}},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", {"()", "flat"}},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }\n", {"(-3,)", "flat"}},
        {"{'descr': '<f4', 'fortran_order': False, }\n", {"absent", "flat"}},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (202,), }\n", {"202 floats", "812 bytes"}},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (204,), }\n", {"204 floats", "812 bytes"}},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }\n",
         {"9223372036854775807", "812"}},
        {"", {"type is absent", NULL}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_piece(4, bad[i].header, 0, 203);
        expect_bad(VKGPT_BAD_FILE, "params_4.npy", bad[i].words[0], bad[i].words[1]);
    }
    struct Bytes file = file_read(test_dir, "params_3.npy");
    file_write(test_dir, "params_4.npy", file.data, 9);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "no .npy file", NULL);
    file_write(test_dir, "params_4.npy", file.data, 40);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "in a file of 40", NULL);
    file_write(test_dir, "params_4.npy", file.data, file.count - 3);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "203 floats", "809 bytes");
    file.data[6] = 4;
    file_write(test_dir, "params_4.npy", file.data, file.count);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "version 4", NULL);
    file.data[6] = 2; // version 2 has a length of 32 bits, which here includes text
    file_write(test_dir, "params_4.npy", file.data, file.count);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "a header of", NULL);
    file_write(test_dir, "params_4.npy", file.data, 0);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "no .npy file", NULL);
    bytes_free(&file);
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/params_4.npy", test_dir);
    remove(path);
    expect_bad(VKGPT_BAD_FILE, "params_4.npy", "No such file", NULL);
}

// A length of 32 bits, and a config.json in the folder, which is then used.
static void test_other_forms(void **state)
{
    (void)state;
    struct Bytes old = file_read(test_dir, "params_4.npy"), file = {0};
    bytes_add(&file, "\x93NUMPY\2", 8);
    bytes_add(&file, old.data + 8, 2);
    bytes_number(&file, 0, 2);
    bytes_add(&file, old.data + 10, old.count - 10);
    file_write(test_dir, "params_4.npy", file.data, file.count);
    expect_model(4);
    bytes_free(&old);
    bytes_free(&file);

    static const char config[] = "{\"model_type\": \"openai-gpt\", \"n_layer\": 1, \"n_head\": 3, \"n_embd\": 12,"
                                 " \"n_positions\": 5, \"vocab_size\": 7, \"afn\": \"relu\"}";
    struct Checkpoint c;
    vkgpt_error err;
    file_write(test_dir, "config.json", config, strlen(config));
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    assert_true(c.config.heads == 3 && c.config.activation == ACTIVATION_RELU);
    checkpoint_close(&c);
}

static void test_mutations(void **state)
{
    (void)state;
    struct Bytes piece = file_read(test_dir, "params_4.npy");
    uint64_t seed = 4;
    for (int i = 0; i < 1500; i++) {
        struct Bytes bytes = {0};
        struct Checkpoint c;
        vkgpt_error err;
        bool of_shapes = i % 2;
        if (of_shapes) bytes_text(&bytes, shapes);
        else bytes_add(&bytes, piece.data, 96);
        bytes_mutate(&bytes, &seed);
        if (!of_shapes) bytes_add(&bytes, piece.data + 96, piece.count - 96);
        file_write(test_dir, of_shapes ? "params_shapes.json" : "params_4.npy", bytes.data, bytes.count);
        int code = checkpoint_open(test_dir, &c, &err);
        if (code) assert_true(code == VKGPT_BAD_FILE || code == VKGPT_BAD_MODEL);
        else weight_max_abs(&c.layers->c_out);
        checkpoint_close(&c);
        if (of_shapes) write_shapes(shapes);
        else file_write(test_dir, "params_4.npy", piece.data, piece.count);
        bytes_free(&bytes);
    }
    bytes_free(&piece);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cuts), TEST(test_bad_shapes), TEST(test_bad_pieces), TEST(test_other_forms), TEST(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
