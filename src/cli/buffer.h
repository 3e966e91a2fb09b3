// Bytes that grow. Running out of memory ends the program with a sentence.
#ifndef VKGPT_CLI_BUFFER_H
#define VKGPT_CLI_BUFFER_H

#include <stddef.h>

struct Buffer {
    char *data; // a NUL stands behind the bytes, once something was added
    size_t bytes, capacity;
};

void buffer_reserve(struct Buffer *buffer, size_t bytes); // room for so many more, at once
void buffer_add(struct Buffer *buffer, const void *data, size_t bytes);
void buffer_text(struct Buffer *buffer, const char *text);
void buffer_drop(struct Buffer *buffer, size_t bytes); // the first ones
void buffer_cut(struct Buffer *buffer, size_t bytes);  // all behind the first ones
void buffer_free(struct Buffer *buffer);

// malloc and realloc that end the program with a sentence.
void *allocate(size_t bytes);
void *reallocate(void *old, size_t bytes);

#endif
