#define _GNU_SOURCE // mkdtemp, memmem
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static void remove_dir(void)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') unlink(fuzz_path(e->d_name));
    if (d) closedir(d);
    rmdir(dir);
}

const char *fuzz_dir(void)
{
    static const char *const places[] = {"/dev/shm/vkgpt-fuzz-XXXXXX", "/tmp/vkgpt-fuzz-XXXXXX"};
    for (int i = 0; i < 2 && !*dir; i++) {
        strcpy(dir, places[i]);
        if (!mkdtemp(dir)) *dir = '\0';
        else atexit(remove_dir);
    }
    if (!*dir) abort();
    return dir;
}

const char *fuzz_path(const char *name)
{
    static char paths[4][sizeof dir + 256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", fuzz_dir(), name);
    return path;
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t size)
{
    const char *path = fuzz_path(name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) abort();
    return path;
}

void fuzz_files(const uint8_t *data, size_t size, const char *const *names)
{
    for (const char *const *name = names; *name; name++) unlink(fuzz_path(*name));
    const uint8_t *at = memchr(data, 0x1d, size), *end = data + size;
    while (at) {
        const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
        if (!line) return;
        const uint8_t *next = memchr(line, 0x1d, (size_t)(end - line));
        size_t length = (size_t)(line - at - 1);
        for (const char *const *name = names; *name; name++)
            if (strlen(*name) == length && memcmp(*name, at + 1, length) == 0)
                fuzz_file(*name, line + 1, (size_t)((next ? next : end) - line - 1));
        at = next;
    }
}

void fuzz_check(int code, const vkgpt_error *err)
{
    if (!code) return;
    size_t length = strnlen(err->text, sizeof err->text);
    bool good = length > 0 && length < sizeof err->text && err->code == (vkgpt_code)code;
    for (size_t i = 0; i < length; i++) good &= (unsigned char)err->text[i] >= ' ' && err->text[i] != 127;
    if (good) return;
    fprintf(stderr, "code %d with the sentence: %s\n", code, err->text);
    abort();
}
