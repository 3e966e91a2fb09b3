// Files of one JSON object per line, plain or compressed by gzip, which the file's first bytes tell.
#ifndef VKGPT_TASKS_JSONL_H
#define VKGPT_TASKS_JSONL_H

#include "base/json.h"

#define JSONL_MAX_BYTES ((size_t)256 << 20) // of a file, also unpacked
#define JSONL_MAX_RATIO 100 // of what is unpacked to what is packed, beyond the first MiB; texts have 3 to 10
#define JSONL_MAX_LINE ((size_t)16 << 20)

// Calls on_object for each line that is not blank, in order; its object is gone after the call. Anything but 0 from
// it ends the reading and is returned. Errors (VKGPT_BAD_FILE) name the file, and the line as "FILE:LINE".
int jsonl_read(const char *path,
               int (*on_object)(void *user, const struct Json *object, const char *where, vkgpt_error *err), void *user,
               vkgpt_error *err);

#endif
