// The header, keys and tensor descriptions are built in memory; the tensors are copied a few rows at a time.
#include "model/gguf_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/table.h"

#define CHUNK_WEIGHTS (1 << 20)
#define HALF_MAX 65504.0f

// -------------------------------------------------------------------------------------------------- the keys

static void put(struct GgufKeys *keys, const void *data, size_t bytes)
{
    if (keys->out_of_memory || !bytes) return;
    if (bytes > keys->capacity - keys->bytes) {
        size_t capacity = 2 * keys->capacity + bytes + 4096;
        uint8_t *wider = realloc(keys->data, capacity);
        if (!wider) {
            keys->out_of_memory = true;
            return;
        }
        keys->data = wider;
        keys->capacity = capacity;
    }
    memcpy(keys->data + keys->bytes, data, bytes);
    keys->bytes += bytes;
}

static void put_number(struct GgufKeys *keys, uint64_t value, int bytes)
{
    uint8_t number[8];
    for (int i = 0; i < bytes; i++) number[i] = (uint8_t)(value >> 8 * i);
    put(keys, number, (size_t)bytes);
}

void gguf_put_element_text(struct GgufKeys *keys, const char *text, size_t bytes)
{
    put_number(keys, bytes, 8);
    put(keys, text, bytes);
}

void gguf_put_element_i32(struct GgufKeys *keys, int32_t value) { put_number(keys, (uint32_t)value, 4); }

static void put_key(struct GgufKeys *keys, const char *key, enum GgufType type)
{
    gguf_put_element_text(keys, key, strlen(key));
    put_number(keys, type, 4);
    keys->count++;
}

void gguf_put_integer(struct GgufKeys *keys, const char *key, uint32_t value)
{
    put_key(keys, key, GGUF_U32);
    put_number(keys, value, 4);
}

void gguf_put_real(struct GgufKeys *keys, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(keys, key, GGUF_F32);
    put_number(keys, bits, 4);
}

void gguf_put_flag(struct GgufKeys *keys, const char *key, bool value)
{
    put_key(keys, key, GGUF_BOOL);
    put_number(keys, value, 1);
}

void gguf_put_text(struct GgufKeys *keys, const char *key, const char *value)
{
    put_key(keys, key, GGUF_STRING);
    gguf_put_element_text(keys, value, strlen(value));
}

void gguf_put_array(struct GgufKeys *keys, const char *key, enum GgufType element, uint64_t count)
{
    put_key(keys, key, GGUF_ARRAY);
    put_number(keys, element, 4);
    put_number(keys, count, 8);
}

void gguf_keys_free(struct GgufKeys *keys)
{
    free(keys->data);
    *keys = (struct GgufKeys){0};
}

// ------------------------------------------------------------------------------------------------- the model

// A field of the config that has one fixed value in GGUF's gpt2.
#define ALWAYS(field, value)                                                                                           \
    {                                                                                                                  \
#field, offsetof(struct Config, field), sizeof(((struct Config *)0)->field), value                             \
    }

static const struct Fixed {
    const char *name;
    size_t offset, bytes;
    uint32_t value;
} fixed[] = {
    ALWAYS(post_norm, false), ALWAYS(final_norm, true),   ALWAYS(norm_affine, true), ALWAYS(qkv_bias, true),
    ALWAYS(bias, true),       ALWAYS(position_offset, 0), ALWAYS(window, 0),
};

// The first field whose value differs from gpt2's, or NULL.
static const char *not_gpt2(const struct Config *c)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        const uint8_t *field = (const uint8_t *)c + fixed[i].offset;
        uint32_t value = *field; // a bool
        if (fixed[i].bytes == sizeof value) memcpy(&value, field, sizeof value);
        if (value != fixed[i].value) return fixed[i].name;
    }
    for (size_t i = 0; i < sizeof c->local; i++)
        if (c->local[i]) return "local layers";
    if (c->embed_dim != c->dim) return "embed_dim";
    return (uint64_t)c->head_dim * c->heads != c->dim ? "head_dim" : NULL;
}

int gguf_can_say(const char *model, const struct Config *config, vkgpt_error *err)
{
    // clang-format off
    static const char *const activations[] = {
        [ACTIVATION_GELU_ERF] = "activation_function gelu (erf)", [ACTIVATION_RELU] = "activation_function relu",
        [ACTIVATION_SILU] = "activation_function silu", [ACTIVATION_QUICK_GELU] = "activation_function quick_gelu",
    };
    // clang-format on
    if (strcmp(config->architecture, "gpt2") != 0)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: is of architecture %s, and a GGUF file that llama.cpp runs is made of gpt2", model,
                    config->architecture);
    const char *what = NULL;
    if (config->activation != ACTIVATION_GELU_TANH) what = activations[config->activation];
    else if (!config->scale_attention) what = "scale_attn_weights false";
    else if (config->scale_by_inverse_layer) what = "scale_attn_by_inverse_layer_idx true";
    else what = not_gpt2(config);
    if (what) return fail(err, VKGPT_BAD_MODEL, "%s: has %s, which GGUF's gpt2 cannot say", model, what);
    if (config->eos_count <= GGUF_MAX_ENDS) return 0;
    return fail(err, VKGPT_BAD_MODEL, "%s: has %u end tokens (eos_token_id), and GGUF can say %d", model,
                config->eos_count, GGUF_MAX_ENDS);
}

int gguf_can_hold(const char *model, const struct Checkpoint *c, vkgpt_error *err)
{
    const struct Tensor **used = malloc((c->table.count + 1) * sizeof *used), *more = NULL;
    if (!used) return fail_memory(err, model, (c->table.count + 1) * sizeof *used);
    checkpoint_weights(c, used);
    for (size_t i = 0; !more && i < c->table.count; i++)
        if (!used[i] && !checkpoint_implied(c, &c->table.tensors[i])) more = &c->table.tensors[i];
    free(used);
    if (!more) return 0;
    return fail(err, VKGPT_BAD_MODEL,
                "%s: has the tensor %.200s, which is not a weight of the language model (a head for a task, "
                "or a layer too many), and GGUF's gpt2 cannot hold it",
                model, more->name);
}

void gguf_put_model(struct GgufKeys *keys, const struct Checkpoint *checkpoint, vkgpt_format type)
{
    const struct Config *c = &checkpoint->config;
    gguf_put_text(keys, "general.architecture", "gpt2");
    gguf_put_text(keys, "general.type", "model");
    gguf_put_text(keys, "general.name", checkpoint->name);
    gguf_put_integer(keys, "general.file_type", FORMAT_INFO[type].gguf_file);
    gguf_put_integer(keys, "general.alignment", GGUF_ALIGNMENT);
    if (type >= VKGPT_Q8_0) gguf_put_integer(keys, "general.quantization_version", 2);
    gguf_put_integer(keys, "gpt2.block_count", c->layers);
    gguf_put_integer(keys, "gpt2.context_length", c->context);
    gguf_put_integer(keys, "gpt2.embedding_length", c->dim);
    gguf_put_integer(keys, "gpt2.feed_forward_length", c->inner);
    gguf_put_integer(keys, "gpt2.attention.head_count", c->heads);
    gguf_put_real(keys, "gpt2.attention.layer_norm_epsilon", c->eps);
}

// ----------------------------------------------------------------------------------------------- the tensors

enum Role { VECTOR, TABLE, MATRIX }; // f32; q8_0 or better; the file's type

struct Item {
    char name[48];
    const struct Weight *weight;
    int64_t rows, in; // a vector has 1 row
    enum Role role;
    vkgpt_format format;
    uint64_t bytes;
};

struct Writer {
    const char *path;
    const struct Checkpoint *checkpoint;
    vkgpt_format type;
    void (*note)(const char *sentence);
    struct Item *items;
    size_t count;
    struct Saving file;
    vkgpt_error *err;
};

static void say(const struct Writer *w, const struct Item *item, const char *wanted, const char *why)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s is %s in place of %s: %s", item->name, FORMAT_INFO[item->format].name,
             wanted, why);
    clean_sentence(sentence);
    if (w->note) w->note(sentence);
}

static void choose_format(const struct Writer *w, struct Item *item)
{
    vkgpt_format as = w->type, wanted;
    if (item->role == VECTOR) as = VKGPT_F32;
    if (item->role == TABLE && as > VKGPT_Q8_0) as = VKGPT_Q8_0;
    wanted = as;
    while (item->in % format_block(as).weights) as = as == VKGPT_Q4_K ? VKGPT_Q8_0 : VKGPT_F16;
    item->format = as;
    if (as != wanted) say(w, item, FORMAT_INFO[wanted].name, "its rows are not a multiple of the block size");
    bool narrow = as == VKGPT_F16 && item->weight->tensor->dtype != DTYPE_F16;
    if (narrow && weight_max_abs(item->weight) > HALF_MAX) {
        item->format = VKGPT_F32;
        say(w, item, FORMAT_INFO[as].name, "it holds values past 65504");
    }
    const struct BlockInfo block = format_block(item->format);
    item->bytes = (uint64_t)(item->rows * item->in / block.weights) * block.bytes;
}

__attribute__((format(printf, 6, 7))) static void add_item(struct Writer *w, const struct Weight *weight, int64_t rows,
                                                           int64_t in, enum Role role, const char *format, ...)
{
    struct Item *item = &w->items[w->count++];
    *item = (struct Item){.weight = weight, .rows = rows, .in = in, .role = role};
    va_list args;
    va_start(args, format);
    vsnprintf(item->name, sizeof item->name, format, args);
    va_end(args);
    choose_format(w, item);
}

static void add_layer(struct Writer *w, const struct LayerWeights *l, uint32_t layer)
{
    const struct Config *c = &w->checkpoint->config;
    int64_t dim = c->dim, inner = c->inner;
    add_item(w, &l->ln_1_gain, 1, dim, VECTOR, "blk.%u.attn_norm.weight", layer);
    add_item(w, &l->ln_1_bias, 1, dim, VECTOR, "blk.%u.attn_norm.bias", layer);
    add_item(w, &l->c_attn, 3 * dim, dim, MATRIX, "blk.%u.attn_qkv.weight", layer);
    add_item(w, &l->c_attn_bias, 1, 3 * dim, VECTOR, "blk.%u.attn_qkv.bias", layer);
    add_item(w, &l->c_proj, dim, dim, MATRIX, "blk.%u.attn_output.weight", layer);
    add_item(w, &l->c_proj_bias, 1, dim, VECTOR, "blk.%u.attn_output.bias", layer);
    add_item(w, &l->ln_2_gain, 1, dim, VECTOR, "blk.%u.ffn_norm.weight", layer);
    add_item(w, &l->ln_2_bias, 1, dim, VECTOR, "blk.%u.ffn_norm.bias", layer);
    add_item(w, &l->c_fc, inner, dim, MATRIX, "blk.%u.ffn_up.weight", layer);
    add_item(w, &l->c_fc_bias, 1, inner, VECTOR, "blk.%u.ffn_up.bias", layer);
    add_item(w, &l->c_out, dim, inner, MATRIX, "blk.%u.ffn_down.weight", layer);
    add_item(w, &l->c_out_bias, 1, dim, VECTOR, "blk.%u.ffn_down.bias", layer);
}

static int list_items(struct Writer *w)
{
    const struct Checkpoint *c = w->checkpoint;
    int64_t dim = c->config.dim, vocab = c->config.vocab;
    size_t count = 5 + 12 * (size_t)c->config.layers;
    w->items = calloc(count, sizeof *w->items);
    if (!w->items) return fail_memory(w->err, w->path, count * sizeof *w->items);
    add_item(w, &c->wte, vocab, dim, TABLE, "token_embd.weight");
    add_item(w, &c->wpe, c->config.context, dim, VECTOR, "position_embd.weight");
    for (uint32_t l = 0; l < c->config.layers; l++) add_layer(w, &c->layers[l], l);
    add_item(w, &c->ln_f_gain, 1, dim, VECTOR, "output_norm.weight");
    add_item(w, &c->ln_f_bias, 1, dim, VECTOR, "output_norm.bias");
    if (!c->config.tied_head) add_item(w, &c->head, vocab, dim, TABLE, "output.weight");
    return 0;
}

static uint64_t padded(uint64_t bytes) { return (bytes + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT; }

// In the file the fastest dimension comes first.
static void describe(const struct Writer *w, struct GgufKeys *head)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct Item *item = &w->items[i];
        int rank = item->weight->tensor->rank;
        gguf_put_element_text(head, item->name, strlen(item->name));
        put_number(head, (uint64_t)rank, 4);
        put_number(head, (uint64_t)item->in, 8);
        if (rank == 2) put_number(head, (uint64_t)item->rows, 8);
        put_number(head, format_block(item->format).gguf, 4);
        put_number(head, offset, 8);
        offset += padded(item->bytes);
    }
}

static int write_head(struct Writer *w, const struct GgufKeys *keys)
{
    struct GgufKeys head = {0};
    static const uint8_t zeros[GGUF_ALIGNMENT] = {0};
    put(&head, GGUF_MAGIC, 4);
    put_number(&head, GGUF_VERSION, 4);
    put_number(&head, w->count, 8);
    put_number(&head, keys->count, 8);
    put(&head, keys->data, keys->bytes);
    describe(w, &head);
    put(&head, zeros, (size_t)(padded(head.bytes) - head.bytes));
    int code = head.out_of_memory || keys->out_of_memory ? fail_memory(w->err, w->path, 2 * head.bytes)
                                                         : os_save_write(&w->file, head.data, head.bytes, w->err);
    gguf_keys_free(&head);
    return code;
}

static int check_finite(const struct Writer *w, const struct Item *item, const float *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return fail(w->err, VKGPT_BAD_MODEL, "%s: tensor %.200s holds a NaN or an infinity, which %s cannot say",
                        item->weight->tensor->file, item->weight->tensor->name, FORMAT_INFO[item->format].name);
    return 0;
}

// `values` and `packed` have room for `rows` rows.
static int write_rows(struct Writer *w, const struct Item *item, int64_t first, int64_t rows, float *values,
                      uint8_t *packed)
{
    const struct FormatInfo *form = &FORMAT_INFO[item->format];
    const struct BlockInfo block = format_block(item->format);
    int64_t count = rows * item->in;
    const void *data = packed;
    int code = 0;
    if (form->dtype == DTYPE_F16) {
        weight_rows_half(item->weight, first, rows, item->in, (uint16_t *)(void *)packed);
    } else {
        weight_rows(item->weight, first, rows, item->in, values);
        if (form->dtype == DTYPE_F32) data = values;
        else if (!(code = check_finite(w, item, values, count))) block_pack(form->block, values, (size_t)count, packed);
    }
    return code ? code : os_save_write(&w->file, data, (size_t)(count / block.weights) * block.bytes, w->err);
}

static int write_chunks(struct Writer *w, const struct Item *item)
{
    int64_t step = CHUNK_WEIGHTS / item->in;
    if (step < 1) step = 1;
    if (step > item->rows) step = item->rows;
    size_t bytes = (size_t)(step * item->in) * sizeof(float);
    float *values = malloc(bytes);
    uint8_t *packed = malloc(bytes); // no format needs more
    int code = values && packed ? 0 : fail_memory(w->err, w->path, bytes);
    for (int64_t r = 0; !code && r < item->rows; r += step)
        code = write_rows(w, item, r, item->rows - r < step ? item->rows - r : step, values, packed);
    free(values);
    free(packed);
    return code;
}

static int write_item(struct Writer *w, const struct Item *item)
{
    static const uint8_t zeros[GGUF_ALIGNMENT] = {0};
    const struct Tensor *t = item->weight->tensor;
    const struct FormatInfo *form = &FORMAT_INFO[item->format];
    bool same = t->dtype == DTYPE_BLOCKS && form->dtype == DTYPE_BLOCKS && t->block == form->block;
    int code = same ? os_save_write(&w->file, t->data, t->bytes, w->err) : write_chunks(w, item);
    size_t padding = (size_t)(padded(item->bytes) - item->bytes);
    return code || !padding ? code : os_save_write(&w->file, zeros, padding, w->err);
}

int gguf_write(const struct GgufOutput *output, const struct Checkpoint *checkpoint, const struct GgufKeys *keys,
               vkgpt_error *err)
{
    struct Writer w = {
        .path = output->path, .checkpoint = checkpoint, .type = output->type, .note = output->note, .err = err};
    int code = list_items(&w);
    if (!code) code = os_save_begin(w.path, &w.file, err);
    if (!code) code = write_head(&w, keys);
    for (size_t i = 0; !code && i < w.count; i++) code = write_item(&w, &w.items[i]);
    if (!code && output->check) code = output->check(w.file.temporary, output->user, err);
    if (code != VKGPT_INTERRUPTED) code = table_end(&checkpoint->table, code, err);
    int ended = os_save_end(&w.file, !code, code ? NULL : err);
    free(w.items);
    return code ? code : ended;
}
