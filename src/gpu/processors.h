// The number of processors of a device, each of which runs workgroups by itself: NVIDIA's streaming multiprocessors,
// AMD's compute units. Vulkan itself does not say.
#ifndef VKGPT_GPU_PROCESSORS_H
#define VKGPT_GPU_PROCESSORS_H

#include "gpu/vulkan.h"

// Asks VK_NV_shader_sm_builtins or VK_AMD_shader_core_properties; the caller says which of them the device has. 0: it
// has neither.
uint32_t processors_of(VkPhysicalDevice physical, bool nv, bool amd);

#endif
