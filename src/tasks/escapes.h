// Backslash escapes in a text, as llama.cpp reads them.
#ifndef VKGPT_TASKS_ESCAPES_H
#define VKGPT_TASKS_ESCAPES_H

#include <stddef.h>

#include "tasks/buffer.h"

// Replaces \n \r \t \' \" \\ \xHH in place; any other backslash stays. Returns the bytes left, at most `bytes`.
size_t escapes_replace(char *text, size_t bytes);
// The same for a buffer.
void escapes_replace_in(struct Buffer *text);

#endif
