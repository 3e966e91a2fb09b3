// A growing array of bytes. Without host memory a buffer is `failed`: it keeps what it has and takes no more, so that a
// function adds all it has to add and looks once, at the end. Whoever takes a buffer from another function looks too.
#ifndef VKGPT_TASKS_BUFFER_H
#define VKGPT_TASKS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "vkgpt.h"

struct Buffer {
    char *data; // a NUL follows the bytes, once something was added
    size_t bytes, capacity;
    bool failed; // something is missing: there was no memory for it
};

void buffer_reserve(struct Buffer *buffer, size_t bytes); // makes room for this many more
void buffer_add(struct Buffer *buffer, const void *data, size_t bytes);
void buffer_text(struct Buffer *buffer, const char *text);
// Adds what printf would print, at most 511 bytes of it.
__attribute__((format(printf, 2, 3))) void buffer_format(struct Buffer *buffer, const char *format, ...);
void buffer_drop(struct Buffer *buffer, size_t bytes); // removes the first ones
void buffer_cut(struct Buffer *buffer, size_t bytes);  // removes all after the first ones
void buffer_free(struct Buffer *buffer);
// VKGPT_OUT_OF_MEMORY with a sentence for a buffer that is failed; `what` is what it holds. 0 for any other.
int buffer_check(const struct Buffer *buffer, const char *what, vkgpt_error *err);

// Called when there is no host memory for this many bytes, unless it is NULL. `vkgpt` puts a function here that prints
// a sentence and exits with 1, so that a command need not look at its buffers; `vkgpt serve` takes it out, and looks.
extern void (*buffer_no_memory)(size_t bytes);

// malloc and realloc that never return NULL: without memory and without buffer_no_memory they abort.
void *allocate(size_t bytes);
void *reallocate(void *old, size_t bytes);

#endif
