// The tensors go from the checkpoint to the file one by one, the matrices turned into Conv1D's (in, out).
#include "model/safetensors_write.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/path.h"
#include "model/table.h"

#define CHUNK_WEIGHTS (1 << 20)
#define HALF_MAX 65504.0f

struct Item {
    const char *name;
    const struct Weight *weight;
    int64_t rows, in; // as they stand in the file to be written; rows 0: a vector
};

struct Writer {
    const char *path;
    const struct Checkpoint *checkpoint;
    bool half;
    struct Saving file;
    vkgpt_error *err;
};

#define LAYER_ITEMS 12

static void layer_items(const struct Config *c, const struct LayerWeights *l, struct Item items[LAYER_ITEMS])
{
    int64_t dim = c->dim, inner = c->inner;
    const struct Item list[LAYER_ITEMS] = {
        {"ln_1.weight", &l->ln_1_gain, 0, dim},          {"ln_1.bias", &l->ln_1_bias, 0, dim},
        {"attn.c_attn.weight", &l->c_attn, dim, 3 * dim}, {"attn.c_attn.bias", &l->c_attn_bias, 0, 3 * dim},
        {"attn.c_proj.weight", &l->c_proj, dim, dim},    {"attn.c_proj.bias", &l->c_proj_bias, 0, dim},
        {"ln_2.weight", &l->ln_2_gain, 0, dim},          {"ln_2.bias", &l->ln_2_bias, 0, dim},
        {"mlp.c_fc.weight", &l->c_fc, dim, inner},       {"mlp.c_fc.bias", &l->c_fc_bias, 0, inner},
        {"mlp.c_proj.weight", &l->c_out, inner, dim},    {"mlp.c_proj.bias", &l->c_out_bias, 0, dim},
    };
    memcpy(items, list, sizeof list);
}

// Calls `each` for every tensor, in the order of the file.
static int for_items(struct Writer *w, int (*each)(struct Writer *w, const char *name, const struct Item *item, void *user),
                     void *user)
{
    const struct Checkpoint *c = w->checkpoint;
    int64_t dim = c->config.dim;
    const struct Item outer[] = {
        {"transformer.wte.weight", &c->wte, c->config.vocab, dim},
        {"transformer.wpe.weight", &c->wpe, c->config.context, dim},
        {"transformer.ln_f.weight", &c->ln_f_gain, 0, dim},
        {"transformer.ln_f.bias", &c->ln_f_bias, 0, dim},
        {"lm_head.weight", &c->head, c->config.vocab, dim},
    };
    int code = 0;
    for (int i = 0; !code && i < (c->config.tied_head ? 4 : 5); i++) code = each(w, outer[i].name, &outer[i], user);
    for (uint32_t l = 0; l < c->config.layers; l++) {
        struct Item items[LAYER_ITEMS];
        layer_items(&c->config, &c->layers[l], items);
        for (int i = 0; !code && i < LAYER_ITEMS; i++) {
            char name[64];
            snprintf(name, sizeof name, "transformer.h.%u.%s", l, items[i].name);
            code = each(w, name, &items[i], user);
        }
    }
    return code;
}

// ------------------------------------------------------------------------------------------------ the header

struct Header {
    char *text;
    size_t bytes, capacity;
    int64_t at; // of the next tensor's data
};

static int describe(struct Writer *w, const char *name, const struct Item *item, void *user)
{
    struct Header *h = user;
    char entry[256], shape[64];
    int64_t bytes = (item->rows ? item->rows : 1) * item->in * (w->half ? 2 : 4);
    if (item->rows) snprintf(shape, sizeof shape, "%" PRId64 ",%" PRId64, item->rows, item->in);
    else snprintf(shape, sizeof shape, "%" PRId64, item->in);
    int n = snprintf(entry, sizeof entry, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}",
                     name, w->half ? "F16" : "F32", shape, h->at, h->at + bytes);
    if (h->capacity - h->bytes < sizeof entry + 16) {
        size_t capacity = 2 * h->capacity + 4096;
        char *wider = realloc(h->text, capacity);
        if (!wider) return fail_memory(w->err, w->path, capacity);
        h->text = wider;
        h->capacity = capacity;
    }
    memcpy(h->text + h->bytes, entry, (size_t)n);
    h->bytes += (size_t)n;
    h->at += bytes;
    return 0;
}

// A length of 8 bytes, then JSON padded with blanks to a multiple of 8.
static int write_header(struct Writer *w)
{
    static const char start[] = "{\"__metadata__\":{\"format\":\"pt\"}";
    struct Header h = {0};
    int code = for_items(w, describe, &h);
    if (!code) {
        size_t bytes = strlen(start) + h.bytes + 1, padded = (bytes + 7) / 8 * 8;
        uint8_t length[8];
        for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)padded >> 8 * i);
        code = os_save_write(&w->file, length, 8, w->err);
        if (!code) code = os_save_write(&w->file, start, strlen(start), w->err);
        if (!code) code = os_save_write(&w->file, h.text, h.bytes, w->err);
        if (!code) code = os_save_write(&w->file, "}       ", 1 + padded - bytes, w->err);
    }
    free(h.text);
    return code;
}

// ------------------------------------------------------------------------------------------------ the values

// Rows of `weight` as it stands in the file to be written, whose order may be the other one.
static int write_rows(struct Writer *w, const struct Weight *weight, const struct Item *item)
{
    int64_t rows = item->rows ? item->rows : 1, step = CHUNK_WEIGHTS / item->in;
    step = step < 1 ? 1 : step > rows ? rows : step;
    size_t bytes = (size_t)(step * item->in) * sizeof(float);
    float *values = malloc(bytes);
    int code = values ? 0 : fail_memory(w->err, w->path, bytes);
    for (int64_t r = 0; !code && r < rows; r += step) {
        int64_t taken = rows - r < step ? rows - r : step;
        if (w->half) weight_rows_half(weight, r, taken, item->in, (uint16_t *)(void *)values);
        else weight_rows(weight, r, taken, item->in, values);
        code = os_save_write(&w->file, values, (size_t)(taken * item->in) * (w->half ? 2 : 4), w->err);
    }
    free(values);
    return code;
}

// Blocks cannot be read across: the whole matrix is unpacked.
static int write_unpacked(struct Writer *w, const struct Item *item)
{
    const struct Tensor *t = item->weight->tensor;
    size_t bytes = (size_t)(item->rows * item->in) * sizeof(float);
    float *values = malloc(bytes);
    if (!values) return fail_memory(w->err, w->path, bytes);
    weight_rows(item->weight, 0, t->shape[0], t->shape[1], values);
    struct Tensor wide = *t;
    wide.dtype = DTYPE_F32;
    wide.data = (const uint8_t *)values;
    wide.bytes = bytes;
    struct Weight turned = {&wide, true};
    int code = write_rows(w, &turned, item);
    free(values);
    return code;
}

static int write_item(struct Writer *w, const char *name, const struct Item *item, void *user)
{
    (void)user;
    const struct Tensor *t = item->weight->tensor;
    if (w->half && t->dtype != DTYPE_F16 && weight_max_abs(item->weight) > HALF_MAX)
        return fail(w->err, VKGPT_BAD_MODEL, "%s: %s holds a value past 65504, which f16 cannot say and f32 can", t->file,
                    name);
    bool conv = item->rows && strstr(name, ".h.") != NULL; // Conv1D: (in, out), a Weight's rows being its outputs
    if (conv && t->dtype == DTYPE_BLOCKS) return write_unpacked(w, item);
    struct Weight weight = {t, conv ? !item->weight->in_out : item->weight->in_out};
    return write_rows(w, &weight, item);
}

// ------------------------------------------------------------------------------------------------ config.json

static const char *activation_name(enum Activation activation)
{
    switch (activation) {
    case ACTIVATION_GELU_TANH: return "gelu_new";
    case ACTIVATION_GELU_ERF: return "gelu";
    case ACTIVATION_RELU: return "relu";
    case ACTIVATION_SILU: return "silu";
    case ACTIVATION_QUICK_GELU: return "quick_gelu";
    }
    return "";
}

static void add_token(cJSON *json, const char *key, int64_t id)
{
    if (id >= 0) cJSON_AddNumberToObject(json, key, (double)id);
    else cJSON_AddNullToObject(json, key);
}

static int write_config(const char *path, const struct Config *c, bool half, vkgpt_error *err)
{
    const char *class = "GPT2LMHeadModel";
    char eps[32];
    snprintf(eps, sizeof eps, "%.7g", (double)c->eps);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "architectures", cJSON_CreateStringArray(&class, 1));
    cJSON_AddStringToObject(json, "model_type", "gpt2");
    cJSON_AddStringToObject(json, "activation_function", activation_name(c->activation));
    cJSON_AddNumberToObject(json, "vocab_size", c->vocab);
    cJSON_AddNumberToObject(json, "n_positions", c->context);
    cJSON_AddNumberToObject(json, "n_ctx", c->context);
    cJSON_AddNumberToObject(json, "n_embd", c->dim);
    cJSON_AddNumberToObject(json, "n_layer", c->layers);
    cJSON_AddNumberToObject(json, "n_head", c->heads);
    cJSON_AddNumberToObject(json, "n_inner", c->inner);
    cJSON_AddRawToObject(json, "layer_norm_epsilon", eps);
    cJSON_AddBoolToObject(json, "scale_attn_weights", c->scale_attention);
    cJSON_AddBoolToObject(json, "scale_attn_by_inverse_layer_idx", c->scale_by_inverse_layer);
    cJSON_AddBoolToObject(json, "tie_word_embeddings", c->tied_head);
    add_token(json, "bos_token_id", c->bos);
    add_token(json, "eos_token_id", c->eos_count ? (int64_t)c->eos[0] : -1);
    cJSON_AddStringToObject(json, "torch_dtype", half ? "float16" : "float32");
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) return fail_memory(err, path, 4096);
    size_t length = strlen(text);
    text[length] = '\n'; // in place of the NUL
    int code = os_write(path, text, length + 1, err);
    cJSON_free(text);
    return code;
}

int safetensors_write(const char *dir, const struct Checkpoint *checkpoint, bool half, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Writer w = {.path = path, .checkpoint = checkpoint, .half = half, .err = err};
    int code = path_join(path, dir, "model.safetensors", err);
    if (!code) code = os_save_begin(path, &w.file, err);
    if (!code) code = write_header(&w);
    if (!code) code = for_items(&w, write_item, NULL);
    int ended = os_save_end(&w.file, !code, code ? NULL : err);
    if (!code) code = ended;
    if (!code) code = path_join(path, dir, "config.json", err);
    return code ? code : write_config(path, &checkpoint->config, half, err);
}
