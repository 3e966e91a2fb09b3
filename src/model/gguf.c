// Reads a GGUF file: one cursor walks over header, keys and tensor descriptions, and checks every length against the
// rest of the file before using it. Values and tensors stay in the mapping.
#include "model/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/table.h"

#define KEY_LEAST 13    // smallest key in bytes: length, type, a value of one byte
#define TENSOR_LEAST 24 // smallest tensor description: length of the name, dimensions, type, offset
#define NAME_LIMIT 255  // longest tensor name; ggml's own limit is 63
#define MAX_DIMENSIONS 4

static const struct Kind { // kinds of values
    const char *name;
    uint32_t bytes; // 0: the size varies
} kinds[GGUF_TYPES] = {
    [GGUF_U8] = {"uint8", 1},      [GGUF_I8] = {"int8", 1},     [GGUF_U16] = {"uint16", 2},  [GGUF_I16] = {"int16", 2},
    [GGUF_U32] = {"uint32", 4},    [GGUF_I32] = {"int32", 4},   [GGUF_F32] = {"float32", 4}, [GGUF_BOOL] = {"bool", 1},
    [GGUF_STRING] = {"string", 0}, [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"uint64", 8},  [GGUF_I64] = {"int64", 8},
    [GGUF_F64] = {"float64", 8},
};

// Types of tensors. Types that vkgpt does not unpack are listed with their size, so that their ranges can be checked.
static const struct Form {
    uint32_t type;
    const char *name;
    uint32_t weights, bytes; // of a block
    enum Dtype dtype;
    enum BlockFormat block;
    // clang-format off
} forms[] = {
    {0, "F32", 1, 4, DTYPE_F32, 0},
    {1, "F16", 1, 2, DTYPE_F16, 0},
    {30, "BF16", 1, 2, DTYPE_BF16, 0},
    {8, "Q8_0", 32, 34, DTYPE_BLOCKS, BLOCK_Q8_0},
    {2, "Q4_0", 32, 18, DTYPE_BLOCKS, BLOCK_Q4_0},
    {3, "Q4_1", 32, 20, DTYPE_BLOCKS, BLOCK_Q4_1},
    {6, "Q5_0", 32, 22, DTYPE_BLOCKS, BLOCK_Q5_0},
    {7, "Q5_1", 32, 24, DTYPE_BLOCKS, BLOCK_Q5_1},
    {12, "Q4_K", 256, 144, DTYPE_BLOCKS, BLOCK_Q4_K},
    {13, "Q5_K", 256, 176, DTYPE_BLOCKS, BLOCK_Q5_K},
    {14, "Q6_K", 256, 210, DTYPE_BLOCKS, BLOCK_Q6_K},
    {10, "Q2_K", 256, 84, DTYPE_BLOCKS, BLOCK_Q2_K},
    {11, "Q3_K", 256, 110, DTYPE_BLOCKS, BLOCK_Q3_K},
    {20, "IQ4_NL", 32, 18, DTYPE_BLOCKS, BLOCK_IQ4_NL},
    {23, "IQ4_XS", 256, 136, DTYPE_BLOCKS, BLOCK_IQ4_XS},
    {28, "F64", 1, 8, DTYPE_F64, 0},
    {16, "IQ2_XXS", 256, 66, DTYPE_OTHER, 0},  {17, "IQ2_XS", 256, 74, DTYPE_OTHER, 0},
    {18, "IQ3_XXS", 256, 98, DTYPE_OTHER, 0},  {19, "IQ1_S", 256, 50, DTYPE_OTHER, 0},
    {21, "IQ3_S", 256, 110, DTYPE_OTHER, 0},   {22, "IQ2_S", 256, 82, DTYPE_OTHER, 0},
    {24, "I8", 1, 1, DTYPE_OTHER, 0},          {25, "I16", 1, 2, DTYPE_OTHER, 0},
    {26, "I32", 1, 4, DTYPE_OTHER, 0},         {27, "I64", 1, 8, DTYPE_OTHER, 0},
    {29, "IQ1_M", 256, 56, DTYPE_OTHER, 0},
    {34, "TQ1_0", 256, 54, DTYPE_OTHER, 0},    {35, "TQ2_0", 256, 66, DTYPE_OTHER, 0},
    {39, "MXFP4", 32, 17, DTYPE_OTHER, 0},     {40, "NVFP4", 64, 36, DTYPE_OTHER, 0},
    {41, "Q1_0", 128, 18, DTYPE_OTHER, 0},
};
// clang-format on

// ------------------------------------------------------------------------------------------------ the cursor

struct Cursor {
    const char *path;
    const uint8_t *at;
    uint64_t left;
    vkgpt_error *err;
};

static uint64_t number_at(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static int take(struct Cursor *c, const char *what, uint64_t bytes, const uint8_t **at)
{
    *at = c->at;
    if (bytes > c->left)
        return fail(c->err, VKGPT_BAD_FILE, "%s: %s takes %" PRIu64 " bytes, %" PRIu64 " are left of the file", c->path,
                    what, bytes, c->left);
    c->at += bytes;
    c->left -= bytes;
    return 0;
}

static int take_number(struct Cursor *c, const char *what, int bytes, uint64_t *value)
{
    const uint8_t *at;
    int code = take(c, what, (uint64_t)bytes, &at);
    *value = code ? 0 : number_at(at, bytes);
    return code;
}

static int take_text(struct Cursor *c, const char *what, struct GgufText *text)
{
    uint64_t bytes;
    const uint8_t *at = c->at;
    int code = take_number(c, what, 8, &bytes);
    if (!code) code = take(c, what, bytes, &at);
    *text = (struct GgufText){(const char *)at, code ? 0 : bytes};
    return code;
}

struct GgufShown gguf_shown(struct GgufText text)
{
    struct GgufShown shown;
    size_t n = text.bytes > 56 ? 56 : text.bytes;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.text[i];
        shown.text[i] = c < ' ' || c >= 127 ? '?' : (char)c;
    }
    memcpy(shown.text + n, n < text.bytes ? "..." : "", n < text.bytes ? 4 : 1);
    return shown;
}

bool gguf_text_is(struct GgufText text, const char *wanted)
{
    return text.bytes == strlen(wanted) && memcmp(text.text, wanted, text.bytes) == 0;
}

// -------------------------------------------------------------------------------------------------- the keys

static int take_type(struct Cursor *c, const char *what, enum GgufType *type)
{
    uint64_t number;
    int code = take_number(c, what, 4, &number);
    if (code) return code;
    if (number >= GGUF_TYPES)
        return fail(c->err, VKGPT_BAD_FILE, "%s: %s is of type %" PRIu64 ", types go up to %d", c->path, what, number,
                    GGUF_TYPES - 1);
    *type = (enum GgufType)number;
    return 0;
}

static int check_flags(struct Cursor *c, const char *what, const uint8_t *flags, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (flags[i] > 1)
            return fail(c->err, VKGPT_BAD_FILE, "%s: %s is a bool of value %u, not 0 or 1", c->path, what, flags[i]);
    return 0;
}

// Takes `count` values of one type.
static int take_values(struct Cursor *c, const char *what, enum GgufType type, uint64_t count)
{
    const uint8_t *at;
    uint64_t each = type == GGUF_STRING ? 8 : kinds[type].bytes;
    if (count > c->left / each)
        return fail(c->err, VKGPT_BAD_FILE,
                    "%s: %s holds %" PRIu64 " values of type %s, for which %" PRIu64 " bytes are left of the file",
                    c->path, what, count, kinds[type].name, c->left);
    if (type != GGUF_STRING) {
        int code = take(c, what, count * each, &at);
        return code || type != GGUF_BOOL ? code : check_flags(c, what, at, count);
    }
    struct GgufText text;
    int code = 0;
    for (uint64_t i = 0; !code && i < count; i++) code = take_text(c, what, &text);
    return code;
}

static int take_value(struct Cursor *c, const char *what, struct GgufValue *value)
{
    value->count = 1;
    int code = take_type(c, what, &value->type);
    if (code) return code;
    value->element = value->type;
    if (value->type == GGUF_ARRAY) {
        code = take_type(c, what, &value->element);
        if (!code && value->element == GGUF_ARRAY)
            code = fail(c->err, VKGPT_BAD_FILE, "%s: %s is an array of arrays, and arrays hold single values", c->path,
                        what);
        if (!code) code = take_number(c, what, 8, &value->count);
        if (code) return code;
    }
    value->data = c->at;
    return take_values(c, what, value->element, value->count);
}

static int take_key(struct Cursor *c, struct Gguf *gguf)
{
    struct GgufKey *key = &gguf->keys[gguf->key_count];
    int code = take_text(c, "the name of a key", &key->name);
    if (code) return code;
    char what[80];
    snprintf(what, sizeof what, "key %s", gguf_shown(key->name).text);
    if (!key->name.bytes || memchr(key->name.text, 0, key->name.bytes))
        return fail(c->err, VKGPT_BAD_FILE, "%s: the name of key %zu is %s", c->path, gguf->key_count,
                    key->name.bytes ? "a text with a NUL in it" : "empty");
    code = take_value(c, what, &key->value);
    if (code) return code;
    int added = map_add(&gguf->by_name, key->name.text, key->name.bytes, (uint32_t)gguf->key_count);
    if (added < 0) return fail_memory(c->err, c->path, 2 * gguf->by_name.capacity * sizeof(struct MapEntry));
    if (!added) return fail(c->err, VKGPT_BAD_FILE, "%s: %s is there twice", c->path, what);
    gguf->key_count++;
    return 0;
}

// ----------------------------------------------------------------------------------------------- the tensors

static int find_form(struct Cursor *c, const char *name, uint64_t type, const struct Form **form)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        *form = &forms[i];
        if (forms[i].type == type) return 0;
    }
    return fail(c->err, VKGPT_BAD_FILE, "%s: tensor %s is of type %" PRIu64 ", which is not known", c->path, name,
                type);
}

// In the file the fastest dimension comes first.
static int take_shape(struct Cursor *c, struct Tensor *tensor)
{
    char what[NAME_LIMIT + 40];
    uint64_t rank, extent;
    snprintf(what, sizeof what, "the shape of tensor %s", tensor->name);
    int code = take_number(c, what, 4, &rank);
    if (code) return code;
    if (rank > MAX_DIMENSIONS)
        return fail(c->err, VKGPT_BAD_FILE, "%s: tensor %s has %" PRIu64 " dimensions, %d at most are lawful", c->path,
                    tensor->name, rank, MAX_DIMENSIONS);
    tensor->rank = (int)rank;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        if ((code = take_number(c, what, 8, &extent))) return code;
        if (extent == 0 || extent > INT64_MAX)
            return fail(c->err, VKGPT_BAD_FILE, "%s: tensor %s has a dimension of %" PRIu64, c->path, tensor->name,
                        extent);
        tensor->shape[i] = (int64_t)extent;
    }
    return 0;
}

// Computes the size in bytes and the strides.
static int measure(struct Cursor *c, const struct Form *form, struct Tensor *tensor)
{
    char shape[SHAPE_BYTES];
    int64_t elements = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        tensor->stride[i] = elements;
        if (__builtin_mul_overflow(elements, tensor->shape[i], &elements) || elements > INT64_MAX / 8)
            return fail(c->err, VKGPT_BAD_FILE, "%s: tensor %s: the product of the dimensions %s overflows", c->path,
                        tensor->name, shape_text(tensor->rank, tensor->shape, shape));
    }
    int64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    if (row % form->weights)
        return fail(c->err, VKGPT_BAD_FILE, "%s: tensor %s has rows of %" PRId64 " weights, and %s has blocks of %u",
                    c->path, tensor->name, row, form->name, form->weights);
    tensor->bytes = (size_t)(elements / form->weights) * form->bytes; // at most 8 bytes for an element
    return 0;
}

// `offset` becomes the position of the tensor's data, relative to the start of all tensor data.
static int take_tensor(struct Cursor *c, char name[NAME_LIMIT + 1], struct Tensor *tensor, uint64_t *offset)
{
    struct GgufText text;
    const struct Form *form;
    uint64_t type;
    int code = take_text(c, "the name of a tensor", &text);
    if (code) return code;
    if (!text.bytes || text.bytes > NAME_LIMIT || memchr(text.text, 0, text.bytes))
        return fail(c->err, VKGPT_BAD_FILE, "%s: a tensor's name of %zu bytes (%s), 1 to %d without a NUL are lawful",
                    c->path, text.bytes, gguf_shown(text).text, NAME_LIMIT);
    for (size_t i = 0; i < text.bytes; i++) name[i] = (unsigned char)text.text[i] < ' ' ? '?' : text.text[i];
    name[text.bytes] = '\0';
    *tensor = (struct Tensor){.name = name, .file = c->path};
    code = take_shape(c, tensor);
    if (!code) code = take_number(c, name, 4, &type);
    if (!code) code = find_form(c, name, type, &form);
    if (!code) code = measure(c, form, tensor);
    if (!code) code = take_number(c, name, 8, offset);
    if (code) return code;
    tensor->dtype = form->dtype;
    tensor->block = form->block;
    tensor->dtype_name = form->name;
    return 0;
}

static int alignment_of(const struct Gguf *gguf, int64_t *alignment, vkgpt_error *err)
{
    *alignment = GGUF_ALIGNMENT;
    int code = gguf_integer(gguf, "general.alignment", 0, UINT32_MAX, alignment, err);
    if (code || (*alignment > 0 && (*alignment & (*alignment - 1)) == 0)) return code;
    return fail(err, VKGPT_BAD_FILE, "%s: general.alignment is %" PRId64 ", not a power of two", gguf->path,
                *alignment);
}

static int by_place(const void *a, const void *b)
{
    const struct Tensor *const *x = a, *const *y = b;
    return ((*x)->data > (*y)->data) - ((*x)->data < (*y)->data);
}

// No two tensors may share a byte.
static int check_overlap(struct Cursor *c, const struct Tensor *tensors, uint64_t count)
{
    const struct Tensor **order = malloc(count * sizeof *order);
    if (!order) return fail_memory(c->err, c->path, count * sizeof *order);
    for (uint64_t i = 0; i < count; i++) order[i] = &tensors[i];
    qsort(order, count, sizeof *order, by_place);
    int code = 0;
    for (uint64_t i = 1; !code && i < count; i++) {
        const struct Tensor *one = order[i - 1], *next = order[i];
        if (one->data + one->bytes > next->data)
            code = fail(c->err, VKGPT_BAD_FILE,
                        "%s: tensor %s of %zu bytes overlaps tensor %s, which begins %td bytes after it", c->path,
                        one->name, one->bytes, next->name, next->data - one->data);
    }
    free(order);
    return code;
}

// The descriptions of the tensors, then their data, which begins at the next multiple of the alignment.
static int take_tensors(struct Cursor *c, const struct Gguf *gguf, const struct Mapping *file, uint64_t count,
                        struct TensorTable *table)
{
    int64_t alignment;
    size_t first = table->count;
    uint64_t *offsets = malloc(count * sizeof *offsets); // take_header checked count against the file's size
    if (!offsets) return fail_memory(c->err, c->path, count * sizeof *offsets);
    int code = alignment_of(gguf, &alignment, c->err);
    if (!code) code = table_reserve(table, c->path, count, c->err);
    for (uint64_t i = 0; !code && i < count; i++) {
        char name[NAME_LIMIT + 1];
        struct Tensor tensor;
        code = take_tensor(c, name, &tensor, &offsets[i]);
        if (!code) code = table_add(table, &tensor, c->err);
    }
    uint64_t at = file->bytes - c->left, padding = (0 - at) & ((uint64_t)alignment - 1);
    uint64_t there = padding > c->left ? 0 : c->left - padding;
    for (uint64_t i = 0; !code && i < count; i++) {
        struct Tensor *tensor = &table->tensors[first + i];
        if (offsets[i] & ((uint64_t)alignment - 1))
            code = fail(c->err, VKGPT_BAD_FILE,
                        "%s: tensor %s begins at %" PRIu64 ", not a multiple of the alignment %" PRId64, c->path,
                        tensor->name, offsets[i], alignment);
        else if (offsets[i] > there || tensor->bytes > there - offsets[i])
            code = fail(c->err, VKGPT_BAD_FILE,
                        "%s: tensor %s takes %zu bytes from %" PRIu64 " on, the file has %" PRIu64 " bytes of data",
                        c->path, tensor->name, tensor->bytes, offsets[i], there);
        else tensor->data = file->data + at + padding + offsets[i];
    }
    free(offsets);
    return code ? code : check_overlap(c, table->tensors + first, count);
}

// ---------------------------------------------------------------------------------------------------- a file

static int take_header(struct Cursor *c, uint32_t *version, uint64_t *tensors, uint64_t *keys)
{
    const uint8_t *at;
    int code = take(c, "the header", 24, &at);
    if (code) return code;
    if (memcmp(at, GGUF_MAGIC, 4) != 0)
        return fail(c->err, VKGPT_BAD_FILE, "%s: begins with %02x %02x %02x %02x, not with the \"GGUF\" of a GGUF file",
                    c->path, at[0], at[1], at[2], at[3]);
    *version = (uint32_t)number_at(at + 4, 4);
    *tensors = number_at(at + 8, 8);
    *keys = number_at(at + 16, 8);
    if (*version != 2 && *version != 3)
        return fail(c->err, VKGPT_BAD_FILE, "%s: is of GGUF version %u%s, 2 and 3 are read", c->path, *version,
                    *version && !(*version & 0xffff) ? " (a file for big-endian machines)" : "");
    if (*keys > c->left / KEY_LEAST)
        return fail(c->err, VKGPT_BAD_FILE,
                    "%s: %" PRIu64 " keys do not fit into the %" PRIu64 " bytes after the header", c->path, *keys,
                    c->left);
    if (*tensors > c->left / TENSOR_LEAST)
        return fail(c->err, VKGPT_BAD_FILE,
                    "%s: %" PRIu64 " tensors do not fit into the %" PRIu64 " bytes after the header", c->path, *tensors,
                    c->left);
    return 0;
}

static int read_all(struct Cursor *c, const struct Mapping *file, struct TensorTable *table, struct Gguf *gguf)
{
    uint64_t tensors = 0, keys = 0;
    int code = take_header(c, &gguf->version, &tensors, &keys);
    if (code) return code;
    gguf->keys = malloc((keys + 1) * sizeof *gguf->keys);
    if (!gguf->keys || !map_reserve(&gguf->by_name, keys))
        return fail_memory(c->err, c->path, (keys + 1) * sizeof *gguf->keys);
    for (uint64_t i = 0; i < keys; i++)
        if ((code = take_key(c, gguf))) return code;
    return tensors ? take_tensors(c, gguf, file, tensors, table) : 0;
}

int gguf_read(const char *path, struct TensorTable *table, struct Gguf *gguf, vkgpt_error *err)
{
    *gguf = (struct Gguf){0};
    const struct Mapping *mapping;
    int code = table_map(table, path, &mapping, &gguf->path, err);
    if (code) return code;
    struct Mapping file = *mapping;
    struct Cursor cursor = {gguf->path, file.data, file.bytes, err};
    return read_all(&cursor, &file, table, gguf);
}

void gguf_free(struct Gguf *gguf)
{
    free(gguf->keys);
    map_free(&gguf->by_name);
    *gguf = (struct Gguf){0};
}

// ------------------------------------------------------------------------------------------- values of keys

const struct GgufValue *gguf_find(const struct Gguf *gguf, const char *key)
{
    uint32_t index;
    return map_find(&gguf->by_name, key, strlen(key), &index) ? &gguf->keys[index].value : NULL;
}

static int fail_type(const struct Gguf *gguf, const char *key, const struct GgufValue *value, const char *wanted,
                     vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_MODEL, "%s: %s is of type %s%s, not %s", gguf->path, key, kinds[value->type].name,
                value->type == GGUF_ARRAY ? " of values" : "", wanted);
}

// False for a value that is not an integer, or does not fit int64_t.
static bool whole(const struct GgufValue *v, int64_t *value)
{
    switch (v->type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32: *value = (int64_t)number_at(v->data, (int)kinds[v->type].bytes); return true;
    case GGUF_I8: *value = (int8_t)v->data[0]; return true;
    case GGUF_I16: *value = (int16_t)number_at(v->data, 2); return true;
    case GGUF_I32: *value = (int32_t)number_at(v->data, 4); return true;
    case GGUF_I64:
    case GGUF_U64: *value = (int64_t)number_at(v->data, 8); return v->type == GGUF_I64 || *value >= 0;
    default: return false;
    }
}

int gguf_integer(const struct Gguf *gguf, const char *key, int64_t min, int64_t max, int64_t *value, vkgpt_error *err)
{
    const struct GgufValue *v = gguf_find(gguf, key);
    int64_t number;
    if (!v) return 0;
    if (!whole(v, &number)) return fail_type(gguf, key, v, "a whole number", err);
    if (number < min || number > max)
        return fail(err, VKGPT_BAD_MODEL, "%s: %s is %" PRId64 ", it has to lie between %" PRId64 " and %" PRId64,
                    gguf->path, key, number, min, max);
    *value = number;
    return 0;
}

int gguf_real(const struct Gguf *gguf, const char *key, double *value, vkgpt_error *err)
{
    const struct GgufValue *v = gguf_find(gguf, key);
    if (!v) return 0;
    float single;
    if (v->type == GGUF_F32) {
        memcpy(&single, v->data, sizeof single);
        *value = single;
    } else if (v->type == GGUF_F64) {
        memcpy(value, v->data, sizeof *value);
    } else {
        return fail_type(gguf, key, v, "a number", err);
    }
    return 0;
}

int gguf_flag(const struct Gguf *gguf, const char *key, bool *value, vkgpt_error *err)
{
    const struct GgufValue *v = gguf_find(gguf, key);
    if (!v) return 0;
    if (v->type != GGUF_BOOL) return fail_type(gguf, key, v, "a bool", err);
    *value = v->data[0] != 0;
    return 0;
}

int gguf_text(const struct Gguf *gguf, const char *key, struct GgufText *value, vkgpt_error *err)
{
    const struct GgufValue *v = gguf_find(gguf, key);
    if (!v) return 0;
    if (v->type != GGUF_STRING) return fail_type(gguf, key, v, "a string", err);
    const uint8_t *at = v->data;
    *value = gguf_next_text(&at);
    return 0;
}

int gguf_array(const struct Gguf *gguf, const char *key, enum GgufType element, const struct GgufValue **value,
               vkgpt_error *err)
{
    const struct GgufValue *v = gguf_find(gguf, key);
    if (!v) return 0;
    if (v->type != GGUF_ARRAY || v->element != element)
        return fail(err, VKGPT_BAD_MODEL, "%s: %s is %s of %s, not an array of %s", gguf->path, key,
                    v->type == GGUF_ARRAY ? "an array" : "a value", kinds[v->element].name, kinds[element].name);
    *value = v;
    return 0;
}

struct GgufText gguf_next_text(const uint8_t **at)
{
    struct GgufText text = {(const char *)*at + 8, (size_t)number_at(*at, 8)};
    *at += 8 + text.bytes;
    return text;
}

int32_t gguf_i32_at(const struct GgufValue *array, uint64_t index)
{
    return (int32_t)number_at(array->data + 4 * index, 4);
}
