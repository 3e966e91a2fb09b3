// A file of SPIR-V as words, for the tools that rewrite modules.
#ifndef TOOLS_SPIRV_FILE_H
#define TOOLS_SPIRV_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER = 5 }; // words of a module before its instructions

// NULL, or *count 0: the file cannot be read, or has no instruction.
static inline uint32_t *read_words(const char *path, uint32_t *count)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) return NULL;
    long bytes = ftell(file);
    rewind(file);
    *count = (uint32_t)(bytes / 4);
    uint32_t *words = bytes > HEADER * 4 ? malloc((size_t)bytes) : NULL;
    if (words && fread(words, 4, *count, file) != *count) *count = 0;
    fclose(file);
    return words;
}

static inline bool write_words(const char *path, const uint32_t *words, uint32_t count)
{
    FILE *file = fopen(path, "wb");
    return file && fwrite(words, 4, count, file) == count && !fclose(file);
}

#endif
