// Device memory: a few large blocks, cut into slices. A slice is what a kernel binds: a range of a buffer, aligned
// and no longer than the device lets a kernel see.
#ifndef VKGPT_GPU_MEMORY_H
#define VKGPT_GPU_MEMORY_H

#include "gpu/device.h"

struct Slice {
    VkBuffer buffer;
    VkDeviceSize offset, bytes;
    uint8_t *host;    // its address on the host, or NULL
    uint64_t address; // its address for kernels that take addresses; 0: the device has none
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
// The bytes that a slice of this size takes up in a block.
VkDeviceSize memory_aligned(const vkgpt_device *device, VkDeviceSize bytes);
// Bytes that the device-local heap still offers: its budget where the driver reports one, else its size. For a
// software driver: the free memory of the machine.
enum MemorySource { MEMORY_OF_HOST, MEMORY_OF_BUDGET, MEMORY_OF_HEAP };
enum MemorySource memory_source(const vkgpt_device *device);
uint64_t memory_available(const vkgpt_device *device);

// Errors: VKGPT_OUT_OF_MEMORY, with the bytes needed and available. `what` names the thing for the sentence.
int pool_slice(vkgpt_device *device, struct Pool *pool, VkDeviceSize bytes, const char *what, struct Slice *slice,
               vkgpt_error *err);
void pool_free(vkgpt_device *device, struct Pool *pool);
uint64_t pool_bytes(const struct Pool *pool); // of all its blocks

#endif
