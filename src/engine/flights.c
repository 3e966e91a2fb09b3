// What a session has submitted and not waited for yet.
#include "engine/flights.h"

#include "base/os.h"

struct Flight *flights_next(struct vkgpt_session *s)
{
    struct Flights *f = &s->flights;
    return &f->flying[(f->oldest + f->count) % IN_FLIGHT];
}

uint32_t flight_turn(const struct vkgpt_session *s, const struct Flight *flight)
{
    return (uint32_t)(flight - s->flights.flying);
}

void flights_add(struct vkgpt_session *s)
{
    struct Flight *next = flights_next(s);
    next->number = ++s->flights.last;
    next->start = os_seconds();
    s->flights.count++;
    s->counters.submissions++;
}

int flights_end_oldest(struct vkgpt_session *s, vkgpt_error *err)
{
    struct Flights *f = &s->flights;
    struct Flight *oldest = &f->flying[f->oldest];
    f->count--;
    f->oldest = f->count ? (f->oldest + 1) % IN_FLIGHT : 0; // if they run one by one, one recording is enough
    int status = recording_wait(oldest->rec, err);
    if (status) return status;
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
