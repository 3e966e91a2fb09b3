// The SPIR-V of every kernel, embedded at build time (tools/cmake/Shaders.cmake).
#ifndef VKGPT_GPU_SPIRV_H
#define VKGPT_GPU_SPIRV_H

#include <stddef.h>
#include <stdint.h>

struct Spirv {
    const char *name; // the stem of shaders/<name>.comp
    const uint32_t *words;
    size_t bytes;
};

extern const struct Spirv SPIRV_TABLE[]; // sorted by name
extern const size_t SPIRV_COUNT;

#endif
