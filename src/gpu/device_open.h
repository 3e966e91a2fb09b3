// Opening a device.
#ifndef VKGPT_GPU_DEVICE_OPEN_H
#define VKGPT_GPU_DEVICE_OPEN_H

#include "gpu/device.h"

// Makes the layouts that all pipelines share; a part of opening a device.
int device_make_layouts(vkgpt_device *device, vkgpt_error *err);

#endif
