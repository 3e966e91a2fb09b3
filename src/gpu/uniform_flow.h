// VK_KHR_shader_subgroup_uniform_control_flow: the lanes of a subgroup that enter a kernel together and branch alike go
// on together behind a branch that only some of them took. The kernels count on it: in a loop, a subgroup stores a
// result by a few of its lanes and adds up the next one by all. Without the extension Vulkan does not promise that;
// drivers do it.
#ifndef VKGPT_GPU_UNIFORM_FLOW_H
#define VKGPT_GPU_UNIFORM_FLOW_H

#include "gpu/vulkan.h"

bool uniform_flow_offered(VkPhysicalDevice physical); // of a device that has the extension

// A copy of a module that asks for it, or NULL: out of memory. `bytes` is the module's size, and becomes the copy's.
uint32_t *uniform_flow_module(const uint32_t *words, size_t *bytes);

#endif
