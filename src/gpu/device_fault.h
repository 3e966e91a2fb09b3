// VK_EXT_device_fault: what a driver says about the loss of its device.
#ifndef VKGPT_GPU_DEVICE_FAULT_H
#define VKGPT_GPU_DEVICE_FAULT_H

#include "gpu/device.h"

bool device_fault_offered(VkPhysicalDevice physical); // of a device that has the extension

// Adds to the sentence about a lost device what the driver says: its description, and of the addresses and the vendor's
// codes the first ones. Adds nothing where the extension is not enabled or the driver says nothing.
void device_fault_add(const vkgpt_device *device, vkgpt_error *err);

#endif
