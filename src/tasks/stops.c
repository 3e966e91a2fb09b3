#include "tasks/stops.h"

#include <string.h>

// Bytes of the longest stop string at the end of the held bytes; 0: none.
static size_t stop_at_end(const struct Stops *stops)
{
    const struct Buffer *held = &stops->held;
    size_t longest = 0;
    for (size_t i = 0; i < stops->count; i++) {
        const struct Buffer *text = &stops->texts[i];
        if (text->bytes > longest && text->bytes <= held->bytes &&
            memcmp(held->data + held->bytes - text->bytes, text->data, text->bytes) == 0)
            longest = text->bytes;
    }
    return longest;
}

static bool begins_a_stop(const struct Stops *stops, const char *data, size_t bytes)
{
    for (size_t i = 0; i < stops->count; i++)
        if (bytes < stops->texts[i].bytes && memcmp(data, stops->texts[i].data, bytes) == 0) return true;
    return false;
}

static void release(struct Stops *stops, size_t bytes, struct Buffer *out)
{
    buffer_add(out, stops->held.data, bytes);
    buffer_drop(&stops->held, bytes);
}

// byte by byte, so that the result does not depend on where tokens end
bool stops_add(struct Stops *stops, const char *bytes, size_t count, struct Buffer *out)
{
    struct Buffer *held = &stops->held;
    for (size_t i = 0; i < count; i++) {
        buffer_add(held, bytes + i, 1);
        size_t stop = stop_at_end(stops);
        if (stop) {
            release(stops, held->bytes - stop, out);
            buffer_drop(held, stop);
            return true;
        }
    }
    size_t free_bytes = 0;
    while (free_bytes < held->bytes && !begins_a_stop(stops, held->data + free_bytes, held->bytes - free_bytes))
        free_bytes++;
    release(stops, free_bytes, out);
    return false;
}

void stops_end(struct Stops *stops, struct Buffer *out) { release(stops, stops->held.bytes, out); }
