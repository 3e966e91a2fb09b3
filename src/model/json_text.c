#include "model/json_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool room(struct JsonText *text, size_t bytes)
{
    if (text->capacity - text->bytes >= bytes) return true;
    size_t capacity = text->bytes + bytes + text->capacity / 2 + 256;
    char *data = realloc(text->data, capacity);
    if (!data) return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

bool json_text_add(struct JsonText *text, const char *characters)
{
    size_t bytes = strlen(characters);
    if (!room(text, bytes)) return false;
    memcpy(text->data + text->bytes, characters, bytes);
    text->bytes += bytes;
    return true;
}

static void put(struct JsonText *text, char c) { text->data[text->bytes++] = c; }

// A byte of a string; there is room for six.
static void put_escaped(struct JsonText *text, unsigned char c)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", as[] = "\"\\bfnrt";
    const char *at = c ? strchr(escaped, c) : NULL;
    if (at) {
        put(text, '\\');
        put(text, as[at - escaped]);
    } else if (c < ' ') {
        text->bytes += (size_t)sprintf(text->data + text->bytes, "\\u%04x", (unsigned)c);
    } else {
        put(text, (char)c);
    }
}

bool json_text_member(struct JsonText *text, const char *key, uint32_t number)
{
    char behind[16];
    bool first = text->bytes && text->data[text->bytes - 1] == '{';
    if (!room(text, 6 * strlen(key) + 8)) return false;
    if (!first) put(text, ',');
    put(text, '"');
    for (; *key; key++) put_escaped(text, (unsigned char)*key);
    put(text, '"');
    snprintf(behind, sizeof behind, ":%" PRIu32, number);
    return json_text_add(text, behind);
}

void json_text_free(struct JsonText *text)
{
    free(text->data);
    *text = (struct JsonText){0};
}
