// Makes a list of the file's tensors, writes the header, then the values tensor by tensor.
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
#define NAME_BYTES 64 // for the new names of a GGUF file's weights

struct Item {
    const char *name;
    char made[NAME_BYTES]; // the name, if the source has another one
    const struct Tensor *tensor;
    const char *dtype; // its name in the new file
    bool kept;         // the bytes are copied; else f32 or f16
    bool turned;       // transposed: columns become rows
    int64_t rows, in;  // in the new file; rows 0: a vector. Not set if `kept`
    int64_t bytes;
    int64_t element; // bytes
};

struct Writer {
    const char *path;
    const struct Checkpoint *checkpoint;
    bool half;
    struct Item *items;
    size_t count;
    struct Saving file;
    vkgpt_error *err;
};

// ---------------------------------------------------------------------------------------------------- the list

static struct Item *add(struct Writer *w, const struct Tensor *tensor, const char *name)
{
    struct Item *item = &w->items[w->count++];
    *item = (struct Item){.name = name, .tensor = tensor};
    return item;
}

static void add_weight(struct Writer *w, const struct Tensor *t, const char *name, bool turned)
{
    struct Item *item = add(w, t, name);
    item->turned = turned;
    item->dtype = w->half ? "F16" : "F32";
    item->element = w->half ? 2 : 4;
    item->in = t->shape[t->rank - 1];
    if (t->rank == 2) item->rows = t->shape[0];
    if (turned) {
        item->rows = t->shape[1];
        item->in = t->shape[0];
    }
    item->bytes = (item->rows ? item->rows : 1) * item->in * item->element;
}

// "transformer.h.3.ln_1.weight"
static void add_named(struct Writer *w, const struct Weight *weight, bool turned, uint32_t layer, const char *name)
{
    struct Item *item = &w->items[w->count];
    add_weight(w, weight->tensor, NULL, turned);
    snprintf(item->made, sizeof item->made, "transformer.h.%u.%s", layer, name);
    item->name = item->made;
}

static void add_layer(struct Writer *w, const struct LayerWeights *l, uint32_t layer)
{
    const struct {
        const char *name;
        const struct Weight *weight;
        bool conv; // Conv1D's (in, out)
    } list[] = {
        {"ln_1.weight", &l->ln_1_gain, false},    {"ln_1.bias", &l->ln_1_bias, false},
        {"attn.c_attn.weight", &l->c_attn, true}, {"attn.c_attn.bias", &l->c_attn_bias, false},
        {"attn.c_proj.weight", &l->c_proj, true}, {"attn.c_proj.bias", &l->c_proj_bias, false},
        {"ln_2.weight", &l->ln_2_gain, false},    {"ln_2.bias", &l->ln_2_bias, false},
        {"mlp.c_fc.weight", &l->c_fc, true},      {"mlp.c_fc.bias", &l->c_fc_bias, false},
        {"mlp.c_proj.weight", &l->c_out, true},   {"mlp.c_proj.bias", &l->c_out_bias, false},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        add_named(w, list[i].weight, list[i].conv, layer, list[i].name);
}

// Lists a GGUF file's weights, with the names of GPT2LMHeadModel.
static int list_gguf(struct Writer *w)
{
    const struct Checkpoint *c = w->checkpoint;
    size_t most = 5 + 12 * (size_t)c->config.layers;
    w->items = calloc(most, sizeof *w->items);
    if (!w->items) return fail_memory(w->err, w->path, most * sizeof *w->items);
    add_weight(w, c->wte.tensor, "transformer.wte.weight", false);
    add_weight(w, c->wpe.tensor, "transformer.wpe.weight", false);
    add_weight(w, c->ln_f_gain.tensor, "transformer.ln_f.weight", false);
    add_weight(w, c->ln_f_bias.tensor, "transformer.ln_f.bias", false);
    if (!c->config.tied_head) add_weight(w, c->head.tensor, "lm_head.weight", false);
    for (uint32_t l = 0; l < c->config.layers; l++) add_layer(w, &c->layers[l], l);
    return 0;
}

// The name of a type in safetensors, or NULL. The bytes of the types that vkgpt reads are the same in all file formats.
static const char *dtype_of(const struct Tensor *t)
{
    static const char *const pairs[][2] = {
        {"DoubleStorage", "F64"}, {"ByteStorage", "U8"}, {"BoolStorage", "BOOL"}, {"CharStorage", "I8"},
        {"ShortStorage", "I16"},  {"IntStorage", "I32"}, {"LongStorage", "I64"},  {"ComplexFloatStorage", "C64"},
    };
    if (t->dtype == DTYPE_F32) return "F32";
    if (t->dtype == DTYPE_F16) return "F16";
    if (t->dtype == DTYPE_BF16) return "BF16";
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(t->dtype_name, pairs[i][0]) == 0) return pairs[i][1];
    return strstr(t->dtype_name, "Storage") ? NULL : t->dtype_name;
}

// Elements from the tensor's first to its last, gaps included; `count` is the number without gaps.
static int64_t span_of(const struct Tensor *t, int64_t *count)
{
    int64_t span = 1;
    *count = 1;
    for (int i = 0; i < t->rank; i++) {
        *count *= t->shape[i];
        span += (t->shape[i] - 1) * t->stride[i];
    }
    return *count ? span : 0;
}

static int add_kept(struct Writer *w, const struct Tensor *t)
{
    struct Item *item = add(w, t, t->name);
    int64_t count, span = span_of(t, &count);
    item->kept = true;
    item->dtype = dtype_of(t);
    item->element = span ? (int64_t)t->bytes / span : 1;
    item->bytes = count == span ? (int64_t)t->bytes : count * item->element;
    if (item->dtype) return 0;
    return fail(w->err, VKGPT_BAD_MODEL, "%s: tensor %.200s is of type %s, which a safetensors file cannot say",
                t->file, t->name, t->dtype_name);
}

// Lists a directory's tensors, all except those implied.
static int list_directory(struct Writer *w)
{
    const struct Checkpoint *c = w->checkpoint;
    size_t most = c->table.count + 1;
    const struct Tensor **used = malloc(most * sizeof *used);
    w->items = calloc(most, sizeof *w->items);
    int code = used && w->items ? 0 : fail_memory(w->err, w->path, most * sizeof *w->items);
    if (!code) checkpoint_weights(c, used);
    for (size_t i = 0; !code && i < c->table.count; i++) {
        const struct Tensor *t = &c->table.tensors[i];
        if (used[i]) add_weight(w, used[i], t->name, false);
        else if (!checkpoint_implied(c, t)) code = add_kept(w, t);
    }
    free(used);
    return code;
}

// Wide elements first, so that each tensor begins at a multiple of its element's size: some readers may need that.
static int by_element(const void *a, const void *b)
{
    const struct Item *x = a, *y = b;
    if (x->element != y->element) return x->element < y->element ? 1 : -1;
    return strcmp(x->name, y->name);
}

static int list_items(struct Writer *w)
{
    int code = w->checkpoint->gguf ? list_gguf(w) : list_directory(w);
    if (code) return code;
    if (!w->checkpoint->gguf) qsort(w->items, w->count, sizeof *w->items, by_element);
    return 0;
}

// ------------------------------------------------------------------------------------------------ the header

static cJSON *describe(const struct Item *item, int64_t at)
{
    const struct Tensor *t = item->tensor;
    cJSON *entry = cJSON_CreateObject(), *shape, *offsets;
    cJSON_AddStringToObject(entry, "dtype", item->dtype);
    shape = cJSON_AddArrayToObject(entry, "shape");
    for (int i = 0; i < t->rank; i++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->shape[item->turned ? t->rank - 1 - i : i]));
    offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)at)); // exact below 2^53
    cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(at + item->bytes)));
    return entry;
}

static char *header_text(const struct Writer *w)
{
    int64_t at = 0;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(cJSON_AddObjectToObject(json, "__metadata__"), "format", "pt");
    for (size_t i = 0; i < w->count; i++) {
        cJSON_AddItemToObject(json, w->items[i].name, describe(&w->items[i], at));
        at += w->items[i].bytes;
    }
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

// Writes a length of 8 bytes, then JSON padded with blanks to a multiple of 8.
static int write_header(struct Writer *w)
{
    char *text = header_text(w);
    if (!text) return fail_memory(w->err, w->path, w->count * 128);
    size_t bytes = strlen(text), padded = (bytes + 7) / 8 * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    int code = os_save_write(&w->file, length, 8, w->err);
    if (!code) code = os_save_write(&w->file, text, bytes, w->err);
    if (!code) code = os_save_write(&w->file, "       ", padded - bytes, w->err);
    cJSON_free(text);
    return code;
}

// ------------------------------------------------------------------------------------------------ the values

// Writes all rows of `weight`, as rows of the new file.
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
        code = os_save_write(&w->file, values, (size_t)(taken * item->in * item->element), w->err);
    }
    free(values);
    return code;
}

// Columns of blocks cannot be read: the whole matrix is unpacked first.
static int write_unpacked(struct Writer *w, const struct Item *item)
{
    const struct Tensor *t = item->tensor;
    size_t bytes = (size_t)(item->rows * item->in) * sizeof(float);
    float *values = malloc(bytes);
    if (!values) return fail_memory(w->err, w->path, bytes);
    weight_rows(&(struct Weight){t, false}, 0, t->shape[0], t->shape[1], values);
    struct Tensor wide = *t;
    wide.dtype = DTYPE_F32;
    wide.data = (const uint8_t *)values;
    wide.bytes = bytes;
    struct Weight turned = {&wide, true};
    int code = write_rows(w, &turned, item);
    free(values);
    return code;
}

static int write_weight(struct Writer *w, const struct Item *item)
{
    const struct Tensor *t = item->tensor;
    struct Weight weight = {t, item->turned};
    if (w->half && t->dtype != DTYPE_F16 && weight_max_abs(&weight) > HALF_MAX)
        return fail(w->err, VKGPT_BAD_MODEL, "%s: %s holds a value past 65504, which f16 cannot say and f32 can",
                    t->file, item->name);
    return item->turned && t->dtype == DTYPE_BLOCKS ? write_unpacked(w, item) : write_rows(w, &weight, item);
}

static bool row_major(const struct Tensor *t)
{
    int64_t wanted = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->stride[i] != wanted) return false;
        wanted *= t->shape[i];
    }
    return true;
}

// Writes the bytes of a tensor in row-major order.
static int write_kept(struct Writer *w, const struct Item *item)
{
    const struct Tensor *t = item->tensor;
    if (row_major(t) || !item->bytes) return os_save_write(&w->file, t->data, (size_t)item->bytes, w->err);
    uint8_t *values = malloc((size_t)item->bytes), *out = values;
    if (!values) return fail_memory(w->err, w->path, (size_t)item->bytes);
    int64_t place[TENSOR_MAX_RANK] = {0};
    for (int i = 0; i >= 0; out += item->element) {
        int64_t at = 0;
        for (i = 0; i < t->rank; i++) at += place[i] * t->stride[i];
        memcpy(out, t->data + at * item->element, (size_t)item->element);
        for (i = t->rank - 1; i >= 0 && ++place[i] == t->shape[i]; i--) place[i] = 0; // -1 after the last element
    }
    int code = os_save_write(&w->file, values, (size_t)item->bytes, w->err);
    free(values);
    return code;
}

int safetensors_write(const char *dir, const struct Checkpoint *checkpoint, bool half, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Writer w = {.path = path, .checkpoint = checkpoint, .half = half, .err = err};
    int code = path_join(path, dir, "model.safetensors", err);
    if (!code) code = list_items(&w);
    if (!code) code = os_save_begin(path, &w.file, err);
    if (!code) code = write_header(&w);
    for (size_t i = 0; !code && i < w.count; i++)
        code = w.items[i].kept ? write_kept(&w, &w.items[i]) : write_weight(&w, &w.items[i]);
    if (code != VKGPT_INTERRUPTED) code = table_end(&checkpoint->table, code, err);
    int ended = os_save_end(&w.file, !code, code ? NULL : err);
    free(w.items);
    return code ? code : ended;
}
