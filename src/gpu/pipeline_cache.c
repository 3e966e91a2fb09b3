#include "gpu/pipeline_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#define CACHE_LIMIT ((size_t)64 << 20)
#define CACHE_MAGIC "vkgptpc1"

// Precedes Vulkan's own data in the file: drivers check less than they should.
struct CacheHeader {
    char magic[8];
    uint64_t sum; // FNV-1a of the data
};

static uint64_t checksum(const uint8_t *data, size_t bytes)
{
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++) sum = (sum ^ data[i]) * 1099511628211u;
    return sum;
}

static bool cache_path(const vkgpt_device *device, char *path, size_t size)
{
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    char dir[3072], uuid[2 * VK_UUID_SIZE + 1];
    if (!os_cache_dir(dir, sizeof dir)) return false;
    for (unsigned i = 0; i < VK_UUID_SIZE; i++) snprintf(uuid + 2 * i, 3, "%02x", properties.pipelineCacheUUID[i]);
    return snprintf(path, size, "%s/pipelines-%08x-%s.bin", dir, properties.deviceID, uuid) < (int)size;
}

int pipeline_cache_open(vkgpt_device *device, vkgpt_error *err)
{
    char path[4096], *data = NULL;
    size_t bytes = 0;
    struct CacheHeader header;
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    if (cache_path(device, path, sizeof path) && os_exists(path) &&
        !os_read_file(path, CACHE_LIMIT, &data, &bytes, NULL) && bytes > sizeof header) {
        memcpy(&header, data, sizeof header);
        const uint8_t *cached = (uint8_t *)data + sizeof header;
        if (!memcmp(header.magic, CACHE_MAGIC, 8) && header.sum == checksum(cached, bytes - sizeof header)) {
            info.initialDataSize = bytes - sizeof header;
            info.pInitialData = cached;
        }
    }
    VkResult result = device->vk.vkCreatePipelineCache(device->handle, &info, NULL, &device->pipeline_cache);
    if (result && info.initialDataSize) { // a driver may refuse its own data
        info.initialDataSize = 0;
        result = device->vk.vkCreatePipelineCache(device->handle, &info, NULL, &device->pipeline_cache);
    }
    device->pipeline_cache_bytes = info.initialDataSize;
    free(data);
    return result ? vk_fail(err, result, "creating the pipeline cache") : VKGPT_OK;
}

static void save(vkgpt_device *device)
{
    char path[4096];
    size_t bytes = 0;
    if (device->vk.vkGetPipelineCacheData(device->handle, device->pipeline_cache, &bytes, NULL) || !bytes) return;
    if (bytes == device->pipeline_cache_bytes || bytes > CACHE_LIMIT || !cache_path(device, path, sizeof path)) return;
    uint8_t *file = malloc(sizeof(struct CacheHeader) + bytes);
    if (!file) return;
    if (!device->vk.vkGetPipelineCacheData(device->handle, device->pipeline_cache, &bytes,
                                           file + sizeof(struct CacheHeader))) {
        struct CacheHeader header = {.sum = checksum(file + sizeof header, bytes)};
        memcpy(header.magic, CACHE_MAGIC, 8);
        memcpy(file, &header, sizeof header);
        char *slash = strrchr(path, '/');
        *slash = 0;
        bool there = !os_make_dirs(path);
        *slash = '/';
        if (there) os_write(path, file, sizeof header + bytes, NULL); // a cache: failing to write it costs time only
    }
    free(file);
}

void pipeline_cache_close(vkgpt_device *device)
{
    if (!device->pipeline_cache) return;
    save(device);
    device->vk.vkDestroyPipelineCache(device->handle, device->pipeline_cache, NULL);
}
