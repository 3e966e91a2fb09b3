#include "text/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "text/characters.h"

bool text_room(struct TextBuffer *text, size_t bytes)
{
    if (text->capacity - text->bytes >= bytes) return true;
    if (bytes > SIZE_MAX / 4 || text->bytes > SIZE_MAX / 4) return false;
    size_t capacity = (text->bytes + bytes) * 2;
    char *wider = realloc(text->data, capacity);
    if (!wider) return false;
    text->data = wider;
    text->capacity = capacity;
    return true;
}

bool text_add(struct TextBuffer *text, const char *data, size_t bytes)
{
    if (!text_room(text, bytes)) return false;
    if (bytes) memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
    return true;
}

bool text_put(struct TextBuffer *text, int32_t character)
{
    if (!text_room(text, 4)) return false;
    text->bytes += characters_put(text->data + text->bytes, character);
    return true;
}

void text_free(struct TextBuffer *text)
{
    free(text->data);
    *text = (struct TextBuffer){0};
}
