// Buffers that kernels read as texels of 128 bits, on a software driver. For a load from a storage buffer lavapipe
// makes a loop over the lanes of a subgroup, some 45 instructions a lane; texels it loads for all lanes together. So
// there a descriptor set names each buffer twice: in binding n as a storage buffer, in binding MAX_BUFFERS + n as
// texels. Only the variants TEXELS of kernels read these (common.glsl).
#ifndef VKGPT_GPU_TEXELS_H
#define VKGPT_GPU_TEXELS_H

#include "gpu/device.h"

// Whether every buffer that the device can have may be read so. SwiftShader has too few texels.
bool texels_reach(const vkgpt_device *device, const VkPhysicalDeviceLimits *limits);
// Writes the buffers of a set as texels too, and makes a view of each.
VkResult texels_write(vkgpt_device *device, VkDescriptorSet set, const VkDescriptorBufferInfo *buffers, uint32_t count,
                      VkBufferView *views);

#endif
