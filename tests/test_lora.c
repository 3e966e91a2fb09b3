// Adapters: the results of a checkpoint with a merged adapter against PEFT's merge_and_unload (tests/fixtures/lora,
// made by tools/fixtures_lora.py), and every adapter that is refused.
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "head_fixture.h"
#include "model/gguf_write.h"
#include "model/lora.h"
#include "model/table.h"
#include "model_files.h"
#include "program.h"
#include "reference_model.h"

#define LORA_FIXTURES VKGPT_SOURCE_DIR "/tests/fixtures/lora"
#define BOUND 2e-5 // of logits with magnitudes of a few units: PEFT merges in float64, vkgpt in float32
#define VOCAB 40

// ------------------------------------------------------------------------------------------------ fixtures

static const char *const names[] = {"gpt2-patterns", "gpt2-rslora", "gpt2-tables", "gpt2-head",
                                    "gpt1",          "opt",         "opt-bias",    "neo"};
#define NAMES (sizeof names / sizeof *names)

static char base[512], adapter[512];

static cJSON *expected(const char *name)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", LORA_FIXTURES, name);
    snprintf(base, sizeof base, "%.500s", folder);
    snprintf(adapter, sizeof adapter, "%.500s/adapter", folder);
    struct Bytes text = file_read(folder, "expected.json");
    cJSON *json = cJSON_ParseWithLength((const char *)text.data, text.count);
    bytes_free(&text);
    assert_non_null(json);
    return json;
}

static void open_base(const char *path, struct Checkpoint *c)
{
    vkgpt_error err;
    if (checkpoint_open(path, c, &err)) fail_msg("%s", err.text);
}

static struct LoraMerged merge(struct Checkpoint *c)
{
    struct LoraMerged merged;
    vkgpt_error err;
    if (lora_merge(adapter, c, &merged, &err)) fail_msg("%s", err.text);
    return merged;
}

// The logits of the last two tokens are those that the fixture has under this name.
static void check_logits(const struct Checkpoint *c, const cJSON *json, const char *member, double bound)
{
    uint32_t ids[HEAD_MAX_IDS];
    double want[2][HEAD_MAX_NUMBERS], got[HEAD_MAX_IDS * VOCAB];
    vkgpt_error err;
    size_t count = head_ids(json_member(json, "ids"), ids);
    assert_int_equal(c->config.vocab, VOCAB);
    if (reference_forward(c, ids, count, got, &err)) fail_msg("%s", err.text);
    for (int row = 0; row < 2; row++) {
        assert_int_equal(head_numbers(cJSON_GetArrayItem(json_member(json, member), row), want[row]), VOCAB);
        assert_within(difference_f64(got + (count - 2 + (size_t)row) * VOCAB, want[row], VOCAB), bound, "%s of row %d",
                      member, row);
    }
}

static void test_fixtures(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        struct Checkpoint c;
        cJSON *json = expected(names[i]);
        open_base(base, &c);
        check_logits(&c, json, "base", BOUND);
        struct LoraMerged merged = merge(&c);
        print_message("%s: %u matrices, %u whole\n", names[i], merged.weights, merged.replaced);
        check_logits(&c, json, "logits", BOUND);
        assert_string_equal(merged.name, "adapter");
        const cJSON *weight;
        cJSON_ArrayForEach(weight, json_member(json, "merged"))
        {
            struct Weight *w = checkpoint_find(&c, cJSON_GetStringValue(weight));
            if (!w || w->tensor->dtype != DTYPE_F32) fail_msg("%s is not merged", cJSON_GetStringValue(weight));
        }
        checkpoint_close(&c);
        cJSON_Delete(json);
    }
}

// Merging into a GGUF file, which has (out, in) and other names; and writing a merged model.
static void test_gguf(void **state)
{
    (void)state;
    cJSON *json = expected("gpt2-patterns");
    struct Checkpoint c;
    vkgpt_error err;
    char path[2 * DIR_BYTES];
    snprintf(path, sizeof path, "%s/x.gguf", test_dir);
    for (int merged = 0; merged < 2; merged++) {
        struct GgufKeys keys = {0};
        open_base(base, &c);
        if (merged) merge(&c);
        gguf_put_model(&keys, &c, VKGPT_F32);
        const struct GgufOutput output = {.path = path, .type = VKGPT_F32};
        if (gguf_write(&output, &c, &keys, &err)) fail_msg("%s", err.text);
        gguf_keys_free(&keys);
        checkpoint_close(&c);
        open_base(path, &c);
        if (!merged) merge(&c);
        check_logits(&c, json, "logits", BOUND);
        checkpoint_close(&c);
    }
    cJSON_Delete(json);
}

// -------------------------------------------------------------------------------------------- the tiny model

#define C_ATTN "base_model.model.transformer.h.0.attn.c_attn"

struct Part {
    const char *name;  // NULL: no more
    int rows, columns; // columns 0: a vector
};

static void write_config(const char *json) { file_write(test_dir, "adapter_config.json", json, strlen(json)); }

// Writes tensors of F32, with all elements set to this value.
static void write_parts(const struct Part *parts, float value)
{
    struct Bytes header = {0}, file = {0};
    size_t at = 0;
    bytes_text(&header, "{");
    for (size_t i = 0; parts[i].name; i++) {
        char entry[512], shape[32];
        size_t count = (size_t)parts[i].rows * (size_t)(parts[i].columns ? parts[i].columns : 1);
        snprintf(shape, sizeof shape, parts[i].columns ? "%d,%d" : "%d", parts[i].rows, parts[i].columns);
        snprintf(entry, sizeof entry, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                 i ? "," : "", parts[i].name, shape, 4 * at, 4 * (at + count));
        bytes_text(&header, entry);
        at += count;
    }
    bytes_text(&header, "}");
    bytes_number(&file, header.count, 8);
    bytes_add(&file, header.data, header.count);
    for (size_t i = 0; i < at; i++) bytes_add(&file, &value, sizeof value);
    file_write(test_dir, "adapter_model.safetensors", file.data, file.count);
    bytes_free(&header);
    bytes_free(&file);
}

static void write_tiny(void)
{
    size_t bytes;
    char *header = tiny_header(&bytes), name[3 * DIR_BYTES];
    struct Bytes weights = tiny_safetensors(header, bytes);
    snprintf(name, sizeof name, "%s/tiny", test_dir);
    assert_int_equal(os_make_dirs(name), 0);
    file_write(test_dir, "tiny/config.json", tiny_config, strlen(tiny_config));
    file_write(test_dir, "tiny/model.safetensors", weights.data, weights.count);
    bytes_free(&weights);
    free(header);
    snprintf(base, sizeof base, "%.400s/tiny", test_dir);
    snprintf(adapter, sizeof adapter, "%.400s", test_dir);
}

static const struct Part good[] = {{C_ATTN ".lora_A.weight", 2, 8}, {C_ATTN ".lora_B.weight", 24, 2}, {NULL, 0, 0}};
static const char good_config[] = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 3, \"use_rslora\": false}";

static void expect_refused(const char *word, const char *other)
{
    struct Checkpoint c;
    struct LoraMerged merged;
    vkgpt_error err;
    open_base(base, &c);
    int code = lora_merge(adapter, &c, &merged, &err);
    if (!code) fail_msg("accepted, and '%s' was to be refused", word);
    expect_sentence(code, (int)err.code, &err, test_dir, word, other, NULL);
    assert_true(code == VKGPT_BAD_MODEL || code == VKGPT_BAD_FILE);
    checkpoint_close(&c);
}

// Element (o, i) of c_attn, by hand.
static float attn_at(const struct Checkpoint *c, int64_t o, int64_t i)
{
    float value;
    weight_row(&c->layers[0].c_attn, o, i, 1, &value);
    return value;
}

static void test_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        double scale; // factor of 2 columns of 0.5 x 0.5
        // clang-format off
    } cases[] = {
        {"\"r\": 2", "\"r\": 2", 3.0 / 2},
        {"\"use_rslora\": false", "\"use_rslora\": true", 2.1213203435596424},
        {"\"lora_alpha\": 3", "\"lora_alpha\": 0.5", 0.25},
        {"\"r\": 2", "\"r\": 9, \"rank_pattern\": {\"x\": 4, \"c_attn\": 2}", 3.0 / 2},
        {"\"r\": 2", "\"r\": 2, \"alpha_pattern\": {\"attn\": 8, \"h.0.attn.c_attn\": 5, \"c_attn\": 7}", 5.0 / 2},
        {"\"r\": 2", "\"r\": 2, \"alpha_pattern\": {\"^transformer.h.[0-3].*\": 4}", 2},
        {"\"r\": 2", "\"r\": 2, \"alpha_pattern\": {\"^h.0.attn.c_attn\": 4, \"tn.c_attn\": 9}", 3.0 / 2}, // a whole part of the name
        {"\"r\": 2", "\"r\": 2, \"fan_in_fan_out\": true", 3.0 / 2},
        {"\"r\": 2", "\"r\": 2, \"init_lora_weights\": \"gaussian\", \"loftq_config\": {}, \"modules_to_save\": []", 3.0 / 2},
    };
    // clang-format on
    write_tiny();
    write_parts(good, 0.5f);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct Checkpoint before, after;
        char *config = text_replace(good_config, cases[k].from, cases[k].to);
        write_config(config);
        free(config);
        open_base(base, &before);
        open_base(base, &after);
        struct LoraMerged merged = merge(&after);
        assert_true(merged.weights == 1 && merged.replaced == 0);
        for (int64_t o = 0; o < 24; o++)
            for (int64_t i = 0; i < 8; i++) {
                double got = attn_at(&after, o, i), want = attn_at(&before, o, i) + 0.5 * cases[k].scale;
                assert_within(difference_f64(&got, &want, 1), 1e-6, "case %zu, (%lld, %lld)", k, (long long)o,
                              (long long)i);
            }
        assert_ptr_equal(after.layers[1].c_attn.tensor,
                         table_find(&after.table, "h.1.attn.c_attn.weight")); // as it was
        assert_ptr_not_equal(after.layers[0].c_attn.tensor, table_find(&after.table, "h.0.attn.c_attn.weight"));
        checkpoint_close(&before);
        checkpoint_close(&after);
    }
}

static void test_refused_settings(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"\"LORA\"", "\"IA3\"", "peft_type is \"IA3\""},
        {"\"LORA\"", "null", "peft_type is null"},
        {"\"r\": 2", "\"r\": 3", "is 3, its lora_A has 2"},
        {"\"r\": 2", "\"r\": \"2\"", "r is \"2\", not a number"},
        {"\"r\": 2", "\"q\": 2", "r is null, not a number"},
        {"\"lora_alpha\": 3", "\"lora_alpha\": []", "lora_alpha is [], not a number"},
        {"\"r\": 2", "\"r\": 2, \"rank_pattern\": {\"c_attn\": 8}", "is 8, its lora_A has 2"},
        {"\"r\": 2", "\"r\": 2, \"rank_pattern\": {\"c_attn\": \"x\"}", "rank_pattern is \"x\", not a number"},
        {"\"r\": 2", "\"r\": 2, \"alpha_pattern\": {\"(c_attn\": 2}", "\"(c_attn\" is not a pattern"},
        {"\"r\": 2", "\"r\": 2, \"alpha_pattern\": [2]", "alpha_pattern is [2], not an object"},
        {"\"r\": 2", "\"r\": 2, \"use_dora\": true", "use_dora is true"},
        {"\"r\": 2", "\"r\": 2, \"modules_to_save\": [\"lm_head\"]", "modules_to_save is [\"lm_head\"]"},
        {"\"r\": 2", "\"r\": 2, \"layer_replication\": [[0, 1]]", "layer_replication is [[0,1]]"},
        {"\"r\": 2", "\"r\": 2, \"trainable_token_indices\": [3]", "trainable_token_indices is [3]"},
        {"\"r\": 2", "\"r\": 2, \"target_parameters\": [\"x\"]", "target_parameters is"},
        {"\"r\": 2", "\"r\": 2, \"alora_invocation_tokens\": [1]", "alora_invocation_tokens is [1]"},
        {"\"r\": 2", "\"r\": 2, \"use_qalora\": true", "use_qalora is true"},
        {"\"r\": 2", "\"r\": 2, \"use_bdlora\": {\"nblocks\": 2}", "use_bdlora is"},
        {"\"r\": 2", "\"r\": 2, \"arrow_config\": {\"top_k\": 2}", "arrow_config is"},
        {"\"r\": 2", "\"r\": 2, \"kasa_config\": {\"beta\": 2}", "kasa_config is"},
        {"\"r\": 2", "\"r\": 2, \"velora_config\": {\"beta\": 2}", "velora_config is"},
        {"\"r\": 2", "\"r\": 2, \"monteclora_config\": {\"beta\": 2}", "monteclora_config is"},
        {"\"r\": 2", "\"r\": 2, \"init_lora_weights\": \"pissa\"", "init_lora_weights is \"pissa\""},
        {"\"r\": 2", "\"r\": 2, \"init_lora_weights\": \"olora\"", "init_lora_weights is \"olora\""},
        {"{", "[", "not JSON"},
    };
    write_tiny();
    write_parts(good, 0.5f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *config = text_replace(good_config, cases[i][0], cases[i][1]);
        write_config(config);
        free(config);
        expect_refused(cases[i][2], "adapter_config.json");
    }
}

static void test_refused_tensors(void **state)
{
    (void)state;
    static const struct {
        struct Part parts[4];
        const char *word, *other;
        // clang-format off
    } cases[] = {
        {{{C_ATTN ".lora_A.weight", 2, 9}, {C_ATTN ".lora_B.weight", 24, 2}}, "c_attn.lora_A.weight is (2, 9)", "makes it (2, 8)"},
        {{{C_ATTN ".lora_A.weight", 2, 8}, {C_ATTN ".lora_B.weight", 8, 2}}, "c_attn.lora_B.weight is (8, 2)", "makes it (24, 2)"},
        {{{C_ATTN ".lora_A.weight", 2, 8}, {C_ATTN ".lora_B.weight", 24, 3}}, "c_attn.lora_B.weight is (24, 3)", "makes it (24, 2)"},
        {{{C_ATTN ".lora_A.weight", 16, 0}, {C_ATTN ".lora_B.weight", 24, 2}}, "c_attn.lora_A.weight is (16)", "c_attn.weight"},
        {{{C_ATTN ".lora_A.weight", 2, 8}}, "lora_B, is absent", NULL},
        {{{C_ATTN ".lora_B.weight", 24, 2}}, "lora_A, is absent", NULL},
        {{{C_ATTN ".lora_embedding_A", 2, 8}}, "lora_B, is absent", NULL},
        {{{"base_model.model.transformer.h.2.attn.c_attn.lora_A.weight", 2, 8}, {"base_model.model.transformer.h.2.attn.c_attn.lora_B.weight", 24, 2}},
         "h.2.attn.c_attn.lora_A.weight belongs to nothing", "2 layers"},
        {{{"base_model.model.transformer.h.0.attn.q_proj.lora_A.weight", 2, 8}, {"base_model.model.transformer.h.0.attn.q_proj.lora_B.weight", 8, 2}},
         "q_proj.lora_A.weight belongs to nothing", "class gpt2"},
        {{{"base_model.model.transformer.h.0.ln_1.lora_A.weight", 2, 8}, {"base_model.model.transformer.h.0.ln_1.lora_B.weight", 8, 2}},
         "ln_1.lora_A.weight is (2, 8)", "ln_1.weight"},
        {{{"base_model.model.score.weight", 2, 8}}, "score.weight belongs to nothing", NULL},
        {{{C_ATTN ".lora_magnitude_vector", 24, 0}}, "of DoRA", NULL},
        {{{C_ATTN ".lora_A.default.weight", 2, 8}}, "belongs to nothing", NULL},
        {{{"transformer.h.0.attn.c_attn.lora_A.weight", 2, 8}}, "does not begin with base_model.model.", NULL},
        {{{"base_model.model.transformer.wte.base_layer.weight", 12, 8}}, "wte.base_layer.weight is (12, 8)", "makes it (11, 8)"},
        {{{C_ATTN ".bias", 23, 0}}, "c_attn.bias is (23)", "makes it (24)"},
        {{{C_ATTN ".lora_B.bias", 24, 0}}, "c_attn.lora_B.bias belongs to nothing", NULL}, // without its A
        {{{C_ATTN ".lora_A.weight", 2, 8}, {C_ATTN ".lora_B.weight", 24, 2}, {C_ATTN ".lora_B.bias", 23, 0}}, "lora_B.bias is (23)", "makes it (24)"},
        {{{NULL, 0, 0}}, "holds no LoRA weights", NULL},
        {{{C_ATTN ".bias", 24, 0}}, "holds no LoRA weights", NULL},
    };
    // clang-format on
    write_tiny();
    write_config(good_config);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_parts(cases[i].parts, 0.5f);
        expect_refused(cases[i].word, cases[i].other);
    }
}

static void test_refused_files(void **state)
{
    (void)state;
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n";
    write_tiny();
    expect_refused("no adapter_config.json there", NULL);
    write_config(good_config);
    expect_refused("neither adapter_model.safetensors nor adapter_model.bin is there", NULL);
    file_write(test_dir, "adapter_model.safetensors", pointer, sizeof pointer - 1);
    expect_refused("git lfs pull", NULL);
    file_write(test_dir, "adapter_model.safetensors", "x", 1);
    expect_refused("adapter_model.safetensors", "safetensors file");
    struct Checkpoint c;
    struct LoraMerged merged;
    vkgpt_error err;
    open_base(base, &c);
    expect_sentence(lora_merge("/no/such", &c, &merged, &err), VKGPT_BAD_FILE, &err, "/no/such", NULL);
    expect_sentence(lora_merge(base, &c, &merged, &err), VKGPT_BAD_MODEL, &err, base, "no adapter_config.json there",
                    NULL);
    checkpoint_close(&c);
}

// A whole tensor in the adapter replaces the model's, and A and B are added to it; with tying, both tables change.
static void test_whole_tensors(void **state)
{
    (void)state;
    static const struct Part parts[] = {{"base_model.model.lm_head.base_layer.weight", 11, 8},
                                        {"base_model.model.lm_head.lora_A.weight", 2, 8},
                                        {"base_model.model.lm_head.lora_B.weight", 11, 2},
                                        {"base_model.model.transformer.ln_f.bias", 8, 0},
                                        {NULL, 0, 0}};
    struct Checkpoint c;
    float row[8];
    write_tiny();
    write_config(good_config);
    write_parts(parts, 0.5f);
    open_base(base, &c);
    struct LoraMerged merged = merge(&c);
    assert_true(merged.weights == 1 && merged.replaced == 2);
    assert_ptr_equal(c.head.tensor, c.wte.tensor);
    for (int64_t o = 0; o < 11; o++) {
        weight_row(&c.wte, o, 0, 8, row);
        for (int i = 0; i < 8; i++) assert_true(row[i] == 0.5f + 0.75f);
    }
    weight_row(&c.ln_f_bias, 0, 0, 8, row);
    for (int i = 0; i < 8; i++) assert_true(row[i] == 0.5f);
    checkpoint_close(&c);
}

// An untied model opened without its head has no weight for an adapter's lm_head. In particular it does not change the
// token table.
static void test_headless(void **state)
{
    (void)state;
    cJSON *json = expected("gpt2-head"); // an adapter for lm_head alone
    struct Checkpoint c;
    struct LoraMerged merged;
    vkgpt_error err;
    if (checkpoint_open_headless(base, &c, &err)) fail_msg("%s", err.text);
    const struct Tensor *wte = c.wte.tensor;
    if (lora_merge(adapter, &c, &merged, &err)) fail_msg("%s", err.text);
    assert_true(c.wte.tensor == wte && merged.weights == 0);
    checkpoint_close(&c);
    cJSON_Delete(json);
    json = expected("gpt2-tables");
    if (checkpoint_open_headless(base, &c, &err)) fail_msg("%s", err.text);
    merge(&c);
    assert_ptr_not_equal(c.wte.tensor, table_find(&c.table, "transformer.wte.weight"));
    checkpoint_close(&c);
    cJSON_Delete(json);
}

// Damaged adapters: a sentence or a model, never a crash.
static void test_mutations(void **state)
{
    (void)state;
    uint64_t seed = 5;
    int opened = 0, rounds = 600;
    write_tiny();
    write_parts(good, 0.5f);
    struct Bytes weights = file_read(test_dir, "adapter_model.safetensors");
    for (int i = 0; i < rounds; i++) {
        struct Bytes config = {0}, file = {0};
        struct Checkpoint c;
        struct LoraMerged merged;
        vkgpt_error err;
        bytes_text(&config, good_config);
        bytes_add(&file, weights.data, weights.count);
        bytes_mutate(i % 2 ? &config : &file, &seed);
        file_write(test_dir, "adapter_config.json", config.data, config.count);
        file_write(test_dir, "adapter_model.safetensors", file.data, file.count);
        open_base(base, &c);
        if (!lora_merge(adapter, &c, &merged, &err)) opened++;
        else if (!err.text[0] || strchr(err.text, '\n')) fail_msg("round %d: '%s' is not a sentence", i, err.text);
        checkpoint_close(&c);
        bytes_free(&config);
        bytes_free(&file);
    }
    bytes_free(&weights);
    assert_true(opened > 0 && opened < rounds);
}

static void test_names(void **state)
{
    (void)state;
    struct Checkpoint c;
    write_tiny();
    open_base(base, &c);
    static const char *const none[] = {"h.2.ln_1.weight",
                                       "h.0.ln_1",
                                       "h.0.",
                                       "h.x.ln_1.weight",
                                       "wte",
                                       "",
                                       "transformer.lm_head.weight",
                                       "blk.0.attn_norm.weight",
                                       "h.99999999999.ln_1.weight",
                                       "h.-1.ln_1.weight"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (checkpoint_find(&c, none[i])) fail_msg("'%s' is found", none[i]);
    assert_ptr_equal(checkpoint_find(&c, "transformer.h.1.mlp.c_proj.bias"), &c.layers[1].c_out_bias);
    assert_ptr_equal(checkpoint_find(&c, "h.1.mlp.c_proj.bias"), &c.layers[1].c_out_bias);
    assert_ptr_equal(checkpoint_find(&c, "wpe.weight"), &c.wpe);
    assert_ptr_equal(checkpoint_find(&c, "transformer.wte.weight"), &c.wte);
    assert_ptr_equal(checkpoint_find(&c, "lm_head.weight"), &c.head);
    checkpoint_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_dir_setup, test_dir_teardown)
        TEST(test_fixtures),        TEST(test_gguf),          TEST(test_by_hand),       TEST(test_refused_settings),
        TEST(test_refused_tensors), TEST(test_refused_files), TEST(test_whole_tensors), TEST(test_headless),
        TEST(test_mutations),       TEST(test_names),
    };
    return cmocka_run_group_tests_name("lora", tests, NULL, NULL);
}
