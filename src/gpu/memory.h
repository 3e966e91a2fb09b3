// Device memory: a few large blocks, cut into slices. A slice is what a kernel binds: a range of a buffer, aligned
// and no longer than the device lets a kernel see.
#ifndef VKGPT_GPU_MEMORY_H
#define VKGPT_GPU_MEMORY_H

#include "gpu/device.h"

struct Slice {
    VkBuffer buffer;
    VkDeviceSize offset, bytes;
    uint8_t *host;    // where the host sees it, or NULL
    uint64_t address; // where kernels see it that take addresses; 0: the device has none
};

enum MemoryKind {
    MEMORY_DEVICE, // device-local; mapped too where host and device share memory
    MEMORY_UPLOAD, // the host writes, the device reads
    MEMORY_READ,   // the device writes, the host reads: host-cached
};

struct Block {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceSize bytes, used;
    uint8_t *host;
    uint64_t address;
};

// A set of blocks of one kind that live and die together: a model's weights, a session's buffers.
struct Pool {
    enum MemoryKind kind;
    VkDeviceSize block_bytes; // of a new block, when a slice asks for less
    struct Block *blocks;
    uint32_t count, capacity;
};

// The largest slice that one kernel can see, rounded down to its alignment.
VkDeviceSize memory_max_slice(const vkgpt_device *device);
// What a slice of so many bytes takes up in a block.
VkDeviceSize memory_aligned(const vkgpt_device *device, VkDeviceSize bytes);
// Bytes that the device-local heap still offers: its budget where the driver tells, else its size; the machine's free
// memory for a software driver.
enum MemorySource { MEMORY_OF_HOST, MEMORY_OF_BUDGET, MEMORY_OF_HEAP };
enum MemorySource memory_source(const vkgpt_device *device);
uint64_t memory_available(const vkgpt_device *device);

// Errors: VKGPT_OUT_OF_MEMORY, with bytes needed and bytes there. `what` names the thing.
int pool_slice(vkgpt_device *device, struct Pool *pool, VkDeviceSize bytes, const char *what, struct Slice *slice,
               vkgpt_error *err);
void pool_free(vkgpt_device *device, struct Pool *pool);
uint64_t pool_bytes(const struct Pool *pool); // that its blocks hold

#endif
