// Reads the header of a .npy file: a magic, a version, a length, and the text of a Python dictionary.
#include "model/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define HEADER_LIMIT 4096 // NumPy's own headers have 64 to 128 bytes

// The text after a key of the dictionary, or NULL.
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    if (!at) return NULL;
    at += strlen(quoted);
    return at + strspn(at, " ");
}

static bool starts_with(const char *text, const char *start)
{
    return text && strncmp(text, start, strlen(start)) == 0;
}

// "(123,)"
static bool shape_read(const char *text, int64_t *count)
{
    char *end;
    if (!starts_with(text, "(") || text[1] < '0' || text[1] > '9') return false;
    unsigned long long value = strtoull(text + 1, &end, 10); // ULLONG_MAX on overflow
    *count = value > INT64_MAX ? INT64_MAX : (int64_t)value;
    return starts_with(end, ",)");
}

static int header_read(const char *path, const char *header, int64_t *count, vkgpt_error *err)
{
    const char *type = value_of(header, "descr"), *order = value_of(header, "fortran_order");
    const char *shape = value_of(header, "shape");
    if (!starts_with(type, "'<f4'"))
        return fail(err, VKGPT_BAD_FILE, "%s: its type is %.20s, not '<f4'", path, type ? type : "absent");
    if (!starts_with(order, "False"))
        return fail(err, VKGPT_BAD_FILE, "%s: fortran_order is %.20s, not False", path, order ? order : "absent");
    if (!shape_read(shape, count))
        return fail(err, VKGPT_BAD_FILE, "%s: its shape is %.40s, not that of a flat array", path,
                    shape ? shape : "absent");
    return 0;
}

int npy_floats(const char *path, const struct Mapping *file, const uint8_t **data, int64_t *count, vkgpt_error *err)
{
    const uint8_t *p = file->data;
    if (file->bytes < 10 || memcmp(p, "\x93NUMPY", 6) != 0) return fail(err, VKGPT_BAD_FILE, "%s: no .npy file", path);
    size_t start = p[6] == 1 ? 10 : 12, length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] < 1 || p[6] > 3) return fail(err, VKGPT_BAD_FILE, "%s: version %d of .npy is not known", path, p[6]);
    if (p[6] > 1 && file->bytes >= 12) length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (file->bytes < start || length > file->bytes - start || length > HEADER_LIMIT)
        return fail(err, VKGPT_BAD_FILE, "%s: a header of %zu bytes in a file of %zu", path, length, file->bytes);

    char header[HEADER_LIMIT + 1] = {0};
    memcpy(header, p + start, length);
    for (size_t i = 0; i < length; i++) // the newline at its end; and it may be shown in a sentence
        if (header[i] < ' ' || header[i] > '~') header[i] = ' ';
    int code = header_read(path, header, count, err);
    if (code) return code;
    size_t bytes = file->bytes - start - length;
    if (bytes % sizeof(float) || (uint64_t)*count != bytes / sizeof(float))
        return fail(err, VKGPT_BAD_FILE, "%s: %" PRId64 " floats do not take %zu bytes", path, *count, bytes);
    *data = p + start + length;
    return 0;
}
