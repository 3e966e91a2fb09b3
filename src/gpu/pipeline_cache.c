#include "gpu/pipeline_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/os.h"

#define CACHE_LIMIT ((size_t)64 << 20)
#define CACHE_MAGIC "vkgptpc1"

// Precedes Vulkan's own data in the file: drivers check less than they should.
struct CacheHeader {
    char magic[8];
    uint64_t sum; // FNV-1a of the data
};

_Static_assert(sizeof(struct CacheHeader) == PIPELINE_CACHE_HEADER, "without padding");

void pipeline_cache_seal(const uint8_t *data, size_t bytes, char header[PIPELINE_CACHE_HEADER])
{
    struct CacheHeader own = {.sum = fnv_add(FNV_START, data, bytes)};
    memcpy(own.magic, CACHE_MAGIC, sizeof own.magic);
    memcpy(header, &own, sizeof own);
}

// Vulkan's own header: a file may have been copied from another machine.
static bool is_of(const VkPhysicalDeviceProperties *device, const uint8_t *data, size_t bytes)
{
    VkPipelineCacheHeaderVersionOne one;
    if (bytes < sizeof one) return false;
    memcpy(&one, data, sizeof one);
    return one.headerSize == sizeof one && one.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
           one.vendorID == device->vendorID && one.deviceID == device->deviceID &&
           !memcmp(one.pipelineCacheUUID, device->pipelineCacheUUID, VK_UUID_SIZE);
}

const uint8_t *pipeline_cache_data(const VkPhysicalDeviceProperties *device, const char *file, size_t bytes,
                                   size_t *data_bytes)
{
    char wanted[PIPELINE_CACHE_HEADER];
    if (bytes < sizeof wanted) return NULL;
    const uint8_t *data = (const uint8_t *)file + sizeof wanted;
    *data_bytes = bytes - sizeof wanted;
    pipeline_cache_seal(data, *data_bytes, wanted);
    return !memcmp(file, wanted, sizeof wanted) && is_of(device, data, *data_bytes) ? data : NULL;
}

static bool cache_path(const VkPhysicalDeviceProperties *device, char *path, size_t size)
{
    char dir[3072], uuid[2 * VK_UUID_SIZE + 1];
    if (!os_cache_dir(dir, sizeof dir)) return false;
    for (unsigned i = 0; i < VK_UUID_SIZE; i++) snprintf(uuid + 2 * i, 3, "%02x", device->pipelineCacheUUID[i]);
    return snprintf(path, size, "%s/pipelines-%08x-%s.bin", dir, device->deviceID, uuid) < (int)size;
}

int pipeline_cache_open(vkgpt_device *device, vkgpt_error *err)
{
    char path[4096], *file = NULL;
    size_t bytes = 0, data_bytes = 0;
    VkPhysicalDeviceProperties properties;
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    if (cache_path(&properties, path, sizeof path) && os_exists(path) &&
        !os_read_file(path, CACHE_LIMIT, &file, &bytes, NULL)) {
        info.pInitialData = pipeline_cache_data(&properties, file, bytes, &data_bytes);
        if (info.pInitialData) info.initialDataSize = data_bytes;
    }
    VkResult result = device->vk.vkCreatePipelineCache(device->handle, &info, NULL, &device->pipeline_cache);
    if (result && info.initialDataSize) { // a driver may refuse its own data
        info.initialDataSize = 0;
        result = device->vk.vkCreatePipelineCache(device->handle, &info, NULL, &device->pipeline_cache);
    }
    device->pipeline_cache_bytes = info.initialDataSize;
    free(file);
    return result ? vk_fail(err, result, "creating the pipeline cache") : VKGPT_OK;
}

static void save(vkgpt_device *device)
{
    char path[4096];
    size_t bytes = 0;
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(device->physical, &properties);
    if (device->vk.vkGetPipelineCacheData(device->handle, device->pipeline_cache, &bytes, NULL) || !bytes) return;
    if (bytes == device->pipeline_cache_bytes || bytes > CACHE_LIMIT || !cache_path(&properties, path, sizeof path))
        return;
    char *file = malloc(PIPELINE_CACHE_HEADER + bytes);
    if (!file) return;
    uint8_t *data = (uint8_t *)file + PIPELINE_CACHE_HEADER;
    if (!device->vk.vkGetPipelineCacheData(device->handle, device->pipeline_cache, &bytes, data)) {
        pipeline_cache_seal(data, bytes, file);
        char *slash = strrchr(path, '/');
        *slash = 0;
        bool there = !os_make_dirs(path);
        *slash = '/';
        // a cache: failing to write it costs time only
        if (there) os_write(path, file, PIPELINE_CACHE_HEADER + bytes, NULL);
    }
    free(file);
}

void pipeline_cache_close(vkgpt_device *device)
{
    if (!device->pipeline_cache) return;
    save(device);
    device->vk.vkDestroyPipelineCache(device->handle, device->pipeline_cache, NULL);
}
