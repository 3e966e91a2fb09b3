// Which bytes are well-formed UTF-8.
#ifndef VKGPT_BASE_UTF8_H
#define VKGPT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// The length of the well-formed sequence (Unicode 15, table 3-7) at the start of text, or 0. `bytes` is at least 1.
size_t utf8_length(const char *text, size_t bytes);

// For text that does not start with a well-formed sequence: how many bytes one U+FFFD replaces, at least 1 (the maximal
// subpart of section 3.9).
size_t utf8_part(const char *text, size_t bytes);

// Whether text is the beginning of a character whose remaining bytes are still to come.
bool utf8_goes_on(const char *text, size_t bytes);

// The length of the byte order mark at the start of text, 3 or 0. Some Windows editors write one; file readers skip it.
size_t utf8_mark(const char *text, size_t bytes);

#endif
