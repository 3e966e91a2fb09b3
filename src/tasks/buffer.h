// A growing array of bytes. None of these functions fails: without host memory they call buffer_no_memory.
#ifndef VKGPT_TASKS_BUFFER_H
#define VKGPT_TASKS_BUFFER_H

#include <stddef.h>

struct Buffer {
    char *data; // a NUL follows the bytes, once something was added
    size_t bytes, capacity;
};

void buffer_reserve(struct Buffer *buffer, size_t bytes); // makes room for this many more
void buffer_add(struct Buffer *buffer, const void *data, size_t bytes);
void buffer_text(struct Buffer *buffer, const char *text);
// Adds what printf would print, at most 511 bytes of it.
__attribute__((format(printf, 2, 3))) void buffer_format(struct Buffer *buffer, const char *format, ...);
void buffer_drop(struct Buffer *buffer, size_t bytes); // removes the first ones
void buffer_cut(struct Buffer *buffer, size_t bytes);  // removes all after the first ones
void buffer_free(struct Buffer *buffer);

// Called when there is no host memory for this many bytes; it must not return. It aborts, unless a program puts its own
// function here: that of `vkgpt` prints a sentence and exits with 1.
extern void (*buffer_no_memory)(size_t bytes);

// malloc and realloc that never return NULL.
void *allocate(size_t bytes);
void *reallocate(void *old, size_t bytes);

#endif
