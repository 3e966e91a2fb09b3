#include "engine/sequences.h"

#include <stdlib.h>
#include <string.h>

#include "engine/flights.h"

int sequence_check(const struct vkgpt_session *s, uint32_t sequence, vkgpt_error *err)
{
    return sequence < s->sequences
               ? VKGPT_OK
               : fail(err, VKGPT_BAD_ARGUMENT, "sequence %u: the session has %u", sequence, s->sequences);
}

int sequence_check_idle(const struct vkgpt_session *s, uint32_t sequence, vkgpt_error *err)
{
    int status = sequence_check(s, sequence, err);
    if (status || !s->slots[sequence].started) return status;
    return fail(err, VKGPT_BAD_ARGUMENT, "sequence %u was started and has not ended", sequence);
}

int session_check_ids(const struct vkgpt_session *s, const uint32_t *ids, size_t count, vkgpt_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] >= s->model->config.vocab)
            return fail(err, VKGPT_BAD_ARGUMENT, "token id %u: %s has ids below %u", ids[i], s->model->name,
                        s->model->config.vocab);
    return VKGPT_OK;
}

int sequence_append(struct vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count, uint32_t room,
                    vkgpt_error *err)
{
    int status = sequence_check_idle(s, sequence, err);
    if (status) return status;
    struct Slot *slot = &s->slots[sequence];
    if (count > room || slot->position + count > room)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u tokens and %zu more: the context has room for %u", slot->position,
                    count, s->context);
    status = session_check_ids(s, ids, count, err);
    if (status) return status;
    if (count) memcpy(slot->ids + slot->position, ids, count * sizeof *ids);
    slot->position += (uint32_t)count;
    return VKGPT_OK;
}

void vkgpt_session_cancel(vkgpt_session *s) { atomic_store(&s->cancelled, true); }

int session_check_cancel(struct vkgpt_session *s, vkgpt_error *err)
{
    return atomic_exchange(&s->cancelled, false) ? fail(err, VKGPT_INTERRUPTED, "cancelled") : VKGPT_OK;
}

void slot_rewind(struct Slot *slot, uint32_t position)
{
    slot->position = position;
    if (slot->cached > position) slot->cached = position;
    if (slot->prefilled > position) slot->prefilled = position;
    if (slot->uploaded > position) slot->uploaded = position;
}

void slot_leave(struct vkgpt_session *s, struct Slot *slot, vkgpt_stop stop)
{
    slot->runs = false;
    slot->joined = 0;
    slot->goal = 0;
    slot->given = false;
    slot->stop = stop;
    slot->since = s->flights.last + 1;
}

int session_settle(struct vkgpt_session *s, vkgpt_error *err)
{
    for (uint32_t i = 0; i < s->sequences; i++)
        if (s->slots[i].started) return sequence_check_idle(s, i, err);
    return flights_drain(s, err);
}

int vkgpt_batch_rewind(vkgpt_session *s, uint32_t sequence, uint32_t position, vkgpt_error *err)
{
    int status = sequence_check_idle(s, sequence, err);
    if (status) return status;
    struct Slot *slot = &s->slots[sequence];
    if (position > slot->position)
        return fail(err, VKGPT_BAD_ARGUMENT, "rewinding to %u of %u tokens", position, slot->position);
    slot_rewind(slot, position);
    return VKGPT_OK;
}

int vkgpt_session_rewind(vkgpt_session *s, uint32_t position, vkgpt_error *err)
{
    return vkgpt_batch_rewind(s, 0, position, err);
}

uint32_t vkgpt_batch_position(const vkgpt_session *s, uint32_t sequence)
{
    return sequence < s->sequences ? s->slots[sequence].position : 0;
}

uint32_t vkgpt_session_position(const vkgpt_session *s) { return vkgpt_batch_position(s, 0); }

static void copy_cache(struct vkgpt_session *s, struct Recording *rec, const struct CacheCopy *copy)
{
    const struct Cache cache = session_cache(s);
    for (uint32_t l = s->model->first; l < s->model->end; l++) {
        const struct Slice *const halves[] = {&s->b.k[l], &s->b.v[l]};
        for (int half = 0; half < 2; half++)
            cache_copy(rec, (struct CachePlace){&cache, halves[half], copy->from},
                       (struct CachePlace){&cache, halves[half], copy->to}, copy->positions);
    }
}

int sequences_copy_caches(struct vkgpt_session *s, const struct CacheCopy *copies, size_t count, vkgpt_error *err)
{
    struct Recording rec = {0};
    int status = flights_submit(s, err);
    if (!status && s->upstream) status = s->upstream->copy(s->upstream, copies, count, err);
    if (!status) status = recording_begin(s->device, "copying sequences", 1, &rec, err);
    if (status) return status;
    for (size_t i = 0; i < count; i++) copy_cache(s, &rec, &copies[i]);
    return recording_run_once(&rec, err);
}

int sequences_share(struct vkgpt_session *s, struct Copy copy, uint32_t positions, vkgpt_error *err)
{
    int status = sequences_copy_caches(s, &(struct CacheCopy){copy.from, copy.to, positions}, 1, err);
    if (!status) s->slots[copy.to].cached = s->slots[copy.to].prefilled = positions;
    return status;
}

int sequences_copy(struct vkgpt_session *s, const struct Copy *copies, size_t count, vkgpt_error *err)
{
    size_t kept = 0;
    if (!count) return VKGPT_OK;
    struct CacheCopy *caches = device_alloc(s->device, count, sizeof *caches);
    if (!caches) return fail_memory(err, "the copies of sequences", count * sizeof *caches);
    for (size_t i = 0; i < count; i++) {
        const struct Slot *source = &s->slots[copies[i].from];
        struct Slot *slot = &s->slots[copies[i].to];
        if (source == slot) continue;
        memcpy(slot->ids, source->ids, source->position * sizeof *slot->ids);
        slot->position = source->position;
        slot->cached = source->cached;
        slot->prefilled = source->prefilled;
        slot->uploaded = 0;
        caches[kept++] = (struct CacheCopy){copies[i].from, copies[i].to, source->cached};
    }
    int status = sequences_copy_caches(s, caches, kept, err);
    free(caches);
    return status;
}
