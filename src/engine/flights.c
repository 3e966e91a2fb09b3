// What a session has submitted and not waited for yet. With stages before this one, a flight begins on them, and this
// session submits its own part when the residual stream has come.
#include "engine/flights.h"

#include "base/os.h"
#include "engine/upstream.h"

// Where the i-th of those in flight is, beginning with the oldest; behind the last one is the next.
static uint32_t place_of(const struct vkgpt_session *s, uint32_t i) { return (s->flights.oldest + i) % s->in_flight; }

struct Flight *flights_next(struct vkgpt_session *s)
{
    struct Flight *next = &s->flights.flying[place_of(s, s->flights.count)];
    *next = (struct Flight){0};
    return next;
}

uint32_t flight_turn(const struct vkgpt_session *s, const struct Flight *flight)
{
    return (uint32_t)(flight - s->flights.flying);
}

bool flights_have_steps(const struct vkgpt_session *s, uint32_t part)
{
    for (uint32_t i = 0; i < s->flights.count; i++) {
        const struct Flight *flight = &s->flights.flying[place_of(s, i)];
        if (flight->kind == FLIGHT_STEPS && flight->part == part) return true;
    }
    return false;
}

// Rows of x that a flight has: whole groups, or those of its range of sequences. Copies have none.
static uint32_t rows_of(const struct Flight *flight)
{
    return flight->kind == FLIGHT_STEPS ? flight->range.sequences * flight->range.rows
                                        : flight->block.count * GROUP_ROWS;
}

// Submits a flight that was sent, once its x has come.
static int submit(struct vkgpt_session *s, struct Flight *flight, vkgpt_error *err)
{
    uint32_t turn = flight_turn(s, flight);
    size_t bytes = (size_t)rows_of(flight) * s->model->dim * 4;
    int status = s->upstream->receive(s->upstream, turn, s->b.arrival[turn].host, bytes, err);
    flight->submitted = true; // it is not waited for if it was not
    if (!status && flight->joins) status = recording_submit(flight->joins, err);
    return status ? status : recording_submit(flight->rec, err);
}

int flights_send(struct vkgpt_session *s, const struct Flight *flight, vkgpt_error *err)
{
    const struct StageFlight message = {.turn = flight_turn(s, flight),
                                        .kind = flight->kind,
                                        .first = flight->range.first,
                                        .sequences = flight->range.sequences,
                                        .split_size = flight->split_size,
                                        .rows = rows_of(flight),
                                        .fresh = !s->flights.count,
                                        .admissions = s->outbox.admissions,
                                        .words = s->outbox.words};
    return s->upstream->send(s->upstream, &message, s->outbox.head, (const uint32_t *)s->outbox.given, err);
}

int flights_add(struct vkgpt_session *s, int status)
{
    if (status) {
        flights_forget_copies(s);
        return status;
    }
    struct Flight *next = &s->flights.flying[place_of(s, s->flights.count)];
    next->submitted = !s->upstream;
    next->number = ++s->flights.last;
    next->start = os_seconds();
    s->flights.count++;
    s->counters.submissions++;
    return VKGPT_OK;
}

void flights_forget_copies(struct vkgpt_session *s)
{
    s->copies.count = 0;
    for (uint32_t i = 0; s->slots && i < s->sequences; i++) {
        struct Slot *slot = &s->slots[i];
        if (slot->copied_by <= s->flights.ended) continue;
        if (slot->cached > slot->copied) slot->cached = slot->copied;
        if (slot->prefilled > slot->copied) slot->prefilled = slot->copied;
        slot->copied_by = 0;
    }
}

int flights_start(struct vkgpt_session *s, const struct Flight *next, vkgpt_error *err)
{
    return flights_add(s, s->upstream ? flights_send(s, next, err) : recording_submit(next->rec, err));
}

// After a flight has failed on one of several stages, those behind it do not count: some stage has not run it.
static void drop_all(struct vkgpt_session *s)
{
    struct Flights *f = &s->flights;
    for (; f->count; f->count--, f->oldest = place_of(s, 1)) {
        struct Flight *flight = &f->flying[f->oldest];
        if (flight->submitted) recording_wait(flight->rec, NULL); // it may be that only this one failed
        else s->upstream->receive(s->upstream, f->oldest, NULL, 0, NULL);
    }
    f->oldest = 0;
}

int flights_end_oldest(struct vkgpt_session *s, vkgpt_error *err)
{
    struct Flights *f = &s->flights;
    struct Flight *oldest = &f->flying[f->oldest];
    f->count--;
    f->oldest = f->count ? place_of(s, 1) : 0; // if they run one by one, one recording is enough
    int status = oldest->submitted ? VKGPT_OK : submit(s, oldest, err);
    if (!status) status = recording_wait(oldest->rec, err);
    if (status && s->upstream) drop_all(s);
    if (status) flights_forget_copies(s);
    if (status) return status;
    f->ended = oldest->number;
    double seconds = recording_seconds(oldest->rec);
    s->counters.device_seconds += seconds;
    if (seconds == 0.0) seconds = os_seconds() - oldest->start; // a device without timestamps
    if (f->count) f->flying[f->oldest].start = os_seconds();
    return oldest->end(s, oldest, seconds, err);
}

int flights_drain(struct vkgpt_session *s, vkgpt_error *err)
{
    int status = VKGPT_OK;
    while (s->flights.count) {
        int ended = flights_end_oldest(s, status ? NULL : err); // only the first failure is reported
        if (!status) status = ended;
    }
    return status;
}
