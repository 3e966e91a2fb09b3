// A growing text.
#ifndef VKGPT_TEXT_BUFFER_H
#define VKGPT_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct TextBuffer { // zeroed is empty
    char *data;
    size_t bytes, capacity;
};

// Makes room for `bytes` more. All three return false if there is no memory.
bool text_room(struct TextBuffer *text, size_t bytes);
bool text_add(struct TextBuffer *text, const char *data, size_t bytes);
// Adds a character (characters.h).
bool text_put(struct TextBuffer *text, int32_t character);
void text_free(struct TextBuffer *text);

#endif
