#include "tasks/blanks.h"

#include <stdbool.h>
#include <utf8proc.h>

static bool is_blank(utf8proc_int32_t c)
{
    if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
    utf8proc_category_t category = utf8proc_category(c);
    return c == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
}

// Bytes of the blank that begins here, or 0.
static size_t blank_length(const char *text, size_t bytes)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        bytes ? utf8proc_iterate((const utf8proc_uint8_t *)text, bytes < 4 ? (utf8proc_ssize_t)bytes : 4, &c) : 0;
    return n > 0 && is_blank(c) ? (size_t)n : 0;
}

size_t blanks_at_start(const char *text, size_t bytes)
{
    size_t at = 0;
    for (size_t n; (n = blank_length(text + at, bytes - at)) > 0; at += n) continue;
    return at;
}

size_t blanks_at_end(const char *text, size_t bytes)
{
    size_t end = bytes;
    for (size_t n = 1; n <= 4 && n <= end;) { // a blank of n bytes
        if (blank_length(text + end - n, n) == n) end -= n, n = 1;
        else n++;
    }
    return bytes - end;
}
