// Reads the five pickles, finds the storages after them, and connects the tensors with their storages.
#include "model/torch_legacy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/pickle_machine.h"
#include "model/table.h"

// The magic number 0x1950a86a20f9469cfc6c in a pickle, from after the protocol to the end.
static const uint8_t magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

#define VERSION 1001

struct Stored { // a storage of the state dict
    const struct Value *value;
    const uint8_t *data; // NULL: no key for it so far
};

struct Stream {
    const char *path;
    const struct Mapping *file;
    size_t at;
    struct Machine object, keys;
    struct Stored *stored;
    size_t stored_count;
    struct Map by_key; // index in `stored`
    vkgpt_error *err;
};

// The length of the pickle with the magic number, or 0. From protocol 4 on, a frame comes before the number.
static size_t magic_bytes(const struct Mapping *file)
{
    const uint8_t *data = file->data;
    size_t at = file->bytes > 2 && data[2] == 0x95 ? 11 : 2;
    return file->bytes > at + sizeof magic && data[0] == 0x80 && memcmp(data + at, magic, sizeof magic) == 0
               ? at + sizeof magic
               : 0;
}

bool torch_is_legacy(const struct Mapping *file) { return magic_bytes(file) != 0; }

// ----------------------------------------------------------------------------------------------- the pickles

// Runs the next pickle. The caller frees the machine, also after an error.
static int next_pickle(struct Stream *s, struct Machine *m)
{
    size_t left = s->file->bytes - s->at;
    *m = (struct Machine){.what = s->path,
                          .data = s->file->data + s->at,
                          .bytes = left < PICKLE_LIMIT ? left : PICKLE_LIMIT,
                          .err = s->err};
    int code = machine_run(m);
    s->at += m->at;
    return code;
}

static int read_version(struct Stream *s)
{
    struct Machine m;
    int code = next_pickle(s, &m);
    struct Value **version = machine_top(&m, 1);
    if (!code && (!version || (*version)->kind != VALUE_INT))
        code = fail(s->err, VKGPT_BAD_FILE, "%s: no version follows the magic number of PyTorch's older form", s->path);
    else if (!code && (*version)->integer != VERSION)
        code = fail(s->err, VKGPT_BAD_FILE, "%s: PyTorch's older form in version %" PRId64 ", and only %d is known",
                    s->path, (*version)->integer, VERSION);
    machine_free(&m);
    return code;
}

// Skips the sizes of C's types and the byte order of the writing machine: storages are little-endian in any case.
static int skip_sizes(struct Stream *s)
{
    struct Machine m;
    int code = next_pickle(s, &m);
    machine_free(&m);
    return code;
}

static int read_pickles(struct Stream *s)
{
    s->at = magic_bytes(s->file);
    int code = read_version(s);
    if (!code) code = skip_sizes(s);
    if (!code) code = next_pickle(s, &s->object);
    if (!code) code = next_pickle(s, &s->keys);
    return code;
}

// ---------------------------------------------------------------------------------------------- the storages

static int fail_key(const struct Stream *s, const struct Value *key, const char *why)
{
    char shown[SHOWN];
    return fail(s->err, VKGPT_BAD_FILE, "%s: storage %s %s", s->path, machine_shown(key->text, key->count, shown), why);
}

// Lists each storage that the state dict's pickle names, once.
static int list_stored(struct Stream *s)
{
    size_t count = 0;
    for (const struct Value *v = s->object.arena; v; v = v->next) count += v->kind == VALUE_STORAGE;
    s->stored = calloc(count + 1, sizeof *s->stored);
    if (!s->stored) return fail_memory(s->err, s->path, (count + 1) * sizeof *s->stored);
    for (const struct Value *v = s->object.arena; v; v = v->next) {
        uint32_t index;
        if (v->kind != VALUE_STORAGE) continue;
        if (map_find(&s->by_key, v->key->text, v->key->count, &index)) {
            const struct Value *other = s->stored[index].value;
            if (other->storage != v->storage || other->integer != v->integer)
                return fail_key(s, v->key, "is named twice, with different types or sizes");
            continue;
        }
        if (map_add(&s->by_key, v->key->text, v->key->count, (uint32_t)s->stored_count) < 0)
            return fail_memory(s->err, s->path, 2 * s->by_key.capacity * sizeof(struct MapEntry));
        s->stored[s->stored_count++].value = v;
    }
    return 0;
}

// Reads the storage at s->at: a count of elements, then their values.
static int place_one(struct Stream *s, const struct Value *key)
{
    uint32_t index;
    if (key->kind != VALUE_STRING)
        return fail(s->err, VKGPT_BAD_FILE, "%s: the key of a storage is not a text", s->path);
    if (!map_find(&s->by_key, key->text, key->count, &index)) return fail_key(s, key, "is not one of the state dict");
    struct Stored *stored = &s->stored[index];
    const struct Value *v = stored->value;
    uint64_t left = s->file->bytes - s->at, count = 0,
             bytes = (uint64_t)(v->integer * v->storage->bytes); // call_storage checked for overflow
    if (stored->data) return fail_key(s, key, "is listed twice");
    if (left < 8) return fail_key(s, key, "is missing: the file ends before it");
    for (int i = 7; i >= 0; i--) count = count << 8 | s->file->data[s->at + (size_t)i];
    char shown[SHOWN];
    machine_shown(key->text, key->count, shown);
    if (count != (uint64_t)v->integer)
        return fail(s->err, VKGPT_BAD_FILE,
                    "%s: storage %s holds %" PRIu64 " elements, and the state dict says %" PRId64, s->path, shown,
                    count, v->integer);
    if (bytes > left - 8)
        return fail(s->err, VKGPT_BAD_FILE,
                    "%s: storage %s takes %" PRIu64 " bytes, and %" PRIu64 " are left of the file", s->path, shown,
                    bytes, left - 8);
    stored->data = s->file->data + s->at + 8;
    s->at += 8 + (size_t)bytes;
    return 0;
}

static int place_storages(struct Stream *s)
{
    struct Value **list = machine_top(&s->keys, 1);
    if (!list || (*list)->kind != VALUE_LIST)
        return fail(s->err, VKGPT_BAD_FILE, "%s: no list of storages follows the state dict", s->path);
    int code = list_stored(s);
    for (size_t i = 0; !code && i < (*list)->count; i++) code = place_one(s, (*list)->items[i]);
    return code;
}

// ----------------------------------------------------------------------------------------------- the tensors

static int add_tensors(struct Stream *s, struct TensorTable *table)
{
    struct PickleTensor *list;
    size_t count;
    int code = machine_tensors(&s->object, &list, &count);
    for (size_t i = 0; !code && i < count; i++) {
        uint32_t index;
        map_find(&s->by_key, list[i].key, strlen(list[i].key), &index); // list_stored has listed all of them
        const uint8_t *data = s->stored[index].data;
        if (!data)
            code = fail(s->err, VKGPT_BAD_FILE, "%s: tensor %.200s is in storage %s, which the file does not have",
                        s->path, list[i].name, list[i].key);
        if (code) break;
        struct Tensor tensor = pickle_tensor(&list[i], s->path, data);
        code = table_add(table, &tensor, s->err);
    }
    pickle_free(list, count);
    return code;
}

int torch_legacy_read(const char *path, const struct Mapping *file, struct TensorTable *table, vkgpt_error *err)
{
    struct Stream s = {.path = path, .file = file, .err = err};
    int code = read_pickles(&s);
    if (!code) code = place_storages(&s);
    if (!code) code = add_tensors(&s, table);
    machine_free(&s.object);
    machine_free(&s.keys);
    map_free(&s.by_key);
    free(s.stored);
    return code;
}
