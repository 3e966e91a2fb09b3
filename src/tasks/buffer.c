#include "tasks/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void (*buffer_no_memory)(size_t bytes);

static void *try_reallocate(void *old, size_t bytes)
{
    void *data = realloc(old, bytes ? bytes : 1);
    if (!data && buffer_no_memory) buffer_no_memory(bytes);
    return data;
}

void *reallocate(void *old, size_t bytes)
{
    void *data = try_reallocate(old, bytes);
    if (!data) abort();
    return data;
}

void *allocate(size_t bytes) { return reallocate(NULL, bytes); }

void buffer_reserve(struct Buffer *buffer, size_t bytes)
{
    if (buffer->failed) return;
    char *data = try_reallocate(buffer->data, buffer->bytes + bytes + 1);
    buffer->failed = !data;
    if (!data) return;
    buffer->data = data;
    buffer->capacity = buffer->bytes + bytes + 1;
}

void buffer_add(struct Buffer *buffer, const void *data, size_t bytes)
{
    // a buffer that is filled once gets no more than it needs: there are many such buffers
    size_t more = buffer->data ? buffer->bytes / 2 + 64 : 0;
    if (buffer->capacity - buffer->bytes <= bytes) buffer_reserve(buffer, bytes + more);
    if (buffer->failed) return;
    if (bytes) memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
    buffer->data[buffer->bytes] = '\0';
}

void buffer_text(struct Buffer *buffer, const char *text) { buffer_add(buffer, text, strlen(text)); }

void buffer_format(struct Buffer *buffer, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_text(buffer, text);
}

void buffer_drop(struct Buffer *buffer, size_t bytes)
{
    if (!bytes) return;
    buffer->bytes -= bytes;
    memmove(buffer->data, buffer->data + bytes, buffer->bytes + 1);
}

void buffer_cut(struct Buffer *buffer, size_t bytes)
{
    if (bytes >= buffer->bytes) return;
    buffer->bytes = bytes;
    buffer->data[bytes] = '\0';
}

void buffer_free(struct Buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct Buffer){0};
}

int buffer_check(const struct Buffer *buffer, const char *what, vkgpt_error *err)
{
    return buffer->failed ? fail_memory(err, what, 0) : 0;
}
