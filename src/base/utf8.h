// What counts as well-formed UTF-8, in one place.
#ifndef VKGPT_BASE_UTF8_H
#define VKGPT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// The length of the well-formed sequence (Unicode 15, table 3-7) at text, of which `bytes` >= 1 are there, or 0.
size_t utf8_length(const char *text, size_t bytes);

// The bytes at text that begin a character and do not go on as one, 1 at least: the maximal subpart of section 3.9, for
// which one U+FFFD stands. utf8_length is 0 there.
size_t utf8_part(const char *text, size_t bytes);

// Whether text is the beginning of a character, of which more has to come.
bool utf8_goes_on(const char *text, size_t bytes);

// The bytes of the byte order mark that some editors of Windows put before a text, 3 or 0. Readers of files skip it.
size_t utf8_mark(const char *text, size_t bytes);

#endif
