// Copies host data to device memory: directly where the two share memory, else through a ring of staging buffers. The
// host fills one piece of it while the device copies the one before.
#ifndef VKGPT_GPU_UPLOAD_H
#define VKGPT_GPU_UPLOAD_H

#include "gpu/recording.h"

#define UPLOAD_PIECES 2
#define UPLOAD_PIECE_BYTES ((VkDeviceSize)16 << 20)

struct Upload {
    vkgpt_device *device;
    struct Pool staging;
    struct Slice pieces[UPLOAD_PIECES];
    VkCommandBuffer commands[UPLOAD_PIECES];
    uint64_t submitted[UPLOAD_PIECES];
    uint32_t next;
};

void upload_begin(vkgpt_device *device, struct Upload *upload);
// Where to write the next `bytes` (at most UPLOAD_PIECE_BYTES) that belong at slice + offset.
int upload_reserve(struct Upload *upload, const struct Slice *slice, VkDeviceSize offset, VkDeviceSize bytes,
                   uint8_t **write, vkgpt_error *err);
// Says that they are written, and submits their copy where one is needed.
int upload_commit(struct Upload *upload, const struct Slice *slice, VkDeviceSize offset, VkDeviceSize bytes,
                  vkgpt_error *err);
int upload_end(struct Upload *upload, vkgpt_error *err); // waits for all; frees the ring, also after a failure

#endif
