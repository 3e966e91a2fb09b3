// Names of files inside a checkpoint directory.
#ifndef VKGPT_MODEL_PATH_H
#define VKGPT_MODEL_PATH_H

#include <stdio.h>

#include "base/error.h"

#define PATH_BYTES 4096

// Writes dir/name into path (PATH_BYTES). Errors (VKGPT_BAD_FILE): the path is too long.
static inline int path_join(char *path, const char *dir, const char *name, vkgpt_error *err)
{
    int n = snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    if (n > 0 && n < PATH_BYTES) return 0;
    return fail(err, VKGPT_BAD_FILE, "%.200s...: a path of more than %d bytes", dir, PATH_BYTES - 1);
}

#endif
