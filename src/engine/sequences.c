#include "engine/sequences.h"

#include <string.h>

#include "engine/copies.h"
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
    slot->leader = slot->wanted = 0;
    slot->given = false;
    slot->stop = stop;
    slot->since = s->flights.last + 1;
}

int session_settle(struct vkgpt_session *s, vkgpt_error *err)
{
    for (uint32_t i = 0; i < s->sequences; i++)
        if (s->slots[i].started) return sequence_check_idle(s, i, err);
    int status = flights_drain(s, err);
    return status ? status : copies_run(s, err);
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

static int copy(struct vkgpt_session *s, struct Copy copy, vkgpt_error *err)
{
    const struct Slot *source = &s->slots[copy.from];
    struct Slot *slot = &s->slots[copy.to];
    if (source == slot) return VKGPT_OK;
    int status = copies_have_room(s) ? VKGPT_OK : copies_run(s, err);
    if (status) return status;
    memcpy(slot->ids, source->ids, source->position * sizeof *slot->ids);
    slot->position = source->position;
    slot->cached = slot->uploaded = 0;
    slot->prefilled = source->prefilled;
    copies_add(s, &(struct CacheCopy){copy.from, copy.to, 0, source->cached});
    return VKGPT_OK;
}

int sequences_copy(struct vkgpt_session *s, const struct Copy *copies, size_t count, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (size_t i = 0; !status && i < count; i++) status = copy(s, copies[i], err);
    return status ? status : copies_run(s, err);
}
