#include "tasks/stops.h"

static void release(struct Stops *stops, size_t bytes, struct Buffer *out)
{
    buffer_add(out, stops->held.data, bytes);
    buffer_drop(&stops->held, bytes);
    out->failed = out->failed || stops->held.failed;
}

bool stops_add(struct Stops *stops, const char *bytes, size_t count, struct Buffer *out)
{
    struct Buffer *held = &stops->held;
    bool found;
    buffer_add(held, bytes, count);
    if (held->failed) count = 0; // nothing is new
    size_t free_bytes = stop_strings_free(stops->texts, stops->count, held->data, held->bytes, count, &found);
    release(stops, free_bytes, out);
    if (found) buffer_drop(held, held->bytes);
    return found;
}

void stops_end(struct Stops *stops, struct Buffer *out) { release(stops, stops->held.bytes, out); }
