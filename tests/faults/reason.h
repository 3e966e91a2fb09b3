// The part of the layer that offers VK_EXT_device_fault on a device without it: VKGPT_FAULT_REASON="TEXT", read when an
// instance is made, is the description that a lost device gives. It stands below layer.c, as limits.h does.
#ifndef TESTS_FAULTS_REASON_H
#define TESTS_FAULTS_REASON_H

#include <vulkan/vulkan.h>

// To be called with what comes next, once the instance is made; answers for it from then on.
PFN_vkGetInstanceProcAddr reason_of_instance(VkInstance instance, PFN_vkGetInstanceProcAddr get);
// Makes a device without the extension, of which what comes next knows nothing.
VkResult reason_create_device(PFN_vkCreateDevice create, VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                              const VkAllocationCallbacks *a, VkDevice *device);
// To be called with what comes next, once the device is made; answers for it from then on.
PFN_vkGetDeviceProcAddr reason_of_device(PFN_vkGetDeviceProcAddr get);

#endif
