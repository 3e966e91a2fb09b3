// Bytes that grow. None of these functions fails: running out of host memory calls buffer_no_memory.
#ifndef VKGPT_TASKS_BUFFER_H
#define VKGPT_TASKS_BUFFER_H

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

// Called where there is no host memory for so many bytes; it must not return. It aborts, unless a program puts its own
// function here: `vkgpt` says a sentence and exits with 1.
extern void (*buffer_no_memory)(size_t bytes);

// malloc and realloc that never return NULL.
void *allocate(size_t bytes);
void *reallocate(void *old, size_t bytes);

#endif
