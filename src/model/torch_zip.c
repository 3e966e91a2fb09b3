// Finds the entries of a zip archive, and connects the pickle's tensors with the bytes of their storages.
#include "model/torch_zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/pickle.h"
#include "model/table.h"
#include "model/torch_legacy.h"

#define END_BYTES 22 // of the end-of-central-directory record
#define END64_BYTES 56
#define LOCATOR_BYTES 20   // of zip64's locator, which points to its record
#define DIRECTORY_BYTES 46 // of an entry of the central directory, without its name
#define LOCAL_BYTES 30     // of the header before an entry's data, without its name

struct Entry {
    const char *name; // in the mapping; no NUL at the end
    size_t name_bytes;
    uint64_t local; // offset of its local header
    uint64_t bytes, packed_bytes;
    uint16_t flags, method;
};

struct Archive {
    const char *path;
    const uint8_t *data;
    uint64_t bytes;
    uint64_t directory, directory_bytes, count;
    struct Entry *entries;
    struct Map by_name;
    const struct Entry *pickle;
    size_t prefix_bytes; // of the pickle's name, such as "archive/"
};

// -------------------------------------------------------------------------------------------------- numbers

static uint64_t number(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    while (bytes-- > 0) value = value << 8 | p[bytes];
    return value;
}

// The bytes [at, at + count) of the file, or NULL if the file ends before.
static const uint8_t *bytes_at(const struct Archive *a, uint64_t at, uint64_t count)
{
    return at <= a->bytes && count <= a->bytes - at ? a->data + at : NULL;
}

static bool has_signature(const uint8_t *p, uint32_t signature) { return p && number(p, 4) == signature; }

// ------------------------------------------------------------------------------------------- the directory

// The record at the end of the file; only its own comment may follow it.
static const uint8_t *find_end(const struct Archive *a)
{
    for (uint64_t back = END_BYTES; back <= a->bytes && back <= END_BYTES + UINT16_MAX; back++) {
        const uint8_t *p = a->data + a->bytes - back;
        if (has_signature(p, 0x06054b50) && number(p + 20, 2) == back - END_BYTES) return p;
    }
    return NULL;
}

// Finds the central directory; if both records are there, zip64's wins over the old one.
static bool find_directory(struct Archive *a, const uint8_t *end)
{
    uint64_t end_at = (uint64_t)(end - a->data);
    const uint8_t *locator = end_at >= LOCATOR_BYTES ? end - LOCATOR_BYTES : NULL;
    a->count = number(end + 10, 2);
    a->directory_bytes = number(end + 12, 4);
    a->directory = number(end + 16, 4);
    if (has_signature(locator, 0x07064b50)) {
        const uint8_t *end64 = bytes_at(a, number(locator + 8, 8), END64_BYTES);
        if (!has_signature(end64, 0x06064b50)) return false;
        a->count = number(end64 + 32, 8);
        a->directory_bytes = number(end64 + 40, 8);
        a->directory = number(end64 + 48, 8);
    }
    return bytes_at(a, a->directory, a->directory_bytes) && a->count <= a->directory_bytes / DIRECTORY_BYTES;
}

// The zip64 field of an entry holds the numbers that did not fit 32 bits, of these three, in this order.
static bool read_extra(const uint8_t *extra, uint64_t bytes, struct Entry *e)
{
    uint64_t *wide[3];
    int count = 0;
    if (e->bytes == UINT32_MAX) wide[count++] = &e->bytes;
    if (e->packed_bytes == UINT32_MAX) wide[count++] = &e->packed_bytes;
    if (e->local == UINT32_MAX) wide[count++] = &e->local;
    if (count == 0) return true;
    while (bytes >= 4) {
        uint64_t id = number(extra, 2), size = number(extra + 2, 2);
        if (size > bytes - 4) return false;
        if (id == 1) {
            if (size < 8 * (uint64_t)count) return false;
            for (int i = 0; i < count; i++) *wide[i] = number(extra + 4 + 8 * i, 8);
            return true;
        }
        extra += 4 + size;
        bytes -= 4 + size;
    }
    return false;
}

// Reads the directory entry at *at; *at moves to the next one.
static bool read_entry(const struct Archive *a, uint64_t *at, struct Entry *e)
{
    uint64_t end = a->directory + a->directory_bytes;
    const uint8_t *p = a->data + *at;
    if (end - *at < DIRECTORY_BYTES || !has_signature(p, 0x02014b50)) return false;
    uint64_t name = number(p + 28, 2), extra = number(p + 30, 2), comment = number(p + 32, 2);
    if (end - *at - DIRECTORY_BYTES < name + extra + comment) return false;
    *e = (struct Entry){.name = (const char *)p + DIRECTORY_BYTES,
                        .name_bytes = (size_t)name,
                        .local = number(p + 42, 4),
                        .bytes = number(p + 24, 4),
                        .packed_bytes = number(p + 20, 4),
                        .flags = (uint16_t)number(p + 8, 2),
                        .method = (uint16_t)number(p + 10, 2)};
    *at += DIRECTORY_BYTES + name + extra + comment;
    for (size_t i = 0; i < e->name_bytes; i++)
        if ((unsigned char)e->name[i] < ' ' || e->name[i] == 127) return false; // names are shown in sentences
    return read_extra(p + DIRECTORY_BYTES + name, extra, e);
}

static int entries_read(struct Archive *a, vkgpt_error *err)
{
    a->entries = calloc((size_t)a->count + 1, sizeof *a->entries); // count is bounded by the directory's bytes
    if (!a->entries) return fail_memory(err, a->path, (size_t)a->count * sizeof *a->entries);
    if (!map_reserve(&a->by_name, (size_t)a->count))
        return fail_memory(err, a->path, (size_t)a->count * sizeof(struct MapEntry));
    uint64_t at = a->directory;
    for (uint32_t i = 0; i < a->count; i++) {
        struct Entry *e = &a->entries[i];
        if (!read_entry(a, &at, e))
            return fail(err, VKGPT_BAD_FILE, "%s: entry %u of %" PRIu64 " in the zip directory is damaged", a->path, i,
                        a->count);
        int added = map_add(&a->by_name, e->name, e->name_bytes, i);
        if (added < 0) return fail_memory(err, a->path, a->by_name.count * sizeof(struct MapEntry));
        if (!added)
            return fail(err, VKGPT_BAD_FILE, "%s: entry %u of the zip directory has the name of an earlier one",
                        a->path, i);
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------- the entries

static int fail_not_zip(const struct Archive *a, vkgpt_error *err)
{
    const uint8_t *start = bytes_at(a, 0, 8), *tar = bytes_at(a, 257, 5);
    if (a->bytes == 0) return fail(err, VKGPT_BAD_FILE, "%s: an empty file", a->path);
    if (tar && memcmp(tar, "ustar", 5) == 0)
        return fail(
            err, VKGPT_BAD_FILE,
            "%s: a tar archive, as PyTorch's first releases wrote it, long before 1.6, which vkgpt does not read; "
            "load it in a newer PyTorch and save it again, or save it as safetensors",
            a->path);
    if (start && memcmp(start, "version ", 8) == 0)
        return fail(err, VKGPT_BAD_FILE, "%s: a Git LFS pointer of %" PRIu64 " bytes, not the weights themselves",
                    a->path, a->bytes);
    return fail(err, VKGPT_BAD_FILE, "%s: no zip archive, or truncated: its %" PRIu64 " bytes end in no directory",
                a->path, a->bytes);
}

// Finds the bytes of an entry in the mapping.
static int entry_data(const struct Archive *a, const struct Entry *e, const uint8_t **data, vkgpt_error *err)
{
    int shown = (int)(e->name_bytes < 200 ? e->name_bytes : 200);
    if (e->method != 0 || (e->flags & 1))
        return fail(err, VKGPT_BAD_FILE, "%s: entry %.*s is compressed (method %u) or encrypted, not stored as it is",
                    a->path, shown, e->name, e->method);
    const uint8_t *local = bytes_at(a, e->local, LOCAL_BYTES);
    if (!has_signature(local, 0x04034b50))
        return fail(err, VKGPT_BAD_FILE, "%s: entry %.*s has no header at byte %" PRIu64, a->path, shown, e->name,
                    e->local);
    uint64_t skip = LOCAL_BYTES + number(local + 26, 2) + number(local + 28, 2);
    *data = bytes_at(a, e->local + skip, e->bytes); // local is inside the file: the sum cannot overflow
    if (*data && e->bytes == e->packed_bytes) return 0;
    return fail(err, VKGPT_BAD_FILE,
                "%s: entry %.*s of %" PRIu64 " bytes at byte %" PRIu64 " does not fit the file of %" PRIu64 " bytes",
                a->path, shown, e->name, e->bytes, e->local + skip, a->bytes);
}

static bool ends_with(const struct Entry *e, const char *tail)
{
    size_t bytes = strlen(tail);
    return e->name_bytes >= bytes && memcmp(e->name + e->name_bytes - bytes, tail, bytes) == 0;
}

static int find_pickle(struct Archive *a, vkgpt_error *err)
{
    static const char tail[] = "/data.pkl";
    for (uint64_t i = 0; i < a->count && !a->pickle; i++)
        if (ends_with(&a->entries[i], tail)) a->pickle = &a->entries[i];
    if (!a->pickle)
        return fail(err, VKGPT_BAD_FILE, "%s: a zip archive without data.pkl, so none of PyTorch's", a->path);
    a->prefix_bytes = a->pickle->name_bytes - strlen(tail) + 1;
    return 0;
}

// The entry with this name in the pickle's folder, or NULL.
static const struct Entry *find_entry(const struct Archive *a, const char *folder, const char *name)
{
    char full[4096];
    uint32_t index;
    int n = snprintf(full, sizeof full, "%.*s%s%s", (int)a->prefix_bytes, a->pickle->name, folder, name);
    if (n < 0 || (size_t)n >= sizeof full) return NULL;
    return map_find(&a->by_name, full, (size_t)n, &index) ? &a->entries[index] : NULL;
}

static int byteorder_check(const struct Archive *a, vkgpt_error *err)
{
    const uint8_t *order;
    const struct Entry *e = find_entry(a, "", "byteorder");
    int code = e ? entry_data(a, e, &order, err) : 0;
    if (code || !e || (e->bytes == 6 && memcmp(order, "little", 6) == 0)) return code;
    return fail(err, VKGPT_BAD_FILE, "%s: the byte order of its data is not \"little\"", a->path);
}

// -------------------------------------------------------------------------------------------- the tensors

static int tensor_add(const struct Archive *a, const struct PickleTensor *p, struct TensorTable *table,
                      vkgpt_error *err)
{
    const struct Entry *e = find_entry(a, "data/", p->key);
    const uint8_t *data = NULL;
    if (!e)
        return fail(err, VKGPT_BAD_FILE, "%s: tensor %.200s is in storage %.60s, which the file does not have", a->path,
                    p->name, p->key);
    int code = entry_data(a, e, &data, err);
    if (code) return code;
    int64_t bytes = p->elements * p->storage->bytes; // no overflow: pickle_read checked it
    if ((uint64_t)bytes > e->bytes)
        return fail(err, VKGPT_BAD_FILE,
                    "%s: tensor %.200s: its storage %.60s should have %" PRId64 " bytes and has %" PRIu64, a->path,
                    p->name, p->key, bytes, e->bytes);
    struct Tensor t = pickle_tensor(p, a->path, data);
    return table_add(table, &t, err);
}

static int tensors_read(const struct Archive *a, struct TensorTable *table, vkgpt_error *err)
{
    const uint8_t *data;
    struct PickleTensor *list = NULL;
    size_t count = 0;
    int code = entry_data(a, a->pickle, &data, err);
    if (!code) code = pickle_read(a->path, data, (size_t)a->pickle->bytes, &list, &count, err);
    for (size_t i = 0; i < count && !code; i++) code = tensor_add(a, &list[i], table, err);
    pickle_free(list, count);
    return code;
}

static int archive_read(struct Archive *a, struct TensorTable *table, vkgpt_error *err)
{
    const uint8_t *end = find_end(a);
    if (!end) return fail_not_zip(a, err);
    if (!find_directory(a, end))
        return fail(err, VKGPT_BAD_FILE,
                    "%s: the zip directory, %" PRIu64 " entries in %" PRIu64 " bytes at byte %" PRIu64
                    ", does not fit the file of %" PRIu64 " bytes",
                    a->path, a->count, a->directory_bytes, a->directory, a->bytes);
    int code = entries_read(a, err);
    if (!code) code = find_pickle(a, err);
    if (!code) code = byteorder_check(a, err);
    if (!code) code = tensors_read(a, table, err);
    return code;
}

int torch_read(const char *path, struct TensorTable *table, vkgpt_error *err)
{
    struct Archive archive = {0};
    const struct Mapping *file;
    int code = table_map(table, path, &file, &archive.path, err);
    if (code) return code;
    if (torch_is_legacy(file)) return torch_legacy_read(archive.path, file, table, err);
    archive.data = file->data;
    archive.bytes = file->bytes;
    code = archive_read(&archive, table, err);
    free(archive.entries);
    map_free(&archive.by_name);
    return code;
}
