#include "tasks/jsonl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/os.h"
#include "tasks/blanks.h"
#include "tasks/buffer.h"

// ------------------------------------------------------------------------------------------------- gzip

static bool is_gzip(const char *data, size_t bytes) { return bytes >= 2 && memcmp(data, "\x1f\x8b", 2) == 0; }

// Unpacks every member of the file, piece by piece, because the unpacked size is not known before.
static int inflate_all(z_stream *z, const char *path, struct Buffer *out, vkgpt_error *err)
{
    char block[65536];
    size_t most = ((size_t)1 << 20) + (size_t)z->avail_in * JSONL_MAX_RATIO;
    int status = Z_OK;
    while (status != Z_STREAM_END || z->avail_in) {
        if (status == Z_STREAM_END) inflateReset(z);
        z->next_out = (Bytef *)block;
        z->avail_out = sizeof block;
        status = inflate(z, Z_NO_FLUSH);
        if (status == Z_BUF_ERROR) return fail(err, VKGPT_BAD_FILE, "%s: is cut off: its gzip data has no end", path);
        if (status != Z_OK && status != Z_STREAM_END)
            return fail(err, VKGPT_BAD_FILE, "%s: is damaged gzip data: %s", path, z->msg ? z->msg : zError(status));
        if (out->bytes + (sizeof block - z->avail_out) > JSONL_MAX_BYTES)
            return fail(err, VKGPT_BAD_FILE, "%s: unpacks to more than %zu bytes", path, JSONL_MAX_BYTES);
        if (out->bytes + (sizeof block - z->avail_out) > most)
            return fail(err, VKGPT_BAD_FILE, "%s: unpacks to more than %d times its size", path, JSONL_MAX_RATIO);
        buffer_add(out, block, sizeof block - z->avail_out);
        if (out->failed) return buffer_check(out, path, err);
    }
    return 0;
}

static int gunzip(const char *path, char *data, size_t bytes, struct Buffer *out, vkgpt_error *err)
{
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)bytes};
    int status = inflateInit2(&z, 15 + 16); // the largest window, and gzip's header
    if (status != Z_OK) return fail(err, VKGPT_OUT_OF_MEMORY, "%s: cannot begin to unpack: %s", path, zError(status));
    int code = inflate_all(&z, path, out, err);
    inflateEnd(&z);
    return code;
}

static int read_text(const char *path, struct Buffer *text, vkgpt_error *err)
{
    char *data;
    size_t bytes;
    int code = os_read(path, JSONL_MAX_BYTES, &data, &bytes, err);
    if (code) return code;
    if (is_gzip(data, bytes)) code = gunzip(path, data, bytes, text, err);
    else buffer_add(text, data, bytes);
    free(data);
    return code ? code : buffer_check(text, path, err);
}

// ------------------------------------------------------------------------------------------------ lines

static int read_line(const char *where, const char *line, size_t bytes,
                     int (*on_object)(void *, const struct Json *, const char *, vkgpt_error *), void *user,
                     vkgpt_error *err)
{
    if (bytes > JSONL_MAX_LINE)
        return fail(err, VKGPT_BAD_FILE, "%s: the line is %zu bytes long, %zu at most are read", where, bytes,
                    JSONL_MAX_LINE);
    struct Json *json;
    int code = json_parse(where, line, bytes, &json, err);
    if (code) return code;
    code = json_is_object(json) ? on_object(user, json, where, err)
                                : fail(err, VKGPT_BAD_FILE, "%s: the line is not a JSON object", where);
    json_free(json);
    return code;
}

int jsonl_read(const char *path,
               int (*on_object)(void *user, const struct Json *object, const char *where, vkgpt_error *err), void *user,
               vkgpt_error *err)
{
    struct Buffer text = {0}, where = {0};
    int code = read_text(path, &text, err);
    size_t number = 1;
    for (size_t at = 0, length; !code && at < text.bytes; at += length + 1, number++) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.bytes - at);
        length = end ? (size_t)(end - line) : text.bytes - at;
        if (blanks_at_start(line, length) == length) continue;
        char digits[32];
        snprintf(digits, sizeof digits, ":%zu", number);
        buffer_drop(&where, where.bytes);
        buffer_text(&where, path);
        buffer_text(&where, digits);
        code = buffer_check(&where, path, err);
        if (!code) code = read_line(where.data, line, length, on_object, user, err);
    }
    buffer_free(&text);
    buffer_free(&where);
    return code;
}
