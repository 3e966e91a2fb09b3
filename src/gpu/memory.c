#include "gpu/memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#define DEFAULT_BLOCK ((VkDeviceSize)64 << 20)

static VkDeviceSize align_up(VkDeviceSize value, VkDeviceSize alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

static VkDeviceSize alignment(const vkgpt_device *device)
{
    return device->info.offset_alignment > 64 ? device->info.offset_alignment : 64; // a cache line, at least
}

VkDeviceSize memory_aligned(const vkgpt_device *device, VkDeviceSize bytes)
{
    return align_up(bytes, alignment(device));
}

VkDeviceSize memory_max_slice(const vkgpt_device *device)
{
    VkDeviceSize most = device->info.max_buffer_range;
    if (device->info.max_allocation < most) most = device->info.max_allocation;
    return most / alignment(device) * alignment(device);
}

enum MemorySource memory_source(const vkgpt_device *device)
{
    if (device->software) return MEMORY_OF_HOST; // the heap that such a driver reports is made up
    return device->info.memory_budget ? MEMORY_OF_BUDGET : MEMORY_OF_HEAP;
}

uint64_t memory_available(const vkgpt_device *device)
{
    enum MemorySource source = memory_source(device);
    if (source == MEMORY_OF_HOST) return os_free_memory();
    if (source == MEMORY_OF_HEAP) return device->info.memory_bytes;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                .pNext = &budget};
    vkGetPhysicalDeviceMemoryProperties2(device->physical, &memory);
    uint64_t most = 0;
    for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; i++) {
        if (!(memory.memoryProperties.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT)) continue;
        uint64_t free_bytes =
            budget.heapBudget[i] > budget.heapUsage[i] ? budget.heapBudget[i] - budget.heapUsage[i] : 0;
        if (free_bytes > most) most = free_bytes;
    }
    return most;
}

// The first memory type that a buffer may use, with all of `wanted` and none of `unwanted`; -1: none.
static int find_type(const vkgpt_device *device, uint32_t allowed, VkMemoryPropertyFlags wanted,
                     VkMemoryPropertyFlags unwanted)
{
    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = device->memory.memoryTypes[i].propertyFlags;
        if ((allowed >> i & 1) && (flags & wanted) == wanted && !(flags & unwanted)) return (int)i;
    }
    return -1;
}

static int choose_type(const vkgpt_device *device, enum MemoryKind kind, uint32_t allowed)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                cached = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkMemoryPropertyFlags mapped = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    int type = -1;
    if (kind == MEMORY_DEVICE) {
        if (device->info.unified) type = find_type(device, allowed, local | mapped, 0);
        if (type < 0) type = find_type(device, allowed, local, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
        if (type < 0) type = find_type(device, allowed, local, 0);
        if (type < 0) type = find_type(device, allowed, 0, 0);
        return type;
    }
    if (kind == MEMORY_READ) type = find_type(device, allowed, mapped | cached, 0);
    if (type < 0) type = find_type(device, allowed, mapped, local);
    return type < 0 ? find_type(device, allowed, mapped, 0) : type;
}

static void block_free(vkgpt_device *device, struct Block *block)
{
    device->vk.vkDestroyBuffer(device->handle, block->buffer, NULL);
    device->vk.vkFreeMemory(device->handle, block->memory, NULL);
}

static uint64_t buffer_address(vkgpt_device *device, VkBuffer buffer)
{
    VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = buffer};
    return device->vk.vkGetBufferDeviceAddress(device->handle, &info);
}

static int block_create(vkgpt_device *device, enum MemoryKind kind, VkDeviceSize bytes, const char *what,
                        struct Block *block, vkgpt_error *err)
{
    *block = (struct Block){.bytes = bytes};
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage =
            VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
    };
    VkMemoryAllocateFlagsInfo addressed = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
        .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
    };
    if (device->addresses) info.usage |= VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
    if (device->texels) info.usage |= VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT;
    VkMemoryRequirements needs = {0};
    VkResult result = device->vk.vkCreateBuffer(device->handle, &info, NULL, &block->buffer);
    if (!result) {
        device->vk.vkGetBufferMemoryRequirements(device->handle, block->buffer, &needs);
        int type = choose_type(device, kind, needs.memoryTypeBits);
        VkMemoryAllocateInfo allocate = {
            .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
            .pNext = device->addresses ? &addressed : NULL,
            .allocationSize = needs.size,
            .memoryTypeIndex = (uint32_t)type,
        };
        result = type < 0 ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                          : device->vk.vkAllocateMemory(device->handle, &allocate, NULL, &block->memory);
        device->device_allocations++;
        bool mappable =
            type >= 0 && (device->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
        if (!result) result = device->vk.vkBindBufferMemory(device->handle, block->buffer, block->memory, 0);
        if (!result && mappable && (kind != MEMORY_DEVICE || device->info.unified))
            result = device->vk.vkMapMemory(device->handle, block->memory, 0, VK_WHOLE_SIZE, 0, (void **)&block->host);
    }
    if (!result && device->addresses) block->address = buffer_address(device, block->buffer);
    if (!result) return VKGPT_OK;
    block_free(device, block);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return fail(err, VKGPT_OUT_OF_MEMORY, "%s: %llu bytes of device memory are needed, %s offers %llu", what,
                    (unsigned long long)bytes, device->info.name, (unsigned long long)memory_available(device));
    return vk_fail(err, result, what);
}

static int pool_grow(vkgpt_device *device, struct Pool *pool, VkDeviceSize bytes, const char *what, vkgpt_error *err)
{
    if (pool->count == pool->capacity) {
        uint32_t capacity = pool->capacity ? 2 * pool->capacity : 8;
        device->host_allocations++;
        struct Block *blocks = realloc(pool->blocks, capacity * sizeof *blocks);
        if (!blocks) return fail_memory(err, "the list of memory blocks", capacity * sizeof *blocks);
        pool->blocks = blocks;
        pool->capacity = capacity;
    }
    VkDeviceSize block = pool->block_bytes ? pool->block_bytes : DEFAULT_BLOCK;
    if (block > device->info.max_allocation) block = device->info.max_allocation;
    int status = block_create(device, pool->kind, bytes > block ? bytes : block, what, &pool->blocks[pool->count], err);
    if (!status) pool->count++;
    return status;
}

int pool_slice(vkgpt_device *device, struct Pool *pool, VkDeviceSize bytes, const char *what, struct Slice *slice,
               vkgpt_error *err)
{
    if (!bytes) bytes = 16;
    if (bytes > memory_max_slice(device))
        return fail(err, VKGPT_OUT_OF_MEMORY, "%s: %llu bytes in one buffer, %s takes %llu at most", what,
                    (unsigned long long)bytes, device->info.name, (unsigned long long)memory_max_slice(device));
    VkDeviceSize aligned = memory_aligned(device, bytes);
    uint32_t i = 0;
    while (i < pool->count && pool->blocks[i].bytes - pool->blocks[i].used < aligned) i++;
    if (i == pool->count) {
        int status = pool_grow(device, pool, aligned, what, err);
        if (status) return status;
    }
    struct Block *block = &pool->blocks[i];
    *slice = (struct Slice){block->buffer, block->used, bytes, block->host ? block->host + block->used : NULL,
                            block->address ? block->address + block->used : 0};
    block->used += aligned;
    return VKGPT_OK;
}

void pool_free(vkgpt_device *device, struct Pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) block_free(device, &pool->blocks[i]);
    free(pool->blocks);
    *pool = (struct Pool){.kind = pool->kind};
}

uint64_t pool_bytes(const struct Pool *pool)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < pool->count; i++) total += pool->blocks[i].bytes;
    return total;
}
