// The parts of opening a device that tools/vendor_stats.c needs, which has a device that runs nothing.
#ifndef VKGPT_GPU_DEVICE_OPEN_H
#define VKGPT_GPU_DEVICE_OPEN_H

#include "gpu/device.h"

// Makes the logical device: needs instance, physical and info. It has all features that vkgpt uses and the device
// offers, and `extension` with the struct of its features besides, or NULL.
int device_make_logical(vkgpt_device *device, const char *extension, VkBaseOutStructure *feature, vkgpt_error *err);
// Makes the layouts that all pipelines share.
int device_make_layouts(vkgpt_device *device, vkgpt_error *err);

#endif
