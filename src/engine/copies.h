// Copies in the cache, from one sequence to another. Those that are asked for run as one flight, before all that is
// queued after them, so they may be asked for at any time and nobody waits for them.
#ifndef VKGPT_ENGINE_COPIES_H
#define VKGPT_ENGINE_COPIES_H

#include "engine/session.h"

bool copies_have_room(const struct vkgpt_session *s); // for one more, before those asked for are queued
// Asks for a copy. From now on the cache of its target counts as having what is copied, up to its end. If the flight
// does not run, the target has what it had before the copy's first position.
void copies_add(struct vkgpt_session *s, const struct CacheCopy *copy);
// Makes the flight of those that were asked for.
int copies_next(struct vkgpt_session *s, struct Flight *next, vkgpt_error *err);
// Runs those that were asked for. Nothing is in flight.
int copies_run(struct vkgpt_session *s, vkgpt_error *err);

#endif
