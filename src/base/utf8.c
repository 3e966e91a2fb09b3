#include "base/utf8.h"

#include <string.h>

// Length of a character that begins with `first`; 0: no character does.
static size_t character_bytes(unsigned char first)
{
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

size_t utf8_part(const char *text, size_t bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = character_bytes(s[0]), i = 1;
    unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;  // no overlong form
    unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF; // no surrogate, nothing past U+10FFFF
    if (n < 2 || bytes < 2 || s[1] < low || s[1] > high) return 1;
    for (i = 2; i < n && i < bytes && (s[i] & 0xC0) == 0x80;) i++;
    return i;
}

size_t utf8_length(const char *text, size_t bytes)
{
    size_t n = character_bytes((unsigned char)text[0]);
    return n <= bytes && utf8_part(text, bytes) == n ? n : 0;
}

bool utf8_good(const char *text, size_t bytes)
{
    size_t at = 0;
    for (size_t length = 1; at < bytes && length; at += length) length = utf8_length(text + at, bytes - at);
    return at >= bytes;
}

// Whether text is the beginning of a character whose remaining bytes are still to come.
static bool goes_on(const char *text, size_t bytes)
{
    return character_bytes((unsigned char)text[0]) > bytes && utf8_part(text, bytes) == bytes;
}

size_t utf8_next(const char *text, size_t bytes, bool last, bool *good)
{
    size_t length = utf8_length(text, bytes);
    *good = length > 0;
    if (length) return length;
    return !last && goes_on(text, bytes) ? 0 : utf8_part(text, bytes);
}

size_t utf8_mark(const char *text, size_t bytes) { return bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; }
