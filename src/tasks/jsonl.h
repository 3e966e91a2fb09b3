// Files with one JSON object per line, plain or compressed by gzip; the first bytes of the file tell which.
#ifndef VKGPT_TASKS_JSONL_H
#define VKGPT_TASKS_JSONL_H

#include "base/json.h"

#define JSONL_MAX_BYTES ((size_t)256 << 20) // of a file, packed and unpacked
#define JSONL_MAX_RATIO 100                 // of unpacked to packed bytes, beyond the first MiB; texts have 3 to 10
#define JSONL_MAX_LINE ((size_t)16 << 20)

// Calls on_object for each line that is not blank, in order; the object is freed after the call. If on_object returns
// anything but 0, reading ends and returns it. Errors (VKGPT_BAD_FILE) name the file, and the line as "FILE:LINE".
int jsonl_read(const char *path,
               int (*on_object)(void *user, const struct Json *object, const char *where, vkgpt_error *err), void *user,
               vkgpt_error *err);

#endif
