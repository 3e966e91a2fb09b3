// Stop strings: text is held back as long as it may be the beginning of one. They may span tokens.
#ifndef VKGPT_TASKS_STOPS_H
#define VKGPT_TASKS_STOPS_H

#include "tasks/buffer.h"
#include "text/stop_strings.h"

struct Stops {
    const struct StopString *texts;
    size_t count;
    struct Buffer held; // possibly the beginning of a stop string
};

// Adds bytes, and appends to `out` what can no longer be part of a stop string. True when a stop string is found: `out`
// then ends right before it, and the rest is dropped. Without host memory `out` is failed.
bool stops_add(struct Stops *stops, const char *bytes, size_t count, struct Buffer *out);
// No more bytes come: appends what is held back to `out`.
void stops_end(struct Stops *stops, struct Buffer *out);

#endif
