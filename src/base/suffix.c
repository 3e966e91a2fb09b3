#include "base/suffix.h"

#include <string.h>

bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool has_extension(const char *path, const char *extension)
{
    return ends_with(path, extension) && strlen(path) > strlen(extension);
}
