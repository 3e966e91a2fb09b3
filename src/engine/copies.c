#include "engine/copies.h"

#include "engine/flights.h"
#include "engine/inbox.h"
#include "engine/recordings.h"

bool copies_have_room(const struct vkgpt_session *s) { return s->copies.count < MAX_COPIES; }

void copies_add(struct vkgpt_session *s, const struct CacheCopy *copy)
{
    struct Slot *slot = &s->slots[copy->to];
    bool uncertain = slot->copied_by > s->flights.ended; // an earlier copy has not ended
    if (copy->first < copy->end) s->copies.list[s->copies.count++] = *copy;
    if (!uncertain || slot->copied > copy->first) slot->copied = copy->first;
    slot->copied_by = s->flights.last + 1;
    slot->cached = copy->end;
}

static int end_copies(struct vkgpt_session *s, const struct Flight *flight, double seconds, vkgpt_error *err)
{
    (void)s, (void)flight, (void)seconds, (void)err; // what they made counts since they were asked for
    return VKGPT_OK;
}

int copies_next(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err)
{
    uint32_t turn = flight_turn(s, next);
    next->kind = FLIGHT_COPIES;
    next->end = end_copies;
    inbox_begin(s, turn, NULL);
    inbox_copy(s, turn, s->copies.list, s->copies.count);
    int status = recordings_share(s, turn, &next->rec, err);
    if (status) flights_forget_copies(s);
    else s->copies.count = 0;
    return status;
}

int copies_run(struct vkgpt_session *s, vkgpt_error *err)
{
    if (!s->copies.count) return VKGPT_OK;
    struct Flight *next = flights_next(s);
    int status = copies_next(s, next, err);
    if (!status) status = flights_start(s, next, err);
    return status ? status : flights_end_oldest(s, err);
}
