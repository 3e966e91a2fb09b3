#include "gpu/device.h"

#include <stdlib.h>

void *device_alloc(vkgpt_device *device, size_t count, size_t size)
{
    device->host_allocations++;
    return calloc(count ? count : 1, size);
}

const vkgpt_device_info *vkgpt_device_describe(const vkgpt_device *device) { return &device->info; }
