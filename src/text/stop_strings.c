#include "text/stop_strings.h"

#include <string.h>

// Bytes of the longest stop string at the end of a text; 0: none.
static size_t stop_at_end(const struct StopString *stops, size_t count, const char *text, size_t bytes)
{
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        const struct StopString *stop = &stops[i];
        bool ends = stop->bytes <= bytes && memcmp(text + bytes - stop->bytes, stop->data, stop->bytes) == 0;
        if (ends && stop->bytes > longest) longest = stop->bytes;
    }
    return longest;
}

static bool begins_a_stop(const struct StopString *stops, size_t count, const char *text, size_t bytes)
{
    for (size_t i = 0; i < count; i++)
        if (bytes < stops[i].bytes && memcmp(text, stops[i].data, bytes) == 0) return true;
    return false;
}

// Looks byte by byte, so that the result does not depend on where tokens end.
size_t stop_strings_free(const struct StopString *stops, size_t count, const char *text, size_t bytes, size_t added,
                         bool *found)
{
    *found = false;
    for (size_t end = bytes - added + 1; end <= bytes; end++) {
        size_t stop = stop_at_end(stops, count, text, end);
        *found = stop != 0;
        if (stop) return end - stop;
    }
    size_t from = 0;
    while (from < bytes && !begins_a_stop(stops, count, text + from, bytes - from)) from++;
    return from;
}
