// Stop strings in a text that grows: which of its bytes are free, that is, can no longer belong to one.
#ifndef VKGPT_TEXT_STOP_STRINGS_H
#define VKGPT_TEXT_STOP_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

struct StopString {
    char *data;
    size_t bytes; // at least 1
};

// How many of the first bytes of a text are free. The last `added` bytes are new. If a stop string ends in them, *found
// is true, and the free bytes are those before it; of two that end at the same byte, the longer one counts. Otherwise
// all bytes are free up to the first that may begin a stop string.
size_t stop_strings_free(const struct StopString *stops, size_t count, const char *text, size_t bytes, size_t added,
                         bool *found);

#endif
