#include "tasks/utf8_stream.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

// Writes the pending characters that are complete, and U+FFFD for each part that is not a character.
static void utf8_settle(struct Utf8 *utf8, bool last, struct Buffer *out)
{
    while (utf8->have) {
        bool good;
        size_t length = utf8_next(utf8->pending, utf8->have, last, &good);
        if (!length) return;
        if (good) buffer_add(out, utf8->pending, length);
        else buffer_text(out, UTF8_REPLACEMENT);
        utf8->have -= length;
        memmove(utf8->pending, utf8->pending + length, utf8->have);
    }
}

void utf8_add(struct Utf8 *utf8, const char *bytes, size_t count, struct Buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        utf8->pending[utf8->have++] = bytes[i];
        utf8_settle(utf8, false, out);
    }
}

void utf8_end(struct Utf8 *utf8, struct Buffer *out) { utf8_settle(utf8, true, out); }

static void json_character(struct Buffer *out, unsigned char c)
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    for (int i = 0; named[i]; i++) {
        if (c != (unsigned char)named[i]) continue;
        buffer_add(out, (char[]){'\\', letters[i]}, 2);
        return;
    }
    if (c >= 0x20 && c != 0x7F) {
        buffer_add(out, &c, 1);
        return;
    }
    buffer_format(out, "\\u%04x", c);
}

char *utf8_json(const char *bytes, size_t count)
{
    struct Buffer whole = {0}, json = {0};
    struct Utf8 utf8 = {0};
    utf8_add(&utf8, bytes, count, &whole);
    utf8_end(&utf8, &whole);
    buffer_text(&json, "\"");
    for (size_t i = 0; i < whole.bytes; i++) json_character(&json, (unsigned char)whole.data[i]);
    buffer_text(&json, "\"");
    if (whole.failed || json.failed) buffer_free(&json);
    buffer_free(&whole);
    return json.data;
}
