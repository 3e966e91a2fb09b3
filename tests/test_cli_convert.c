// vkgpt convert as a user runs it: every fixture is converted from a directory to a directory, and to GGUF and back,
// and the results are compared; what is refused; and outputs that exist already.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/convert.h"
#include "fixture.h"
#include "head_fixture.h"
#include "model/config_write.h"
#include "model/gguf_write.h"
#include "program.h"
#include "reference_model.h"
#include "text/reader.h"
#include "tokenizer_files.h"

#define ROWS 5 // of logits that are compared

static char model[2 * DIR_BYTES], out[2 * DIR_BYTES], gguf[2 * DIR_BYTES];

static int setup(void **state)
{
    test_dir_setup(state);
    snprintf(model, sizeof model, "%s/model", test_dir);
    snprintf(out, sizeof out, "%s/out", test_dir);
    snprintf(gguf, sizeof gguf, "%s/out.gguf", test_dir);
    return 0;
}

static void folder_empty(const char *folder)
{
    if (os_is_dir(folder)) dir_remove(folder);
}

static void convert(const char *from, const char *to)
{
    struct Output o = RUN("convert", "-m", from, "-o", to, "--type", "f32", "--force");
    assert_status(&o, 0);
    assert_string_equal(o.out, "");
    assert_string_equal(o.err, "");
    output_free(&o);
}

static void refuse(const char *from, const char *to, const char *part)
{
    assert_sentence(RUN("convert", "-m", from, "-o", to, "--type", "f32"), 1, part);
    assert_false(os_exists(to));
}

static bool has(const char *folder, const char *name)
{
    char path[3 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return os_exists(path);
}

static void copy_folder(const char *from, const char *to)
{
    char name[256] = "";
    if (os_make_dirs(to)) fail_msg("%s: cannot be made", to);
    while (os_next(from, "", name, sizeof name)) {
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        struct Bytes file = file_read(from, name);
        file_write(to, name, file.data, file.count);
        bytes_free(&file);
    }
}

// ------------------------------------------------------------------------------------------------- what is compared

static void same_config(const char *one, const char *other)
{
    struct Config a, b;
    vkgpt_error err;
    bool file = !os_is_dir(other);
    if (config_read(one, &a, &err) || (file ? gguf_config_read(other, &b, &err) : config_read(other, &b, &err)))
        fail_msg("%s", err.text);
    const char *field = config_difference(&a, &b);
    if (field) fail_msg("%s: %s of the config differs", one, field);
}

// Compares the logits of the first ids, bit for bit.
static void same_logits(const char *one, const char *other)
{
    struct Checkpoint a, b;
    vkgpt_error err;
    if (checkpoint_open(one, &a, &err) || checkpoint_open(other, &b, &err)) fail_msg("%s", err.text);
    assert_true(a.config.tied_head == b.config.tied_head);
    uint32_t ids[ROWS], count = a.config.context < ROWS ? a.config.context : ROWS;
    for (uint32_t i = 0; i < count; i++) ids[i] = (i * 7 + 1) % a.config.vocab;
    size_t bytes = count * a.config.vocab * sizeof(double);
    double *x = malloc(bytes), *y = malloc(bytes);
    if (reference_forward(&a, ids, count, x, &err) || reference_forward(&b, ids, count, y, &err))
        fail_msg("%s", err.text);
    if (memcmp(x, y, bytes) != 0) fail_msg("%s and %s: other logits", one, other);
    free(x);
    free(y);
    checkpoint_close(&a);
    checkpoint_close(&b);
}

static void same_tokenizer(const char *one, const char *other)
{
    struct Vocab a, b;
    vkgpt_error err;
    if (reader_open(one, 0, &a, &err) || reader_open(other, 0, &b, &err)) fail_msg("%s", err.text);
    const char *field = vocab_difference(&a, &b);
    if (field) fail_msg("%s: %s differ", one, field);
    vocab_free(&a);
    vocab_free(&b);
}

static void same_head(const char *one, const char *other)
{
    vkgpt_head *a, *b;
    vkgpt_error err;
    if (vkgpt_head_open(one, &a, &err) || vkgpt_head_open(other, &b, &err)) fail_msg("%s", err.text);
    const vkgpt_head_info *x = vkgpt_head_describe(a), *y = vkgpt_head_describe(b);
    assert_true(x->kind == y->kind && x->problem == y->problem && x->scores == y->scores && x->hidden == y->hidden);
    for (uint32_t i = 0; x->labels && i < x->scores; i++) assert_string_equal(x->labels[i], y->labels[i]);
    float *hidden = malloc(x->hidden * sizeof *hidden);
    double *left = malloc(x->scores * sizeof *left), *right = malloc(x->scores * sizeof *right);
    for (uint32_t i = 0; i < x->hidden; i++) hidden[i] = (float)i * 0.37f - 3;
    if (vkgpt_head_scores(a, hidden, left, &err) || vkgpt_head_scores(b, hidden, right, &err)) fail_msg("%s", err.text);
    assert_memory_equal(left, right, x->scores * sizeof *left);
    for (uint32_t id = 0; id < 4; id++) // the last one may be padding
        assert_int_equal(vkgpt_head_position(a, (uint32_t[]){5, id}, 2),
                         vkgpt_head_position(b, (uint32_t[]){5, id}, 2));
    free(hidden);
    free(left);
    free(right);
    vkgpt_head_close(a);
    vkgpt_head_close(b);
}

// ------------------------------------------------------------------------------------------- models without tokens

// A tokenizer of a few tokens, for models of at least 5 rows.
static const char few_tokens[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"<e>\", \"normalized\": false, \"special\": true}], "
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"model\": {\"type\": \"BPE\", "
    "\"vocab\": {\"<e>\": 0, \"a\": 1, \"b\": 2, \"ab\": 3}, \"merges\": [\"a b\"]}}";

// Converts to GGUF and back; or checks that GGUF refuses the model with this word.
static void through_gguf(const char *from, const char *refusal)
{
    if (refusal) {
        refuse(from, gguf, refusal);
        return;
    }
    convert(from, gguf);
    same_config(from, gguf);
    same_logits(from, gguf);
    convert(gguf, out);
    same_config(from, out);
    same_logits(from, out);
    same_tokenizer(from, out);
    remove(gguf);
}

static void test_gpt2(void **state)
{
    (void)state;
    static const char *const refusals[] = {
        // in the order of fixture_name
        NULL, "gelu (erf)", "relu",    "silu", "quick_gelu", "silu", NULL, NULL,
        NULL, NULL,         "has id ", NULL,   NULL,         NULL,   NULL,
    };
    for (size_t i = 0; fixture_name(i); i++) {
        struct Fixture f;
        vkgpt_error err;
        if (fixture_open(fixture_name(i), &f, &err)) fail_msg("%s", err.text);
        refuse(f.dir, gguf, refusals[i] && f.vocab > 2 ? refusals[i] : "holds no tokenizer");
        copy_folder(f.dir, model);
        convert(model, out);
        same_config(model, out);
        same_logits(model, out);
        assert_false(has(out, "tokenizer.json"));
        file_write(model, "tokenizer.json", few_tokens, strlen(few_tokens));
        file_write(model, "tokenizer_config.json", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}", 46);
        through_gguf(model, refusals[i]);
        folder_empty(model);
        folder_empty(out);
        fixture_close(&f);
    }
}

// A GGUF file without a tokenizer makes a directory without one.
static void test_gguf_without_tokenizer(void **state)
{
    (void)state;
    struct Checkpoint c;
    struct GgufKeys keys = {0};
    const struct GgufOutput output = {.path = gguf, .type = VKGPT_F32};
    char from[512], other[3 * DIR_BYTES];
    vkgpt_error err;
    snprintf(from, sizeof from, "%s/tests/fixtures/gpt2/gelu-new-48", VKGPT_SOURCE_DIR);
    snprintf(other, sizeof other, "%s/other.gguf", test_dir);
    if (checkpoint_open(from, &c, &err)) fail_msg("%s", err.text);
    gguf_put_model(&keys, &c, VKGPT_F32);
    if (gguf_write(&output, &c, &keys, &err)) fail_msg("%s", err.text);
    gguf_keys_free(&keys);
    checkpoint_close(&c);
    refuse(gguf, other, "holds no tokenizer");
    convert(gguf, out);
    same_logits(from, out);
    assert_false(has(out, "tokenizer.json") || has(out, "tokenizer_config.json"));
}

static void test_families(void **state)
{
    (void)state;
    for (size_t i = 0; fixture_family_name(i); i++) {
        struct Fixture f;
        vkgpt_error err;
        if (fixture_open(fixture_family_name(i), &f, &err)) fail_msg("%s", err.text);
        convert(f.dir, out);
        same_config(f.dir, out);
        same_logits(f.dir, out);
        refuse(f.dir, gguf, "is of architecture");
        folder_empty(out);
        fixture_close(&f);
    }
}

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; head_fixture_name(i); i++) {
        char from[512];
        head_fixture_dir(head_fixture_name(i), from, sizeof from);
        bool gpt2 = strncmp(head_fixture_name(i), "gpt2", 4) == 0;
        convert(from, out);
        same_config(from, out);
        same_head(from, out);
        if (has(from, "vocab.json")) same_tokenizer(from, out);
        refuse(from, gguf, !gpt2 ? "architecture" : strstr(from, "choice") ? "multiple_choice_head" : "score.weight");
        folder_empty(out);
    }
}

// ------------------------------------------------------------------------------------------------- tokenizers

// Zeros for a model of one layer, width 2, of class gpt2 or openai-gpt.
static void write_weights(bool gpt1, uint32_t vocab)
{
    static const struct {
        const char *name, *of_gpt1; // "": none
        int rows, columns;          // rows 0: a vector; -1: the vocabulary
        // clang-format off
    } tensors[] = {
        {"wte.weight", "tokens_embed.weight", -1, 2}, {"wpe.weight", "positions_embed.weight", 8, 2},
        {"ln_f.weight", "", 0, 2},                    {"ln_f.bias", "", 0, 2},
        {"h.0.ln_1.weight", NULL, 0, 2},              {"h.0.ln_1.bias", NULL, 0, 2},
        {"h.0.attn.c_attn.weight", NULL, 2, 6},       {"h.0.attn.c_attn.bias", NULL, 0, 6},
        {"h.0.attn.c_proj.weight", NULL, 2, 2},       {"h.0.attn.c_proj.bias", NULL, 0, 2},
        {"h.0.ln_2.weight", NULL, 0, 2},              {"h.0.ln_2.bias", NULL, 0, 2},
        {"h.0.mlp.c_fc.weight", NULL, 2, 8},          {"h.0.mlp.c_fc.bias", NULL, 0, 8},
        {"h.0.mlp.c_proj.weight", NULL, 8, 2},        {"h.0.mlp.c_proj.bias", NULL, 0, 2},
    };
    // clang-format on
    struct Bytes header = {0}, file = {0};
    char entry[256];
    size_t at = 0;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        const char *name = gpt1 && tensors[i].of_gpt1 ? tensors[i].of_gpt1 : tensors[i].name;
        size_t rows = tensors[i].rows < 0 ? vocab : (size_t)tensors[i].rows, columns = (size_t)tensors[i].columns;
        size_t end = at + (rows ? rows : 1) * columns * 4;
        char first[32] = "";
        if (!*name) continue;
        if (rows) snprintf(first, sizeof first, "%zu, ", rows);
        snprintf(entry, sizeof entry,
                 "%c\"%s\": {\"dtype\": \"F32\", \"shape\": [%s%zu], \"data_offsets\": [%zu, %zu]}", i ? ',' : '{',
                 name, first, columns, at, end);
        bytes_text(&header, entry);
        at = end;
    }
    bytes_text(&header, "}");
    bytes_number(&file, header.count, 8);
    bytes_add(&file, header.data, header.count);
    for (; at; at--) bytes_number(&file, 0, 1);
    file_write(model, "model.safetensors", file.data, file.count);
    bytes_free(&file);
    bytes_free(&header);
}

static void remove_model_file(const char *name)
{
    char path[3 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/%s", model, name);
    remove(path);
}

// A model around the fixture of a tokenizer, with the end tokens that `more` says.
static void write_model(const char *name, const char *more)
{
    char from[1024], config[1024];
    bool gpt1 = strncmp(name, "gpt1", 4) == 0;
    int vocab = gpt1 ? 434 : strcmp(name, "galactica") == 0 ? 421 : 357;
    snprintf(from, sizeof from, "%s/%s", FIXTURES, name);
    copy_folder(from, model);
    snprintf(config, sizeof config,
             "{\"model_type\": \"%s\", \"vocab_size\": %d, \"n_embd\": 2, \"n_head\": 1, \"n_layer\": 1, "
             "\"n_positions\": 8%s%s}",
             gpt1 ? "openai-gpt" : "gpt2", vocab, more,
             strcmp(name, "neo") == 0 ? ", \"tokenizer_class\": \"GPT2Tokenizer\"" : "");
    file_write(model, "config.json", config, strlen(config));
    write_weights(gpt1, (uint32_t)vocab);
}

// Every fixture, and the word with which GGUF refuses it.
static const struct {
    const char *name, *refusal;
    enum FixtureCheck check;
    const char *bos; // config.json's, where it is not null
} tokenizers[] = {
    {"added", "lstrip", CHECK_IDS, NULL},
    {"bos", NULL, CHECK_IDS, "341"},
    {"bos_json", NULL, CHECK_IDS, NULL},
    {"escaped", NULL, CHECK_IDS, NULL},
    {"fused", "fuse_unk", CHECK_IDS, NULL},
    {"galactica", "NFKC", CHECK_IDS, NULL},
    {"holes", NULL, CHECK_IDS, NULL},
    {"legacy", NULL, CHECK_IDS, NULL},
    {"listed", "lstrip", CHECK_IDS, NULL},
    {"neo", NULL, CHECK_BOTH, NULL},
    {"opt", NULL, CHECK_IDS, "2"},
    {"pairs", NULL, CHECK_BOTH, NULL},
    {"roles", "lstrip", CHECK_IDS, NULL},
    {"sorted", NULL, CHECK_BOTH, NULL},
    {"space", "add_prefix_space", CHECK_IDS, NULL},
    {"space_ignored", NULL, CHECK_BOTH, NULL},
    {"space_json", "add_prefix_space", CHECK_IDS, NULL},
    {"strings", NULL, CHECK_BOTH, NULL},
    {"template", "before the text", CHECK_IDS, NULL},
    {"template", NULL, CHECK_IDS, "340"},
    {"unk", "unk_token", CHECK_IDS, NULL},
    {"gpt1", "architecture", CHECK_IDS, NULL},
    {"gpt1_added", "architecture", CHECK_IDS, NULL},
    {"gpt1_json", "architecture", CHECK_IDS, NULL},
    {"gpt1_legacy", "architecture", CHECK_IDS, NULL},
    {"gpt1_original", "architecture", CHECK_IDS, NULL},
};

static void test_tokenizers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
        const char *name = tokenizers[i].name;
        char roles[64];
        snprintf(roles, sizeof roles, ", \"bos_token_id\": %s, \"eos_token_id\": null",
                 tokenizers[i].bos ? tokenizers[i].bos : "null");
        write_model(name, roles);
        convert(model, out);
        same_config(model, out);
        same_tokenizer(model, out);
        check_fixture(name, out, 1, tokenizers[i].check);
        if (strncmp(name, "gpt1", 4) != 0 && !has(out, "tokenizer.json"))
            fail_msg("%s: no tokenizer.json is made", name);
        folder_empty(out);
        if (tokenizers[i].refusal) {
            refuse(model, gguf, tokenizers[i].refusal);
        } else {
            through_gguf(model, NULL);
            check_fixture(name, out, 1, tokenizers[i].check);
        }
        folder_empty(model);
        folder_empty(out);
    }
}

static void test_shipped(void **state)
{
    (void)state;
    static const char *const names[] = {"tales", "shots"};
    for (int i = 0; i < 2; i++) {
        char from[512];
        snprintf(from, sizeof from, "%s/models/%s", VKGPT_SOURCE_DIR, names[i]);
        convert(from, out);
        same_config(from, out);
        same_logits(from, out);
        same_tokenizer(from, out);
        folder_empty(out);
        through_gguf(from, NULL);
        folder_empty(out);
    }
}

static void no_note(const char *sentence) { fail_msg("%s", sentence); }

// The tokenizer comes from another directory, or from a GGUF file, because the model has none.
static void test_tokenizer_elsewhere(void **state)
{
    (void)state;
    char elsewhere[2 * DIR_BYTES];
    struct Checkpoint c;
    vkgpt_error err;
    write_model("sorted", "");
    convert(model, gguf);
    snprintf(elsewhere, sizeof elsewhere, "%s/sorted", FIXTURES);
    remove_model_file("vocab.json");
    remove_model_file("merges.txt");
    if (checkpoint_open(model, &c, &err)) fail_msg("%s", err.text);
    for (int i = 0; i < 2; i++) {
        const struct Conversion conversion = {
            .model = model, .output = out, .tokenizer = i ? gguf : elsewhere, .checkpoint = &c, .note = no_note};
        if (convert_to_directory(&conversion, &err)) fail_msg("%s", err.text);
        same_tokenizer(elsewhere, out);
        same_config(model, out);
        folder_empty(out);
    }
    checkpoint_close(&c);
}

// ------------------------------------------------------------------------------------------------- end tokens

static void test_ends(void **state)
{
    (void)state;
    static const char three[] = "{\"bos_token_id\": 3, \"eos_token_id\": [7, 200, 0]}";
    static const char four[] = "{\"eos_token_id\": [7, 200, 0, 9]}";
    write_model("pairs", ", \"eos_token_id\": 5");
    file_write(model, "generation_config.json", three, strlen(three));
    convert(model, out);
    same_config(model, out);
    folder_empty(out);
    through_gguf(model, NULL);
    struct Config config;
    vkgpt_error err;
    if (config_read(out, &config, &err)) fail_msg("%s", err.text);
    assert_true(config.bos == 3 && config.eos_count == 3);
    assert_true(config.eos[0] == 7 && config.eos[1] == 200 && config.eos[2] == 0);
    file_write(model, "generation_config.json", four, strlen(four));
    refuse(model, gguf, "has 4 end tokens (eos_token_id), and GGUF can say 3");
}

// ------------------------------------------------------------------------------------------ what a directory keeps

// Keeps every key of config.json except the type of the weights, and every tensor except attention masks (attn.bias).
static void test_keeps(void **state)
{
    (void)state;
    static const char config[] =
        "{\"model_type\": \"gpt2\", \"vocab_size\": 357, \"n_embd\": 2, \"n_head\": 1, \"n_layer\": 1, "
        "\"n_positions\": 8, \"some_key\": {\"a\": [1.5, 1e-05, 12345678901234, \"\\u00e9\"]}, \"dtype\": "
        "\"bfloat16\", \"far\": [-1e999]}";
    write_model("strings", "");
    file_write(model, "config.json", config, strlen(config));
    struct Bytes file = file_read(model, "model.safetensors"), bigger = {0};
    uint64_t length;
    memcpy(&length, file.data, 8); // on a little-endian machine, as all that run the tests are
    char *header = malloc(length + 1), *longer;
    memcpy(header, file.data + 8, length);
    header[length] = '\0';
    size_t data = file.count - 8 - length;
    char more[256];
    snprintf(more, sizeof more,
             "{\"v_head.weight\": {\"dtype\": \"BF16\", \"shape\": [3], \"data_offsets\": [%zu, %zu]}, "
             "\"counts\": {\"dtype\": \"I64\", \"shape\": [], \"data_offsets\": [%zu, %zu]}, "
             "\"h.0.attn.bias\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [%zu, %zu]}, ",
             data, data + 6, data + 6, data + 14, data + 14, data + 15);
    longer = text_replace(header, "{", more);
    bytes_number(&bigger, strlen(longer), 8);
    bytes_text(&bigger, longer);
    bytes_add(&bigger, file.data + 8 + length, data);
    for (int i = 0; i < 15; i++) bytes_number(&bigger, (uint64_t)i + 1, 1);
    file_write(model, "model.safetensors", bigger.data, bigger.count);
    refuse(model, gguf, "v_head.weight");
    convert(model, out);

    struct Checkpoint c;
    vkgpt_error err;
    if (checkpoint_open(out, &c, &err)) fail_msg("%s", err.text);
    const struct Tensor *head = NULL, *counts = NULL;
    for (size_t i = 0; i < c.table.count; i++) {
        if (strcmp(c.table.tensors[i].name, "v_head.weight") == 0) head = &c.table.tensors[i];
        if (strcmp(c.table.tensors[i].name, "counts") == 0) counts = &c.table.tensors[i];
    }
    assert_int_equal(c.table.count, 18);
    assert_true(head && counts && head->dtype == DTYPE_BF16 && head->bytes == 6 && counts->bytes == 8 &&
                counts->rank == 0);
    assert_memory_equal(head->data, "\1\2\3\4\5\6", 6);
    assert_memory_equal(counts->data, "\7\10\11\12\13\14\15\16", 8);
    assert_string_equal(c.wte.tensor->dtype_name, "F32");
    checkpoint_close(&c);
    struct Bytes written = file_read(out, "config.json");
    bytes_number(&written, 0, 1);
    cJSON *json = cJSON_Parse((const char *)written.data), *before = cJSON_Parse(config);
    assert_string_equal(json_member(json, "dtype")->valuestring, "float32");
    assert_null(cJSON_GetObjectItem(json, "torch_dtype"));
    assert_true(cJSON_GetArrayItem(json_member(json, "far"), 0)->valuedouble < -1e308);
    assert_true(cJSON_Compare(json_member(json, "some_key"), json_member(before, "some_key"), true));
    cJSON_Delete(json);
    cJSON_Delete(before);
    bytes_free(&written);
    bytes_free(&file);
    bytes_free(&bigger);
    free(header);
    free(longer);
}

// A tokenizer that vkgpt cannot read is copied, and stderr says that no tokenizer.json is made from it.
static void test_unread_tokenizer(void **state)
{
    (void)state;
    static const char unknown[] = "{\"tokenizer_class\": \"XTokenizer\"}";
    write_model("sorted", "");
    file_write(model, "tokenizer_config.json", unknown, strlen(unknown));
    struct Output o = RUN("convert", "-m", model, "-o", out);
    assert_status(&o, 0);
    assert_non_null(strstr(o.err, "XTokenizer"));
    output_free(&o);
    assert_true(has(out, "vocab.json") && has(out, "merges.txt") && has(out, "tokenizer_config.json"));
    assert_false(has(out, "tokenizer.json"));
    refuse(model, gguf, "XTokenizer");
}

// ---------------------------------------------------------------------------------------------- what is there already

static void test_force(void **state)
{
    (void)state;
    write_model("pairs", "");
    convert(model, out);
    file_write(out, "README.md", "mine", 4);
    struct Bytes before = file_read(out, "model.safetensors");
    assert_sentence(RUN("convert", "-m", model, "-o", out), 1,
                    "holds a model already (config.json); --force replaces it");
    struct Bytes after = file_read(out, "model.safetensors");
    assert_int_equal(before.count, after.count);
    assert_memory_equal(before.data, after.data, before.count);
    bytes_free(&before);
    bytes_free(&after);

    // files that the new model does not have are removed; files that do not belong to a model stay
    file_write(out, "special_tokens_map.json", "{}", 2);
    file_write(out, "model-00001-of-00002.safetensors", "x", 1);
    file_write(out, "pytorch_model.bin", "x", 1);
    convert(model, out);
    assert_false(has(out, "special_tokens_map.json") || has(out, "model-00001-of-00002.safetensors") ||
                 has(out, "pytorch_model.bin"));
    assert_true(has(out, "README.md") && has(out, "tokenizer.json") && !has(out, ".vkgpt-convert"));
    same_tokenizer(model, out);
    convert(out, out); // in place
    same_tokenizer(model, out);
    same_logits(model, out);

    file_write(test_dir, "out.gguf", "before", 6);
    assert_sentence(RUN("convert", "-m", model, "-o", gguf), 1, "is there already; --force replaces it");
    convert(model, gguf);
    same_logits(model, gguf);
}

// A conversion that fails leaves the old files as they were, and no new ones.
static void test_failure(void **state)
{
    (void)state;
    write_model("pairs", "");
    convert(model, out);
    struct Bytes before = file_read(out, "config.json");
    file_write(model, "config.json", "{}", 2);
    assert_sentence(RUN("convert", "-m", model, "-o", out, "--force"), 1, "the config says");
    struct Bytes after = file_read(out, "config.json");
    assert_int_equal(before.count, after.count);
    assert_false(has(out, ".vkgpt-convert"));
    bytes_free(&before);
    bytes_free(&after);
    folder_empty(out);

    write_model("pairs", "");
    file_write(model, "generation_config.json", "{\"eos_token_id\": \"x\"}", 21);
    refuse(model, out, "eos_token_id");
    assert_sentence(RUN("convert", "-m", model, "-o", out, "--type", "q8_0"), 2, "holds f16 or f32");
    assert_sentence(RUN("convert", "-m", model, "-o", ""), 2, "convert needs -o FILE.gguf, or -o DIR");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_gpt2),
        TEST(test_families),
        TEST(test_heads),
        TEST(test_tokenizers),
        TEST(test_shipped),
        TEST(test_ends),
        TEST(test_keeps),
        TEST(test_unread_tokenizer),
        TEST(test_force),
        TEST(test_failure),
        TEST(test_gguf_without_tokenizer),
        TEST(test_tokenizer_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
