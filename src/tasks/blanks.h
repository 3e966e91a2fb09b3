// White space as Python's str.isspace() defines it, because lm-evaluation-harness strips it so: the white space of
// ASCII, no-break and wide spaces, the separators of lines and paragraphs. Bytes that are not UTF-8 are not blanks.
#ifndef VKGPT_TASKS_BLANKS_H
#define VKGPT_TASKS_BLANKS_H

#include <stddef.h>

size_t blanks_at_start(const char *text, size_t bytes); // bytes of the blanks that the text begins with
size_t blanks_at_end(const char *text, size_t bytes);   // bytes of the blanks that the text ends with

#endif
