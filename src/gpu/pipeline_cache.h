// Compiled pipelines on disk, in the user's cache folder, keyed by the driver's own UUID. A damaged file is ignored.
#ifndef VKGPT_GPU_PIPELINE_CACHE_H
#define VKGPT_GPU_PIPELINE_CACHE_H

#include "gpu/device.h"

#define PIPELINE_CACHE_HEADER 16 // bytes

// Checks a file. Returns the driver's data in it and their size; NULL: it is damaged, or of another device or driver.
const uint8_t *pipeline_cache_data(const VkPhysicalDeviceProperties *device, const char *file, size_t bytes,
                                   size_t *data_bytes);
// Writes the header that precedes the driver's data in a file.
void pipeline_cache_seal(const uint8_t *data, size_t bytes, char header[PIPELINE_CACHE_HEADER]);

int pipeline_cache_open(vkgpt_device *device, vkgpt_error *err);
void pipeline_cache_close(vkgpt_device *device); // writes it if it has grown

#endif
