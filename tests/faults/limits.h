// The part of the layer that says less of a device than it has: VKGPT_LIMITS="invocations=256 buffers=8
// memory=uncached", read when an instance is made. It stands below layer.c, which asks these two instead of what comes
// next.
#ifndef TESTS_FAULTS_LIMITS_H
#define TESTS_FAULTS_LIMITS_H

#include <vulkan/vulkan.h>

// To be called with what comes next, once the instance is made; answers for it from then on.
PFN_vkGetInstanceProcAddr limits_of_instance(VkInstance instance, PFN_vkGetInstanceProcAddr get);
PFN_vkGetDeviceProcAddr limits_of_device(VkDevice device, PFN_vkGetDeviceProcAddr get);

#endif
