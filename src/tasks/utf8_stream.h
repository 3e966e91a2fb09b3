// Turns the bytes that a model generates into whole UTF-8 characters. Each longest sequence of bytes that begins like a
// character but is not one becomes a U+FFFD (The Unicode Standard 15, section 3.9, table 3-7).
#ifndef VKGPT_TASKS_UTF8_STREAM_H
#define VKGPT_TASKS_UTF8_STREAM_H

#include "tasks/buffer.h"

struct Utf8 {
    char pending[4]; // the beginning of a character
    size_t have;
};

// Adds bytes and appends the characters that are complete. Without host memory `out` is failed.
void utf8_add(struct Utf8 *utf8, const char *bytes, size_t count, struct Buffer *out);
// No more bytes come: an unfinished character becomes U+FFFD.
void utf8_end(struct Utf8 *utf8, struct Buffer *out);

// Any bytes as a JSON string, with its quotes. Unlike cJSON's strings, it may contain NUL bytes. Free with free().
// NULL: there is no host memory.
char *utf8_json(const char *bytes, size_t count);

#endif
