// vkgpt_session_save and vkgpt_session_load: the tokens of the first sequence and their part of the KV cache, to a file
// and back. The cache goes through a buffer that has room for K, or V, of one layer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_hash.h"
#include "engine/save.h"
#include "engine/saved.h"
#include "engine/sequences.h"
#include "engine/session.h"

const uint32_t *vkgpt_session_tokens(const vkgpt_session *s) { return s->slots[0].ids; }

static int describe(struct vkgpt_session *s, uint64_t note_bytes, struct SavedHeader *h, vkgpt_error *err)
{
    const struct vkgpt_model *m = s->model;
    const struct Cache cache = session_cache(s);
    *h = (struct SavedHeader){
        .magic = {'v', 'k', 'g', 'p', 't', 's', 'e', 's'},
        .version = SAVED_VERSION,
        .kv = s->kv,
        .layers = m->config.layers,
        .position_bytes = cache_position_bytes(&cache),
        .tokens = s->slots[0].position,
        .cached = s->slots[0].cached,
        .note_bytes = note_bytes,
    };
    snprintf(h->name, sizeof h->name, "%.63s", m->name);
    snprintf(h->weights, sizeof h->weights, "%.4s%s", m->info.weights, s->deterministic ? ", determin." : "");
    int status = model_hash(s->model, &h->model, err);
    if (!status && s->deterministic) h->model = ~h->model; // the cache of another session has other bits
    return status;
}

// A buffer between the cache and the file, for `bytes`.
static int make_staging(struct vkgpt_session *s, struct Pool *pool, uint64_t bytes, struct Slice *staging,
                        vkgpt_error *err)
{
    pool->block_bytes = bytes;
    return bytes ? pool_slice(s->device, pool, bytes, "the saved session", staging, err) : VKGPT_OK;
}

// Copies K (half 0) or V (half 1) of a layer between the session and the buffer.
static int copy_half(struct vkgpt_session *s, uint32_t layer, uint32_t half, uint32_t positions,
                     const struct Slice *staging, bool to_session, vkgpt_error *err)
{
    const struct Cache own = session_cache(s), packed = session_packed_cache(s, positions);
    const struct CachePlace in_session = {&own, half ? &s->b.v[layer] : &s->b.k[layer], 0},
                            in_staging = {&packed, staging, 0};
    struct Recording rec;
    int status = recording_begin(s->device, "copying the KV cache", 1, &rec, err);
    if (status) return status;
    if (to_session) cache_copy(&rec, in_staging, in_session, positions);
    else cache_copy(&rec, in_session, in_staging, positions);
    return recording_run_once(&rec, err);
}

// ----------------------------------------------------------------------------------------------- saving

struct Writer {
    struct Saving saving;
    struct Hash hash;
    vkgpt_error *err;
};

static int write_part(struct Writer *w, const void *data, size_t bytes)
{
    if (!bytes) return VKGPT_OK;
    hash_add(&w->hash, data, bytes);
    return os_save_write(&w->saving, data, bytes, w->err);
}

// Of the cache of a stage before this one.
static int move_before(struct vkgpt_session *s, uint32_t i, uint32_t positions, bool write, uint8_t *bytes,
                       vkgpt_error *err)
{
    return s->upstream->move_cache(s->upstream, i / 2, i % 2, positions, write, bytes, err);
}

static int write_cache(struct vkgpt_session *s, const struct SavedHeader *h, struct Writer *w)
{
    struct Pool pool = {.kind = MEMORY_READ};
    struct Slice staging = {0};
    int status = make_staging(s, &pool, saved_cache_bytes(h), &staging, w->err);
    for (uint32_t i = 0; !status && h->cached && i < 2 * h->layers; i++) {
        if (i / 2 < s->model->first) status = move_before(s, i, h->cached, false, staging.host, w->err);
        else status = copy_half(s, i / 2, i % 2, h->cached, &staging, false, w->err);
        if (!status) status = write_part(w, staging.host, saved_cache_bytes(h));
    }
    pool_free(s->device, &pool);
    return status;
}

static int write_all(struct vkgpt_session *s, const struct SavedHeader *h, const void *note, struct Writer *w)
{
    hash_begin(&w->hash);
    int status = write_part(w, h, sizeof *h);
    if (!status) status = write_part(w, s->slots[0].ids, (size_t)h->tokens * sizeof *s->slots[0].ids);
    if (!status) status = write_part(w, note, h->note_bytes);
    if (!status) status = write_cache(s, h, w);
    uint64_t value = hash_value(&w->hash);
    return status ? status : os_save_write(&w->saving, &value, sizeof value, w->err);
}

int vkgpt_session_save(vkgpt_session *s, const char *path, const void *note, size_t note_bytes, vkgpt_error *err)
{
    struct SavedHeader header;
    struct Writer w = {.err = err};
    if (note_bytes > SAVED_MAX_NOTE)
        return fail(err, VKGPT_BAD_ARGUMENT, "a note of %zu bytes: %llu at most", note_bytes,
                    (unsigned long long)SAVED_MAX_NOTE);
    int status = session_settle(s, err);
    if (!status) status = describe(s, note_bytes, &header, err);
    if (!status) status = os_save_begin(path, &w.saving, err);
    if (status) return status;
    status = write_all(s, &header, note, &w);
    int ended = os_save_end(&w.saving, !status, status ? NULL : err);
    return status ? status : ended;
}

// ---------------------------------------------------------------------------------------------- loading

static int read_cache(struct vkgpt_session *s, const struct Saved *saved, vkgpt_error *err)
{
    struct Pool pool = {.kind = MEMORY_UPLOAD};
    struct Slice staging = {0};
    const struct SavedHeader *h = &saved->header;
    uint64_t bytes = saved_cache_bytes(h);
    int status = make_staging(s, &pool, bytes, &staging, err);
    for (uint32_t i = 0; !status && h->cached && i < 2 * h->layers; i++) {
        memcpy(staging.host, saved->cache + i * bytes, bytes);
        if (i / 2 < s->model->first) status = move_before(s, i, h->cached, true, staging.host, err);
        else status = copy_half(s, i / 2, i % 2, h->cached, &staging, true, err);
    }
    pool_free(s->device, &pool);
    return status;
}

int session_move_cache(struct vkgpt_session *s, uint32_t layer, uint32_t half, uint32_t positions, bool write,
                       uint8_t *bytes, vkgpt_error *err)
{
    const struct Cache packed = session_packed_cache(s, positions);
    uint64_t size = (uint64_t)positions * cache_position_bytes(&packed);
    struct Pool pool = {.kind = write ? MEMORY_UPLOAD : MEMORY_READ};
    struct Slice staging = {0};
    int status = make_staging(s, &pool, size, &staging, err);
    if (!status && write) memcpy(staging.host, bytes, size);
    if (!status) status = copy_half(s, layer, half, positions, &staging, write, err);
    if (!status && !write) memcpy(bytes, staging.host, size);
    pool_free(s->device, &pool);
    return status;
}

// Copies of what the file holds beside the cache; the file may change while it is read.
struct Contents {
    uint32_t *ids;
    char *note;
};

static int copy_contents(const char *path, const struct Saved *saved, const struct SavedInto *into, struct Contents *c,
                         vkgpt_error *err)
{
    const struct SavedHeader *h = &saved->header;
    c->ids = malloc((size_t)h->tokens * sizeof *c->ids + 1);
    c->note = malloc(h->note_bytes + 1);
    if (!c->ids || !c->note) return fail_memory(err, path, (size_t)h->tokens * sizeof *c->ids + h->note_bytes);
    memcpy(c->ids, saved->ids, (size_t)h->tokens * sizeof *c->ids);
    memcpy(c->note, saved->note, h->note_bytes);
    c->note[h->note_bytes] = '\0';
    return saved_check_ids(path, c->ids, h->tokens, into, err);
}

// Only the copy of the cache changes the session. If it fails, the cache is empty.
static int take(struct vkgpt_session *s, const char *path, const struct Mapping *file, const struct Saved *saved,
                const struct Contents *c, vkgpt_error *err)
{
    struct Slot *slot = &s->slots[0];
    slot_rewind(slot, 0);
    int status = read_cache(s, saved, err);
    if (!status) status = os_map_check(file, path, err);
    if (status) return status;
    memcpy(slot->ids, c->ids, (size_t)saved->header.tokens * sizeof *slot->ids);
    slot->position = saved->header.tokens;
    slot->cached = saved->header.cached;
    return VKGPT_OK;
}

int vkgpt_session_load(vkgpt_session *s, const char *path, char **note, size_t *note_bytes, vkgpt_error *err)
{
    struct Mapping file;
    struct Saved saved;
    struct Contents contents = {0};
    struct SavedInto into = {.context = s->context, .vocab = s->model->config.vocab};
    int status = session_settle(s, err);
    if (!status) status = os_map(path, &file, err);
    if (status) return status;
    status = describe(s, 0, &into.header, err);
    if (!status) status = saved_read(path, &file, &into, &saved, err);
    if (!status) status = copy_contents(path, &saved, &into, &contents, err);
    if (!status) status = take(s, path, &file, &saved, &contents, err);
    os_unmap(&file);
    free(contents.ids);
    if (status || !note) free(contents.note);
    if (status) return status;
    if (note) *note = contents.note;
    if (note_bytes) *note_bytes = saved.header.note_bytes;
    return VKGPT_OK;
}
