// Opening a device.
#ifndef VKGPT_GPU_DEVICE_OPEN_H
#define VKGPT_GPU_DEVICE_OPEN_H

#include "gpu/device.h"

// The layouts that every pipeline is made with; a part of opening a device.
int device_make_layouts(vkgpt_device *device, vkgpt_error *err);

#endif
