// Every field of the tokenizer and of the config is changed, one at a time. The conversion to GGUF and to a directory
// either keeps the change or refuses it by name. A new field without a row here does not compile, because the values at
// the top have all fields.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "head_fixture.h"
#include "model/config_write.h"
#include "model/table.h"
#include "model_files.h"
#include "text/gguf_vocab.h"
#include "text/gguf_vocab_write.h"
#include "text/pipeline.h"
#include "text/reader.h"
#include "text/tokenizer_write.h"

// If one of these has a "missing initializer", there is a new field. It needs a row in the tables below, a line in
// vocab_difference or config_difference, and code in the functions that write it: gguf_put_vocab, tokenizer_json_write;
// gguf_can_say, config_write.
static const struct Token every_token = {"", 0, false};
static const struct Merge every_merge = {0, 0, 0, 0};
static const struct AddedToken every_added = {"", 0, "", 0, 0, false, false, false, false, false};
static const struct SplitRule every_rule = {"", false};
static const struct Vocab every_vocab = {0, NULL,  0,   0, {0}, {0},   NULL, 0,     0,     0,
                                         0, NULL,  0,   0, {0}, false, 0,    false, false, {{0}},
                                         0, false, {0}, 0, {0}, 0,     NULL, 0,     false, NULL};
static const struct Config every_config = {"",    0,     0,     0,     0,     0,     0,     0,     0, ACTIVATION_RELU,
                                           false, false, false, false, false, false, false, false, 0, 0,
                                           0,     {0},   0,     0,     {0}};

#define ROWS 300 // of the token table
#define EOT 256
#define ABC 259 // "abc"

static char path[2 * DIR_BYTES];

static int setup(void **state)
{
    test_dir_setup(state);
    snprintf(path, sizeof path, "%s/out.gguf", test_dir);
    return 0;
}

// ----------------------------------------------------------------------------------------------- the tokenizer

static void add(struct Vocab *v, const char *symbols, uint32_t id)
{
    vkgpt_error err;
    if (vocab_add(v, "test", symbols, id, &err)) fail_msg("%s", err.text);
}

static void merge(struct Vocab *v, const char *left, const char *right)
{
    vkgpt_error err;
    if (vocab_add_merge(v, "test", left, strlen(left), right, strlen(right), &err)) fail_msg("%s", err.text);
}

static struct AddedToken *add_added(struct Vocab *v, const char *text, uint32_t id, bool special)
{
    vkgpt_error err;
    const struct AddedToken a = {.text = text, .length = strlen(text), .id = id, .special = special};
    if (vocab_add_added(v, "test", &a, &err)) fail_msg("%s", err.text);
    return vocab_find_added(v, text);
}

static void rule(struct Vocab *v, const char *pattern, bool removed)
{
    vkgpt_error err;
    if (vocab_add_rule(v, "test", pattern, removed, &err)) fail_msg("%s", err.text);
}

// clang-format off
static void no_change(struct Vocab *v) { (void)v; }
static void more_tokens(struct Vocab *v) { add(v, "xyz", 280); }
static void token_past_rows(struct Vocab *v) { v->size = 400; add(v, "xyz", 350); }
static void raw_tokens(struct Vocab *v) // the same bytes
{
    add(v, "\xe6\x97\xa5", 280);
    add(v, "\xc3\xa6\xc4\xb9\xc2\xa5", 281);
}
static void more_merges(struct Vocab *v) { add(v, "ca", 280); merge(v, "c", "a"); }
static void merge_twice(struct Vocab *v) { add(v, "ca", 280); merge(v, "c", "a"); merge(v, "a", "b"); }
static void merge_with_space(struct Vocab *v) { add(v, "a b", 280); add(v, "a bc", 281); merge(v, "a b", "c"); }
static void more_added(struct Vocab *v) { add_added(v, "<z>", 280, true); }
static void added_in_merge(struct Vocab *v) { add_added(v, "ab", 258, false); }
static void added_special(struct Vocab *v) { vocab_find_added(v, "<x>")->special = true; }
static void added_normalized(struct Vocab *v) { vocab_find_added(v, "<x>")->normalized = true; }
static void added_touch(struct Vocab *v) { add_added(v, ">y", 280, false)->normalized = true; }
static void added_inside(struct Vocab *v) { add_added(v, "-<x>-", 280, false)->normalized = true; }
static void added_around(struct Vocab *v) { add_added(v, "x", 'x', false)->normalized = true; }
static void added_under_nfkc(struct Vocab *v) { v->nfkc = true; vocab_find_added(v, "<x>")->normalized = true; }
static void added_lstrip(struct Vocab *v) { vocab_find_added(v, "<x>")->lstrip = true; }
static void added_rstrip(struct Vocab *v) { vocab_find_added(v, "<x>")->rstrip = true; }
static void added_single_word(struct Vocab *v) { vocab_find_added(v, "<x>")->single_word = true; }
static void ends_words(struct Vocab *v) { v->ends_words = true; }
static void unk(struct Vocab *v) { v->unk = ABC; }
static void fuse_unk(struct Vocab *v) { v->fuse_unk = true; }
static void nfkc(struct Vocab *v) { v->nfkc = true; }
static void digits(struct Vocab *v) { rule(v, "\\p{N}", false); }
static void runs_of_digits(struct Vocab *v) { rule(v, "\\p{N}+", false); rule(v, "\\p{N}", false); }
static void literals(struct Vocab *v) { rule(v, "a\\.b \\\\p", true); rule(v, "\xe6\x97\xa5\\]", false); }
static void add_prefix_space(struct Vocab *v) { v->add_prefix_space = true; }
static void prefix(struct Vocab *v, const uint32_t *ids, size_t count)
{
    memcpy(v->prefix, ids, count * sizeof *ids);
    v->prefix_count = count;
}
static void prefix_bos(struct Vocab *v) { prefix(v, (uint32_t[]){EOT}, 1); }
static void prefix_other(struct Vocab *v) { prefix(v, (uint32_t[]){ABC}, 1); }
static void prefix_two(struct Vocab *v) { prefix(v, (uint32_t[]){EOT, EOT}, 2); }
static void suffix(struct Vocab *v)
{
    v->suffix[0] = EOT;
    v->suffix[1] = ABC;
    v->suffix_count = 2;
}
static void pipeline(struct Vocab *v) { v->pipeline = pipeline_open(); }
static void dropout(struct Vocab *v) { v->dropout = 0.1; }
static void blank_name(struct Vocab *v) { add(v, "[PAD290]", 281); } // as a row without a token might be called
// clang-format on

// If GGUF or a tokenizer.json refuses the change, a word of the sentence. `none`: a byte that has no token.
static const struct Row {
    const char *field;
    void (*change)(struct Vocab *v);
    const char *gguf, *json;
    int none;
} rows[] = {
    {"nothing", no_change, NULL, NULL, -1},
    {"tokens, count", more_tokens, NULL, NULL, -1},
    {"tokens.raw", raw_tokens, NULL, NULL, -1},
    {"size", token_past_rows, "the model has 300 rows", NULL, -1},
    {"byte_ids", no_change, NULL, NULL, 'q'},
    {"merges", more_merges, NULL, NULL, -1},
    {"merges.rank", merge_twice, NULL, NULL, -1},
    {"merges, of a token with a space", merge_with_space, "holds a space", NULL, -1},
    {"added", more_added, NULL, NULL, -1},
    {"added.text, of a token that merges make", added_in_merge, NULL, NULL, -1},
    {"added.special", added_special, NULL, NULL, -1},
    {"added.normalized, where it is idle", added_normalized, NULL, NULL, -1},
    {"added.normalized, touching", added_touch, "normalized", NULL, -1},
    {"added.normalized, inside", added_inside, "normalized", NULL, -1},
    {"added.normalized, around", added_around, "normalized", NULL, -1},
    {"added.normalized, under NFKC", added_under_nfkc, "NFKC", NULL, -1},
    {"added.lstrip", added_lstrip, "\"<x>\" has lstrip", NULL, -1},
    {"added.rstrip", added_rstrip, "\"<x>\" has rstrip", NULL, -1},
    {"added.single_word", added_single_word, "\"<x>\" has single_word", NULL, -1},
    {"ends_words", ends_words, "words that have ends", "words that have ends", -1},
    {"unk", unk, NULL, NULL, -1},
    {"unk, where a byte needs it", unk, "unk_token", NULL, 'q'},
    {"fuse_unk", fuse_unk, "fuse_unk", NULL, -1},
    {"nfkc", nfkc, "NFKC", NULL, -1},
    {"rules: digits", digits, "splits of its own", NULL, -1},
    {"rules: runs of digits", runs_of_digits, "splits of its own", NULL, -1},
    {"rules: literal text", literals, "splits of its own", NULL, -1},
    {"add_prefix_space", add_prefix_space, "add_prefix_space", NULL, -1},
    {"prefix: bos", prefix_bos, NULL, NULL, -1},
    {"prefix: another", prefix_other, "before the text", NULL, -1},
    {"prefix: two", prefix_two, "before the text", NULL, -1},
    {"suffix", suffix, "after the text", NULL, -1},
    {"pipeline", pipeline, "a model of its own", "a model of its own", -1},
    {"dropout, last_counts", dropout, "dropout", NULL, -1},
    {"tokens, one called as a row without", blank_name, NULL, NULL, -1},
};

// 256 bytes, two merges and two added tokens, then the change.
static void build(struct Vocab *v, const struct Row *row)
{
    vocab_init(v, ROWS);
    for (int b = 0; b < 256; b++) {
        char byte = (char)b, symbol[3];
        symbol[vocab_symbols(&byte, 1, symbol)] = '\0';
        if (b != row->none) add(v, symbol, (uint32_t)b);
    }
    add(v, "ab", 258);
    add(v, "abc", ABC);
    merge(v, "a", "b");
    merge(v, "ab", "c");
    add_added(v, "<|endoftext|>", EOT, true);
    add_added(v, "<x>", 257, false);
    row->change(v);
    vocab_seal(v);
}

static void tiny_files(void)
{
    size_t bytes;
    char *header = tiny_header(&bytes);
    struct Bytes file = tiny_safetensors(header, bytes);
    file_write(test_dir, "config.json", tiny_config, strlen(tiny_config));
    file_write(test_dir, "model.safetensors", file.data, file.count);
    bytes_free(&file);
    free(header);
}

static int write_gguf(const struct Checkpoint *c, const struct Vocab *v, vkgpt_error *err)
{
    struct GgufKeys keys = {0};
    const struct GgufOutput output = {.path = path, .type = VKGPT_F32};
    gguf_put_model(&keys, c, VKGPT_F32);
    int code = gguf_can_say(test_dir, &c->config, err);
    if (!code) code = gguf_put_vocab(&keys, test_dir, v, &c->config, err);
    if (!code) code = gguf_write(&output, c, &keys, err);
    gguf_keys_free(&keys);
    return code;
}

// The tiny model with a token table of ROWS zeros.
static void open_wide(struct Checkpoint *c, float *table)
{
    vkgpt_error err;
    tiny_files();
    if (checkpoint_open(test_dir, c, &err)) fail_msg("%s", err.text);
    struct Tensor *wte = &c->table.tensors[c->wte.tensor - c->table.tensors];
    wte->dtype = DTYPE_F32;
    wte->shape[0] = ROWS;
    wte->data = (const uint8_t *)table;
    c->config.vocab = ROWS;
    c->config.bos = EOT;
    c->config.eos_count = 1;
    c->config.eos[0] = EOT;
}

// Two rows must not have the same name: llama.cpp aborts then.
static void expect_names_differ(void)
{
    struct TensorTable table = {0};
    struct Gguf file;
    struct Map names = {0};
    const struct GgufValue *tokens = NULL;
    vkgpt_error err;
    if (gguf_read(path, &table, &file, &err) || gguf_array(&file, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, &err))
        fail_msg("%s", err.text);
    const uint8_t *at = tokens->data;
    assert_int_equal(tokens->count, ROWS);
    for (uint32_t id = 0; id < ROWS; id++) {
        struct GgufText name = gguf_next_text(&at);
        if (map_add(&names, name.text, name.bytes, id) != 1)
            fail_msg("row %u: %s is there twice", id, gguf_shown(name).text);
    }
    map_free(&names);
    gguf_free(&file);
    table_free(&table);
}

static void through_gguf(const struct Row *row, const struct Checkpoint *c, const struct Vocab *v)
{
    struct Vocab again;
    vkgpt_error err;
    int code = write_gguf(c, v, &err);
    if (row->gguf) {
        expect_sentence(code, VKGPT_BAD_MODEL, &err, test_dir, row->gguf, NULL);
        return;
    }
    if (code || gguf_vocab_open(path, 0, &again, &err)) fail_msg("%s: %s", row->field, err.text);
    const char *lost = vocab_difference(v, &again);
    if (lost) fail_msg("%s: GGUF loses %s", row->field, lost);
    expect_names_differ();
    vocab_free(&again);
}

static void through_json(const struct Row *row, const struct Config *config, const struct Vocab *v)
{
    struct Vocab again = {0};
    vkgpt_error err;
    int code = tokenizer_json_write(test_dir, v, &err);
    if (row->json) {
        expect_sentence(code, VKGPT_BAD_MODEL, &err, test_dir, row->json, NULL);
        return;
    }
    if (!code) code = tokenizer_config_write(test_dir, v, config, &err);
    if (code || reader_open(test_dir, v->size, &again, &err)) fail_msg("%s: %s", row->field, err.text);
    const char *lost = vocab_difference(v, &again);
    if (lost) fail_msg("%s: tokenizer.json loses %s", row->field, lost);
    vocab_free(&again);
}

static void test_tokenizer(void **state)
{
    (void)state;
    struct Checkpoint c;
    struct Vocab plain, changed;
    (void)every_token, (void)every_merge, (void)every_added, (void)every_rule, (void)every_vocab;
    float *table = calloc(ROWS * 8, sizeof *table);
    open_wide(&c, table);
    build(&plain, &rows[0]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        build(&changed, &rows[i]);
        bool seen = vocab_difference(&plain, &changed) != NULL;
        bool idle = strstr(rows[i].field, "idle") != NULL; // changes no ids
        if (seen != (i && !idle)) fail_msg("%s: the change is%s seen", rows[i].field, seen ? "" : " not");
        through_gguf(&rows[i], &c, &changed);
        through_json(&rows[i], &c.config, &changed);
        vocab_free(&changed);
    }
    vocab_free(&plain);
    checkpoint_close(&c);
    free(table);
}

// With NFKC the flag decides in which text an added token is looked for.
static void test_normalized_counts(void **state)
{
    (void)state;
    const struct Row with = {"", added_under_nfkc, NULL, NULL, -1}, without = {"", nfkc, NULL, NULL, -1};
    struct Vocab a, b;
    build(&a, &with);
    build(&b, &without);
    assert_string_equal(vocab_difference(&a, &b), "normalized of an added token");
    vocab_free(&a);
    vocab_free(&b);
}

// bos and end tokens against the tokenizer: a token that no text encodes to is special in GGUF.
static void test_edges(void **state)
{
    (void)state;
    static const struct {
        int64_t bos;
        uint32_t eos;
        const char *refusal;
        // clang-format off
    } cases[] = {
        {-1, EOT, NULL},  {'\n', '\n', NULL}, {EOT, ABC, NULL}, {EOT, 257, NULL},
        {EOT, 290, NULL}, // a row without a token
        {EOT, 280, "eos_token_id is 280, \"xyz\""}, {280, EOT, "bos_token_id is 280, \"xyz\""},
    };
    // clang-format on
    struct Checkpoint c;
    struct Vocab v, again;
    struct Config config;
    vkgpt_error err;
    float *table = calloc(ROWS * 8, sizeof *table);
    open_wide(&c, table);
    build(&v, &rows[1]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        c.config.bos = cases[i].bos;
        c.config.eos[0] = cases[i].eos;
        int code = write_gguf(&c, &v, &err);
        if (cases[i].refusal) {
            expect_sentence(code, VKGPT_BAD_MODEL, &err, cases[i].refusal, NULL);
            continue;
        }
        if (code || gguf_vocab_open(path, 0, &again, &err) || gguf_config_read(path, &config, &err))
            fail_msg("%s", err.text);
        assert_null(vocab_difference(&v, &again));
        assert_null(config_difference(&c.config, &config));
        vocab_free(&again);
    }
    vocab_free(&v);
    checkpoint_close(&c);
    free(table);
}

// A file of another program: an end token that occurs twice, a plain token that no text encodes to, and an unknown
// token.
static void test_foreign_ends(void **state)
{
    (void)state;
    struct Checkpoint c;
    struct Vocab v, again;
    struct Config config;
    vkgpt_error err;
    float *table = calloc(ROWS * 8, sizeof *table);
    open_wide(&c, table);
    for (int needed = 0; needed < 2; needed++) { // a byte that has no token
        struct GgufKeys keys = {0};
        const struct GgufOutput output = {.path = path, .type = VKGPT_F32};
        const struct Row row = {"", more_tokens, NULL, NULL, needed ? 'q' : -1};
        build(&v, &row);
        gguf_put_model(&keys, &c, VKGPT_F32);
        if (gguf_put_vocab(&keys, test_dir, &v, &c.config, &err)) fail_msg("%s", err.text);
        gguf_put_integer(&keys, "tokenizer.ggml.eot_token_id", EOT);
        gguf_put_integer(&keys, "tokenizer.ggml.eom_token_id", 280); // "xyz"
        gguf_put_integer(&keys, "tokenizer.ggml.unknown_token_id", EOT);
        if (gguf_write(&output, &c, &keys, &err) || gguf_vocab_open(path, 0, &again, &err) ||
            gguf_config_read(path, &config, &err))
            fail_msg("%s", err.text);
        assert_true(config.eos_count == 2 && config.eos[0] == EOT && config.eos[1] == 280);
        assert_int_equal(again.added_count, v.added_count + 1);
        assert_string_equal(again.added[2].text, "xyz");
        assert_true(again.added[2].special);
        assert_int_equal(again.unk, needed ? NO_TOKEN : EOT);
        gguf_keys_free(&keys);
        vocab_free(&again);
        vocab_free(&v);
    }
    checkpoint_close(&c);
    free(table);
}

// ------------------------------------------------------------------------------------------------- the config

static void other_class(struct Config *c) { c->architecture = "opt"; }
static void layers(struct Config *c) { c->layers = 1; }
static void heads(struct Config *c)
{
    c->heads = 4;
    c->head_dim = 2;
}
static void head_dim(struct Config *c) { c->head_dim = 3; }
static void eps(struct Config *c) { c->eps = 3.1415927e-6f; }
static void gelu_erf(struct Config *c) { c->activation = ACTIVATION_GELU_ERF; }
static void relu(struct Config *c) { c->activation = ACTIVATION_RELU; }
static void silu(struct Config *c) { c->activation = ACTIVATION_SILU; }
static void quick_gelu(struct Config *c) { c->activation = ACTIVATION_QUICK_GELU; }
static void no_scale(struct Config *c) { c->scale_attention = false; }
static void inverse_layer(struct Config *c) { c->scale_by_inverse_layer = true; }
static void untied(struct Config *c) { c->tied_head = false; }
static void post_norm(struct Config *c) { c->post_norm = true; }
static void no_final_norm(struct Config *c) { c->final_norm = false; }
static void not_affine(struct Config *c) { c->norm_affine = false; }
static void no_qkv_bias(struct Config *c) { c->qkv_bias = false; }
static void no_bias(struct Config *c) { c->bias = false; }
static void embed_dim(struct Config *c) { c->embed_dim = 4; }
static void position_offset(struct Config *c) { c->position_offset = 2; }
static void window(struct Config *c) { c->window = 3; }
static void local(struct Config *c) { c->local[0] = 2; }
static void other_bos(struct Config *c) { c->bos = 3; }
static void no_bos(struct Config *c) { c->bos = -1; }
static void no_eos(struct Config *c) { c->eos_count = 0; }
static void ends(struct Config *c, uint32_t count)
{
    static const uint32_t ids[] = {9, 2, 7, 0};
    memcpy(c->eos, ids, count * sizeof *ids);
    c->eos_count = count;
}
static void two_eos(struct Config *c) { ends(c, 2); }
static void three_eos(struct Config *c) { ends(c, 3); }
static void four_eos(struct Config *c) { ends(c, 4); }
// sizes that only the tensors can change; for these only config.json is checked
static void dim(struct Config *c)
{
    c->dim = c->embed_dim = 16;
    c->head_dim = 8;
}
static void inner(struct Config *c) { c->inner = 13; }
static void context(struct Config *c) { c->context = 6; }
static void vocab(struct Config *c) { c->vocab = 12; }

#define OF_TENSORS "the tensors' own"

static const struct ConfigRow {
    const char *field;
    void (*change)(struct Config *c);
    const char *gguf, *json; // a word of the sentence that refuses it
} config_rows[] = {
    {"architecture", other_class, "architecture opt", "class opt"},
    {"layers", layers, NULL, NULL},
    {"heads", heads, NULL, NULL},
    {"head_dim", head_dim, "head_dim", "head_dim"},
    {"dim", dim, OF_TENSORS, NULL},
    {"inner", inner, OF_TENSORS, NULL},
    {"context", context, OF_TENSORS, NULL},
    {"vocab", vocab, OF_TENSORS, NULL},
    {"eps", eps, NULL, NULL},
    {"activation", gelu_erf, "gelu (erf)", NULL},
    {"activation", relu, "relu", NULL},
    {"activation", silu, "silu", NULL},
    {"activation", quick_gelu, "quick_gelu", NULL},
    {"scale_attention", no_scale, "scale_attn_weights false", NULL},
    {"scale_by_inverse_layer", inverse_layer, "scale_attn_by_inverse_layer_idx", NULL},
    {"tied_head", untied, NULL, NULL},
    {"post_norm", post_norm, "post_norm", "post_norm"},
    {"final_norm", no_final_norm, "final_norm", "final_norm"},
    {"norm_affine", not_affine, "norm_affine", "norm_affine"},
    {"qkv_bias", no_qkv_bias, "qkv_bias", "qkv_bias"},
    {"bias", no_bias, "bias", "bias"},
    {"embed_dim", embed_dim, "embed_dim", "embed_dim"},
    {"position_offset", position_offset, "position_offset", "position_offset"},
    {"window", window, "window", "window"},
    {"local", local, "local layers", "local"},
    {"bos", other_bos, NULL, NULL},
    {"bos", no_bos, NULL, NULL},
    {"eos", no_eos, NULL, NULL},
    {"eos", two_eos, NULL, NULL},
    {"eos", three_eos, NULL, NULL},
    {"eos", four_eos, "has 4 end tokens (eos_token_id), and GGUF can say 3", NULL},
};

static void config_through_gguf(const struct ConfigRow *row, const struct Checkpoint *c)
{
    struct Config again;
    vkgpt_error err;
    struct Vocab none;
    if (row->gguf && strcmp(row->gguf, OF_TENSORS) == 0) return;
    vocab_init(&none, c->config.vocab); // rows without tokens: bos and eos are among the tokenizer's keys
    vocab_seal(&none);
    int code = write_gguf(c, &none, &err);
    vocab_free(&none);
    if (row->gguf) {
        expect_sentence(code, VKGPT_BAD_MODEL, &err, test_dir, row->gguf, NULL);
        return;
    }
    if (code || gguf_config_read(path, &again, &err)) fail_msg("%s: %s", row->field, err.text);
    const char *lost = config_difference(&c->config, &again);
    if (lost) fail_msg("%s: GGUF loses %s", row->field, lost);
}

static void config_through_json(const struct ConfigRow *row, const struct Config *config)
{
    struct Config again;
    vkgpt_error err;
    int code = config_write(test_dir, config, false, &err);
    if (row->json) {
        expect_sentence(code, VKGPT_BAD_MODEL, &err, test_dir, row->json, NULL);
        return;
    }
    if (code || config_read(test_dir, &again, &err)) fail_msg("%s: %s", row->field, err.text);
    const char *lost = config_difference(config, &again);
    if (lost) fail_msg("%s: config.json loses %s", row->field, lost);
}

static void test_config(void **state)
{
    (void)state;
    struct Checkpoint c;
    vkgpt_error err;
    (void)every_config;
    tiny_files();
    if (checkpoint_open(test_dir, &c, &err)) fail_msg("%s", err.text);
    c.config.bos = 5;
    ends(&c.config, 1);
    const struct Config plain = c.config;
    for (size_t i = 0; i < sizeof config_rows / sizeof *config_rows; i++) {
        c.config = plain;
        config_rows[i].change(&c.config);
        if (!config_difference(&plain, &c.config)) fail_msg("%s: the change is not seen", config_rows[i].field);
        config_through_gguf(&config_rows[i], &c);
        config_through_json(&config_rows[i], &c.config);
    }
    c.config = plain;
    checkpoint_close(&c);
}

// OpenAI's release of GPT-1 has no config.json: one is made.
static void test_gpt1_config(void **state)
{
    (void)state;
    struct Config release, again;
    vkgpt_error err;
    if (config_read(VKGPT_SOURCE_DIR "/tests/fixtures/gpt1/openai-release", &release, &err)) fail_msg("%s", err.text);
    if (config_write(test_dir, &release, true, &err) || config_read(test_dir, &again, &err)) fail_msg("%s", err.text);
    assert_null(config_difference(&release, &again));
    release.inner++;
    expect_sentence(config_write(test_dir, &release, true, &err), VKGPT_BAD_MODEL, &err, "inner", "openai-gpt", NULL);
}

// -------------------------------------------------------------------------------------------------- the head

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; head_fixture_name(i); i++) {
        char from[512];
        struct Checkpoint c;
        vkgpt_error err;
        head_fixture_dir(head_fixture_name(i), from, sizeof from);
        if (checkpoint_open_headless(from, &c, &err)) fail_msg("%s", err.text);
        const char *tensor = strstr(from, "choice") ? "multiple_choice_head.summary" : "score.weight";
        expect_sentence(gguf_can_hold(from, &c, &err), VKGPT_BAD_MODEL, &err, from, tensor, NULL);
        checkpoint_close(&c);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_dir_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tokenizer), TEST(test_normalized_counts), TEST(test_edges), TEST(test_foreign_ends),
        TEST(test_config),    TEST(test_gpt1_config),       TEST(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
