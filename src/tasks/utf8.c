#include "tasks/utf8.h"

#include <stdbool.h>
#include <stdio.h>

static const char REPLACEMENT[] = "\xEF\xBF\xBD";

// Bytes of the character that starts with `first`; 0: no character does.
static int character_length(unsigned char first)
{
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return 2;
    if (first >= 0xE0 && first <= 0xEF) return 3;
    if (first >= 0xF0 && first <= 0xF4) return 4;
    return 0;
}

// Whether `byte` may stand behind what is pending: the second byte keeps out overlong forms, surrogates and what
// lies past U+10FFFF.
static bool continues(const struct Utf8 *utf8, unsigned char byte)
{
    unsigned char least = 0x80, most = 0xBF;
    if (utf8->have == 1) {
        switch (utf8->pending[0]) {
        case 0xE0: least = 0xA0; break;
        case 0xED: most = 0x9F; break;
        case 0xF0: least = 0x90; break;
        case 0xF4: most = 0x8F; break;
        default: break;
        }
    }
    return byte >= least && byte <= most;
}

void utf8_add(struct Utf8 *utf8, const char *bytes, size_t count, struct Buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (utf8->have && !continues(utf8, byte)) utf8_end(utf8, out); // and the byte starts anew
        if (!utf8->have) utf8->need = character_length(byte);
        if (!utf8->need) {
            buffer_text(out, REPLACEMENT);
            continue;
        }
        utf8->pending[utf8->have++] = byte;
        if (utf8->have < utf8->need) continue;
        buffer_add(out, utf8->pending, (size_t)utf8->have);
        utf8->have = 0;
    }
}

void utf8_end(struct Utf8 *utf8, struct Buffer *out)
{
    if (utf8->have) buffer_text(out, REPLACEMENT);
    utf8->have = 0;
}

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
    char escape[8];
    snprintf(escape, sizeof escape, "\\u%04x", c);
    buffer_text(out, escape);
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
    buffer_free(&whole);
    return json.data;
}
