// Error sentences: every failing function ends in `return fail(err, CODE, "...", ...)`.
#ifndef VKGPT_BASE_ERROR_H
#define VKGPT_BASE_ERROR_H

#include "vkgpt.h"

// Fills err (which may be NULL) and returns code, which is never VKGPT_OK.
__attribute__((format(printf, 3, 4), cold)) int fail(vkgpt_error *err, vkgpt_code code, const char *format, ...);

// Replaces control characters by question marks: names in files may hold anything, also what moves a terminal's cursor.
// fail() does this to its sentences; call it for sentences that are not errors.
void clean_sentence(char *text);

// The usual sentence for a host allocation that failed; bytes 0: the size is unknown.
int fail_memory(vkgpt_error *err, const char *what, size_t bytes);

#endif
