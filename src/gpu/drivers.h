// Why no Vulkan driver loads: the manifests that the loader finds, and what it says about them.
#ifndef VKGPT_GPU_DRIVERS_H
#define VKGPT_GPU_DRIVERS_H

#include "gpu/vulkan.h"

// For when vkCreateInstance finds no driver, or no device is listed. Distinguishes a machine without a driver from one
// with a driver whose library does not load, or offers no device. Always fails, with VKGPT_NO_DEVICE.
int drivers_fail(const VkInstanceCreateInfo *info, vkgpt_error *err);

#endif
