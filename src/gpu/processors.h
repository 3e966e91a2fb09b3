// How many processors a device has, each of which runs workgroups on its own: NVIDIA's streaming multiprocessors, AMD's
// compute units. Vulkan itself does not say.
#ifndef VKGPT_GPU_PROCESSORS_H
#define VKGPT_GPU_PROCESSORS_H

#include "gpu/vulkan.h"

// By VK_NV_shader_sm_builtins or VK_AMD_shader_core_properties, of which the caller says whether the device has them;
// 0 where it has neither.
uint32_t processors_of(VkPhysicalDevice physical, bool nv, bool amd);

#endif
