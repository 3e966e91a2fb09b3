// Which bytes are well-formed UTF-8.
#ifndef VKGPT_BASE_UTF8_H
#define VKGPT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// The length of the well-formed sequence (Unicode 15, table 3-7) at the start of text, or 0. `bytes` is at least 1.
size_t utf8_length(const char *text, size_t bytes);

// Whether all of a text is well-formed. No bytes are.
bool utf8_good(const char *text, size_t bytes);

// For text that does not start with a well-formed sequence: how many bytes one U+FFFD replaces, at least 1 (the maximal
// subpart of section 3.9).
size_t utf8_part(const char *text, size_t bytes);

#define UTF8_REPLACEMENT "\xEF\xBF\xBD" // U+FFFD

// The next piece of any bytes: its length, and in *good whether it is a character. If not, one U+FFFD replaces it.
// Returns 0 if the bytes are the beginning of a character whose other bytes may still come: only without `last`.
size_t utf8_next(const char *text, size_t bytes, bool last, bool *good);

// The length of the byte order mark at the start of text, 3 or 0. Some Windows editors write one; file readers skip it.
size_t utf8_mark(const char *text, size_t bytes);

#endif
