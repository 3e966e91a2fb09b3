// Reads a safetensors header into tensors. The values stay in the mapping.
#include "model/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "model/table.h"

#define HEADER_LIMIT 100000000   // as in the reference
#define EXACT (INT64_C(1) << 52) // integers below this are exact in JSON's doubles

struct Header {
    const char *path;
    const uint8_t *data; // after the header
    int64_t data_bytes;
    struct Json *json;
};

struct Range { // a range of bytes in the data
    int64_t begin, end;
    const char *name;
};

static const struct Format {
    const char *name;
    enum Dtype dtype;
    int bits;
    // clang-format off
} formats[] = {
    {"F32", DTYPE_F32, 32},     {"F16", DTYPE_F16, 16},     {"BF16", DTYPE_BF16, 16},     {"BOOL", DTYPE_OTHER, 8},
    {"U8", DTYPE_OTHER, 8},     {"I8", DTYPE_OTHER, 8},     {"U16", DTYPE_OTHER, 16},     {"I16", DTYPE_OTHER, 16},
    {"U32", DTYPE_OTHER, 32},   {"I32", DTYPE_OTHER, 32},   {"U64", DTYPE_OTHER, 64},     {"I64", DTYPE_OTHER, 64},
    {"F64", DTYPE_F64, 64},   {"C64", DTYPE_OTHER, 64},   {"F8_E5M2", DTYPE_OTHER, 8},  {"F8_E4M3", DTYPE_OTHER, 8},
    {"F8_E8M0", DTYPE_OTHER, 8}, {"F4", DTYPE_OTHER, 4},    {"F6_E2M3", DTYPE_OTHER, 6},  {"F6_E3M2", DTYPE_OTHER, 6},
    {"F8_E4M3FNUZ", DTYPE_OTHER, 8}, {"F8_E5M2FNUZ", DTYPE_OTHER, 8},
};
// clang-format on

// ---------------------------------------------------------------------------------------------- one tensor

static int read_format(const struct Header *h, const char *name, const struct Json *item, const struct Format **format,
                       vkgpt_error *err)
{
    if (!json_text(item)) return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s has no dtype", h->path, name);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        *format = &formats[i];
        if (strcmp((*format)->name, json_text(item)) == 0) return 0;
    }
    return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s has the unknown dtype %.40s", h->path, name, json_text(item));
}

static int read_shape(const struct Header *h, const struct Json *item, struct Tensor *t, vkgpt_error *err)
{
    char text[JSON_SHOWN];
    if (!json_is_array(item)) return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s has no shape", h->path, t->name);
    for (const struct Json *size = json_first(item); size; size = json_next(size)) {
        if (t->rank == TENSOR_MAX_RANK)
            return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s has more than %d dimensions", h->path, t->name,
                        TENSOR_MAX_RANK);
        if (!json_integer(size, 0, EXACT, &t->shape[t->rank]))
            return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s: size %d of its shape is %s, no size", h->path, t->name,
                        t->rank, json_shown(size, text));
        t->rank++;
    }
    return 0;
}

static int read_range(const struct Header *h, const struct Json *item, struct Range *range, vkgpt_error *err)
{
    if (!json_is_array(item) || json_count(item) != 2)
        return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s has no data_offsets [begin, end]", h->path, range->name);
    char text[JSON_SHOWN];
    const struct Json *begin = json_first(item), *end = json_next(begin);
    if (!json_integer(begin, 0, EXACT, &range->begin) || !json_integer(end, 0, EXACT, &range->end) ||
        range->begin > range->end)
        return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s: data_offsets %s are not a range of bytes", h->path,
                    range->name, json_shown(item, text));
    if (range->end > h->data_bytes)
        return fail(err, VKGPT_BAD_FILE,
                    "%s: tensor %.200s ends at byte %" PRId64 " of the data, and the file has %" PRId64
                    ": it is truncated or damaged",
                    h->path, range->name, range->end, h->data_bytes);
    return 0;
}

// Row-major strides and the size in bytes. False when the product overflows, or is not a whole number of bytes.
static bool shape_layout(struct Tensor *t, int bits, int64_t *bytes)
{
    int64_t count = 1, total;
    for (int i = t->rank - 1; i >= 0; i--) {
        t->stride[i] = count;
        if (__builtin_mul_overflow(count, t->shape[i], &count)) return false;
    }
    if (__builtin_mul_overflow(count, bits, &total)) return false;
    *bytes = total / 8;
    return total % 8 == 0;
}

static int read_tensor(const struct Header *h, const struct Json *item, struct Tensor *t, struct Range *range,
                       vkgpt_error *err)
{
    const struct Format *format;
    int64_t bytes = 0;
    char shape[SHAPE_BYTES];
    *t = (struct Tensor){.name = json_key(item), .file = h->path};
    range->name = json_key(item);
    int code = read_format(h, t->name, json_get(item, "dtype"), &format, err);
    if (!code) code = read_shape(h, json_get(item, "shape"), t, err);
    if (!code) code = read_range(h, json_get(item, "data_offsets"), range, err);
    if (code) return code;
    if (!shape_layout(t, format->bits, &bytes))
        return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s: the shape %s of %s overflows or fills no whole bytes",
                    h->path, t->name, shape_text(t->rank, t->shape, shape), format->name);
    if (bytes != range->end - range->begin)
        return fail(err, VKGPT_BAD_FILE,
                    "%s: tensor %.200s: the shape %s of %s takes %" PRId64 " bytes, data_offsets give it %" PRId64,
                    h->path, t->name, shape_text(t->rank, t->shape, shape), format->name, bytes,
                    range->end - range->begin);
    t->dtype = format->dtype;
    t->dtype_name = format->name;
    t->data = h->data + range->begin;
    t->bytes = (size_t)bytes;
    return 0;
}

// ---------------------------------------------------------------------------------------------- all of them

static int range_order(const void *a, const void *b)
{
    const struct Range *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

// Checks that the ranges, sorted, follow each other without gap from the first byte to the last.
static int ranges_check(const struct Header *h, struct Range *ranges, size_t count, vkgpt_error *err)
{
    qsort(ranges, count, sizeof *ranges, range_order);
    int64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct Range *r = &ranges[i];
        if (r->begin < at)
            return fail(err, VKGPT_BAD_FILE,
                        "%s: tensor %.200s begins at byte %" PRId64 ", inside tensor %.200s, which ends at %" PRId64,
                        h->path, r->name, r->begin, ranges[i - 1].name, at);
        if (r->begin > at)
            return fail(err, VKGPT_BAD_FILE,
                        "%s: bytes %" PRId64 " to %" PRId64 " of the data, before tensor %.200s, belong to no tensor",
                        h->path, at, r->begin, r->name);
        at = r->end;
    }
    if (at == h->data_bytes) return 0;
    return fail(err, VKGPT_BAD_FILE, "%s: the tensors end at byte %" PRId64 " of the data, the file at %" PRId64,
                h->path, at, h->data_bytes);
}

static int tensors_read(const struct Header *h, struct TensorTable *table, vkgpt_error *err)
{
    size_t entries = json_count(h->json), count = 0;
    struct Range *ranges = calloc(entries + 1, sizeof *ranges);
    if (!ranges) return fail_memory(err, h->path, (entries + 1) * sizeof *ranges);
    int code = table_reserve(table, h->path, entries, err);
    for (const struct Json *item = json_first(h->json); item && !code; item = json_next(item)) {
        struct Tensor tensor;
        if (strcmp(json_key(item), "__metadata__") == 0) continue;
        code = read_tensor(h, item, &tensor, &ranges[count], err);
        if (!code) code = table_add(table, &tensor, err);
        count++;
    }
    if (!code) code = ranges_check(h, ranges, count, err);
    free(ranges);
    return code;
}

static uint64_t read_u64(const uint8_t *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | p[i];
    return value;
}

static int header_read(struct Header *h, const struct Mapping *file, vkgpt_error *err)
{
    static const char pointer[] = "version https://git-lfs";
    if (file->bytes < 8)
        return fail(err, VKGPT_BAD_FILE, "%s: %zu bytes are too few for a safetensors file", h->path, file->bytes);
    if (file->bytes > sizeof pointer && memcmp(file->data, pointer, sizeof pointer - 1) == 0)
        return fail(err, VKGPT_BAD_FILE, "%s: a Git LFS pointer of %zu bytes, not the weights themselves", h->path,
                    file->bytes);
    uint64_t length = read_u64(file->data);
    if (length > HEADER_LIMIT)
        return fail(err, VKGPT_BAD_FILE, "%s: a safetensors header of %" PRIu64 " bytes, more than the limit of %d",
                    h->path, length, HEADER_LIMIT);
    if (length > file->bytes - 8)
        return fail(err, VKGPT_BAD_FILE, "%s: a header of %" PRIu64 " bytes in a file of %zu bytes: it is truncated",
                    h->path, length, file->bytes);
    const char *text = (const char *)file->data + 8;
    if (length == 0 || text[0] != '{')
        return fail(err, VKGPT_BAD_FILE, "%s: the safetensors header is not JSON: it starts with byte 0x%02x, not {",
                    h->path, length ? (uint8_t)text[0] : 0);
    h->data = file->data + 8 + length;
    h->data_bytes = (int64_t)(file->bytes - 8 - length);
    return json_parse(h->path, text, (size_t)length, &h->json, err);
}

int safetensors_read(const char *path, struct TensorTable *table, vkgpt_error *err)
{
    struct Header header = {0};
    const struct Mapping *file;
    int code = table_map(table, path, &file, &header.path, err);
    if (!code) code = header_read(&header, file, err);
    if (!code) code = tensors_read(&header, table, err);
    json_free(header.json);
    return code;
}
