// Sentences for what goes wrong: every failing function ends in `return fail(err, CODE, "...", ...)`.
#ifndef VKGPT_BASE_ERROR_H
#define VKGPT_BASE_ERROR_H

#include "vkgpt.h"

// Fills err (which may be NULL) and returns code, which is never VKGPT_OK.
__attribute__((format(printf, 3, 4), cold)) int fail(vkgpt_error *err, vkgpt_code code, const char *format, ...);

// What fail() does to its sentences, for those that are no errors: names in files may hold anything, and what moves a
// terminal's cursor, or ends the sentence, becomes a question mark.
void clean_sentence(char *text);

// The usual sentence for a host allocation that failed; bytes 0: nobody knows how many.
int fail_memory(vkgpt_error *err, const char *what, size_t bytes);

#endif
