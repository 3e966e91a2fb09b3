// volk, and how a VkResult becomes a sentence.
#ifndef VKGPT_GPU_VULKAN_H
#define VKGPT_GPU_VULKAN_H

#ifndef VK_NO_PROTOTYPES
#define VK_NO_PROTOTYPES
#endif
#include <volk.h>

#include "base/error.h"

const char *vk_result_name(VkResult result);

// Fills err with what was being done and what Vulkan said; the code is VKGPT_OUT_OF_MEMORY, VKGPT_DEVICE_LOST,
// VKGPT_DEVICE_HUNG or VKGPT_NO_DEVICE.
int vk_fail(vkgpt_error *err, VkResult result, const char *doing);

#endif
