#include "gpu/upload.h"

void upload_begin(vkgpt_device *device, struct Upload *upload)
{
    *upload = (struct Upload){.device = device, .staging = {.kind = MEMORY_UPLOAD, .block_bytes = UPLOAD_PIECE_BYTES}};
}

// Staging is made on first use: never where host and device share memory.
static int make_piece(struct Upload *upload, uint32_t i, vkgpt_error *err)
{
    vkgpt_device *device = upload->device;
    int status = pool_slice(device, &upload->staging, UPLOAD_PIECE_BYTES, "staging weights", &upload->pieces[i], err);
    if (status) return status;
    VkCommandBufferAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = device->command_pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkResult result = device->vk.vkAllocateCommandBuffers(device->handle, &info, &upload->commands[i]);
    return result ? vk_fail(err, result, "staging weights") : VKGPT_OK;
}

int upload_reserve(struct Upload *upload, const struct Slice *slice, VkDeviceSize offset, VkDeviceSize bytes,
                   uint8_t **write, vkgpt_error *err)
{
    if (slice->host) {
        *write = slice->host + offset;
        return VKGPT_OK;
    }
    uint32_t i = upload->next;
    int status = upload->commands[i] ? commands_wait(upload->device, upload->submitted[i], "copying weights", err)
                                     : make_piece(upload, i, err);
    if (!status && bytes > UPLOAD_PIECE_BYTES)
        status =
            fail(err, VKGPT_BAD_ARGUMENT, "%llu bytes in one piece of the staging ring", (unsigned long long)bytes);
    *write = upload->pieces[i].host;
    return status;
}

int upload_commit(struct Upload *upload, const struct Slice *slice, VkDeviceSize offset, VkDeviceSize bytes,
                  vkgpt_error *err)
{
    if (slice->host) return VKGPT_OK;
    vkgpt_device *device = upload->device;
    uint32_t i = upload->next;
    upload->next = (i + 1) % UPLOAD_PIECES;
    VkCommandBuffer commands = upload->commands[i];
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VkBufferCopy copy = {upload->pieces[i].offset, slice->offset + offset, bytes};
    VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
        .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
        .dstAccessMask = VK_ACCESS_SHADER_READ_BIT,
    };
    VkResult result = device->vk.vkBeginCommandBuffer(commands, &begin);
    if (!result) {
        device->vk.vkCmdCopyBuffer(commands, upload->pieces[i].buffer, slice->buffer, 1, &copy);
        device->vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                        0, 1, &barrier, 0, NULL, 0, NULL);
        result = device->vk.vkEndCommandBuffer(commands);
    }
    return result ? vk_fail(err, result, "staging weights")
                  : commands_submit(device, commands, "copying weights", &upload->submitted[i], err);
}

int upload_end(struct Upload *upload, vkgpt_error *err)
{
    vkgpt_device *device = upload->device;
    int status = VKGPT_OK;
    for (uint32_t i = 0; i < UPLOAD_PIECES; i++) {
        if (!upload->commands[i]) continue;
        if (upload->submitted[i]) {
            int waited = commands_wait(device, upload->submitted[i], "copying weights", err);
            if (waited) status = waited;
        }
        device->vk.vkFreeCommandBuffers(device->handle, device->command_pool, 1, &upload->commands[i]);
    }
    pool_free(device, &upload->staging);
    return status;
}
