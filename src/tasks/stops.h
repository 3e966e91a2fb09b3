// Stop strings: text is held back as long as it may still become one. They may span tokens.
#ifndef VKGPT_TASKS_STOPS_H
#define VKGPT_TASKS_STOPS_H

#include <stdbool.h>

#include "tasks/buffer.h"

struct Stops {
    const struct Buffer *texts;
    size_t count;
    struct Buffer held; // the beginning of a stop string, perhaps
};

// Adds bytes; appends to `out` what can no longer be part of a stop string. True when one appeared: `out` then
// ends right before it, and the rest is gone.
bool stops_add(struct Stops *stops, const char *bytes, size_t count, struct Buffer *out);
// No more bytes: what is held back is text after all.
void stops_end(struct Stops *stops, struct Buffer *out);

#endif
