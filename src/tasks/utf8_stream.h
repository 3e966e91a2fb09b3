// Bytes that a model makes, as whole UTF-8 characters. What is no UTF-8 becomes U+FFFD, one for each maximal part
// that begins like a character and does not end as one (The Unicode Standard 15, section 3.9, table 3-7).
#ifndef VKGPT_TASKS_UTF8_STREAM_H
#define VKGPT_TASKS_UTF8_STREAM_H

#include "tasks/buffer.h"

struct Utf8 {
    char pending[4]; // the beginning of a character
    size_t have;
};

// Adds bytes and appends the characters that are complete by now.
void utf8_add(struct Utf8 *utf8, const char *bytes, size_t count, struct Buffer *out);
// No more bytes: an unfinished character becomes U+FFFD.
void utf8_end(struct Utf8 *utf8, struct Buffer *out);

// Any bytes as a JSON string, quotes included. Unlike cJSON's, it holds NUL bytes. Free with free().
char *utf8_json(const char *bytes, size_t count);

#endif
