// SPIR-V that asks for more than the compiler wrote into it: what only some devices offer, so that one module of a
// kernel serves all.
#ifndef VKGPT_GPU_MODULE_H
#define VKGPT_GPU_MODULE_H

#include "gpu/vulkan.h"

struct ModuleAsk {
    uint32_t capability;    // 0: none
    char extension[40];     // padded with zeros to whole words; "": none
    uint32_t mode, operand; // an execution mode of the entry point; operand 0: it has none
};

// A copy of a module that asks for `count` things more; NULL: out of memory. `bytes` is the size of the module, and
// becomes the copy's.
uint32_t *module_ask(const uint32_t *words, size_t *bytes, const struct ModuleAsk *asks, uint32_t count);

#endif
