// Compiled pipelines on disk, in the user's cache folder, keyed by the driver's own UUID. A damaged file is ignored.
#ifndef VKGPT_GPU_PIPELINE_CACHE_H
#define VKGPT_GPU_PIPELINE_CACHE_H

#include "gpu/device.h"

int pipeline_cache_open(vkgpt_device *device, vkgpt_error *err);
void pipeline_cache_close(vkgpt_device *device); // writes it if it has grown

#endif
