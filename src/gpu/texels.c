#include "gpu/texels.h"

#define VKGPT_C
#include "args.h"
#include "gpu/memory.h"

#define TEXEL 16 // bytes

bool texels_reach(const vkgpt_device *device, const VkPhysicalDeviceLimits *limits)
{
    return limits->maxTexelBufferElements >= memory_max_slice(device) / TEXEL &&
           device->info.offset_alignment % limits->minTexelBufferOffsetAlignment == 0 &&
           limits->maxPerStageDescriptorStorageImages >= MAX_BUFFERS;
}

VkResult texels_write(vkgpt_device *device, VkDescriptorSet set, const VkDescriptorBufferInfo *buffers, uint32_t count,
                      VkBufferView *views)
{
    VkResult result = VK_SUCCESS;
    for (uint32_t i = 0; !result && i < count; i++) {
        VkBufferViewCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO,
            .buffer = buffers[i].buffer,
            .format = VK_FORMAT_R32G32B32A32_UINT, // Vulkan requires that its texels can be stored and loaded
            .offset = buffers[i].offset,
            .range = (buffers[i].range + TEXEL - 1) / TEXEL * TEXEL, // the memory of a slice ends at such a multiple
        };
        result = device->vk.vkCreateBufferView(device->handle, &info, NULL, &views[i]);
    }
    VkWriteDescriptorSet write = {
        .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
        .dstSet = set,
        .dstBinding = MAX_BUFFERS,
        .descriptorCount = count,
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER,
        .pTexelBufferView = views,
    };
    if (!result) device->vk.vkUpdateDescriptorSets(device->handle, 1, &write, 0, NULL);
    return result;
}
