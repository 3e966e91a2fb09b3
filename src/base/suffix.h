// The ends of names.
#ifndef VKGPT_BASE_SUFFIX_H
#define VKGPT_BASE_SUFFIX_H

#include <stdbool.h>

bool ends_with(const char *text, const char *end);
// The same for a file's extension, which needs a name before it: ".gguf" alone has none.
bool has_extension(const char *path, const char *extension);

#endif
