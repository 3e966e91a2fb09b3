// What a session has submitted and not waited for yet: blocks of prefill and steps of decode, the oldest first.
#ifndef VKGPT_ENGINE_FLIGHTS_H
#define VKGPT_ENGINE_FLIGHTS_H

#include "engine/session.h"

// The place for what is submitted next, empty: its turn is the index of its inbox and of its recording. s->in_flight at
// most.
struct Flight *flights_next(struct vkgpt_session *s);
uint32_t flight_turn(const struct vkgpt_session *s, const struct Flight *flight);
// Whether steps of a micro-batch are in flight.
bool flights_have_steps(const struct vkgpt_session *s, uint32_t part);
// Starts the next flight on the stages before this one.
int flights_send(struct vkgpt_session *s, const struct Flight *next, vkgpt_error *err);
// Counts the next flight, after its recording was submitted or it was sent: with that status, which it returns.
int flights_add(struct vkgpt_session *s, int status);
// All of that.
int flights_start(struct vkgpt_session *s, const struct Flight *next, vkgpt_error *err);
// After a flight was not made or has failed: forgets what the copies have not done yet.
void flights_forget_copies(struct vkgpt_session *s);
// Waits for the oldest one, and ends it.
int flights_end_oldest(struct vkgpt_session *s, vkgpt_error *err);
// Waits for all. Nothing is reported: sequences that run must have been stopped.
int flights_drain(struct vkgpt_session *s, vkgpt_error *err);

#endif
