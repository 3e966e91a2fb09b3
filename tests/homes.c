#define _POSIX_C_SOURCE 200809L
#include "homes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"

static const char *const NAMES[] = {"HOME", "XDG_CACHE_HOME"};
static char *kept[2];

static void set(const char *name, const char *value)
{
    if (value) setenv(name, value, 1);
    else unsetenv(name);
}

void home_set(int which, const char *dir)
{
    static const char *const homes[HOMES] = {NULL, "/dev/null", "/proc", "relative", "/"};
    char file[DIR_BYTES + 16];
    for (int i = 0; i < 2; i++) kept[i] = getenv(NAMES[i]) ? strdup(getenv(NAMES[i])) : NULL;
    file_write(dir, "no-folder", "", 0);
    snprintf(file, sizeof file, "%s/no-folder", dir);
    set(NAMES[0], homes[which]);
    set(NAMES[1], which == HOMES - 1 ? file : NULL);
}

void home_restore(void)
{
    for (int i = 0; i < 2; i++) {
        set(NAMES[i], kept[i]);
        free(kept[i]);
        kept[i] = NULL;
    }
}
