#include "engine/saved.h"

#include <string.h>

#include "base/error.h"

#define TRAILER 8 // bytes of the hash at the end

static const char *const KV_NAMES[] = {"f32", "f16", "q8_0"}; // by KV_...
#define KV_COUNT (sizeof KV_NAMES / sizeof KV_NAMES[0])

uint64_t saved_cache_bytes(const struct SavedHeader *h) { return (uint64_t)h->cached * h->position_bytes; }

// The whole file. Each factor was checked, so that nothing overflows.
static uint64_t file_bytes(const struct SavedHeader *h)
{
    return sizeof *h + (uint64_t)h->tokens * 4 + h->note_bytes + 2 * h->layers * saved_cache_bytes(h) + TRAILER;
}

static int read_header(const char *path, const struct Mapping *file, struct SavedHeader *h, vkgpt_error *err)
{
    if (file->bytes < sizeof h->magic || memcmp(file->data, SAVED_MAGIC, sizeof h->magic) != 0)
        return fail(err, VKGPT_BAD_FILE, "%s: is not a saved session of vkgpt", path);
    if (file->bytes < sizeof *h + TRAILER)
        return fail(err, VKGPT_BAD_FILE, "%s: has %zu bytes, the header of a saved session alone has %zu", path,
                    file->bytes, sizeof *h);
    memcpy(h, file->data, sizeof *h);
    if (h->version != SAVED_VERSION)
        return fail(err, VKGPT_BAD_FILE, "%s: is a saved session of version %u, this vkgpt reads version %u", path,
                    h->version, SAVED_VERSION);
    if (h->name[sizeof h->name - 1] || h->weights[sizeof h->weights - 1])
        return fail(err, VKGPT_BAD_FILE, "%s: is damaged: the name of its model has no end", path);
    if (h->kv >= KV_COUNT) return fail(err, VKGPT_BAD_FILE, "%s: has a KV cache of the unknown format %u", path, h->kv);
    return VKGPT_OK;
}

// That the session has the model and the cache of the file.
static int check_model(const char *path, const struct SavedHeader *h, const struct SavedInto *into, vkgpt_error *err)
{
    const struct SavedHeader *own = &into->header;
    bool same_name = strcmp(h->name, own->name) == 0 && strcmp(h->weights, own->weights) == 0;
    if (h->model != own->model && same_name)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: was saved with another model that is called %s: its weights differ",
                    path, own->name);
    if (h->model != own->model)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: was saved with the model %s in %s, this one is %s in %s", path,
                    h->name, h->weights, own->name, own->weights);
    if (h->kv != own->kv)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: has a KV cache in %s, this one is in %s (--kv %s)", path,
                    KV_NAMES[h->kv], KV_NAMES[own->kv], KV_NAMES[h->kv]);
    if (h->layers != own->layers || h->position_bytes != own->position_bytes)
        return fail(err, VKGPT_BAD_FILE,
                    "%s: is damaged: its cache has %u layers of %u bytes a position, the model's has %u of %u", path,
                    h->layers, h->position_bytes, own->layers, own->position_bytes);
    return VKGPT_OK;
}

static int check_sizes(const char *path, const struct Mapping *file, const struct SavedHeader *h,
                       const struct SavedInto *into, vkgpt_error *err)
{
    if (h->cached > h->tokens)
        return fail(err, VKGPT_BAD_FILE, "%s: is damaged: %u of its %u tokens are in the cache", path, h->cached,
                    h->tokens);
    if (h->note_bytes > SAVED_MAX_NOTE)
        return fail(err, VKGPT_BAD_FILE, "%s: is damaged: its note has %llu bytes, %llu at most can be", path,
                    (unsigned long long)h->note_bytes, (unsigned long long)SAVED_MAX_NOTE);
    if (h->tokens > into->context + 1 || h->cached > into->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: has %u tokens, the context has room for %u", path, h->tokens,
                    into->context);
    if (file->bytes != file_bytes(h))
        return fail(err, VKGPT_BAD_FILE, "%s: is damaged: it has %zu bytes, %llu belong to its %u tokens", path,
                    file->bytes, (unsigned long long)file_bytes(h), h->tokens);
    return VKGPT_OK;
}

static int check_hash(const char *path, const struct Mapping *file, vkgpt_error *err)
{
    struct Hash hash;
    uint64_t kept;
    hash_begin(&hash);
    hash_add(&hash, file->data, file->bytes - TRAILER);
    memcpy(&kept, file->data + file->bytes - TRAILER, TRAILER);
    if (kept == hash_value(&hash)) return VKGPT_OK;
    return fail(err, VKGPT_BAD_FILE, "%s: is damaged: its bytes have the hash %016llx, %016llx was saved", path,
                (unsigned long long)hash_value(&hash), (unsigned long long)kept);
}

int saved_read(const char *path, const struct Mapping *file, const struct SavedInto *into, struct Saved *saved,
               vkgpt_error *err)
{
    struct SavedHeader *h = &saved->header;
    int status = read_header(path, file, h, err);
    if (!status) status = check_model(path, h, into, err);
    if (!status) status = check_sizes(path, file, h, into, err);
    if (!status) status = check_hash(path, file, err);
    if (status) return status;
    saved->ids = file->data + sizeof *h;
    saved->note = saved->ids + (size_t)h->tokens * 4;
    saved->cache = saved->note + h->note_bytes;
    return VKGPT_OK;
}

int saved_check_ids(const char *path, const uint32_t *ids, uint32_t count, const struct SavedInto *into,
                    vkgpt_error *err)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] >= into->vocab)
            return fail(err, VKGPT_BAD_FILE, "%s: token %u is %u, the model has ids below %u", path, i, ids[i],
                        into->vocab);
    return VKGPT_OK;
}
