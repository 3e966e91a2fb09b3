// Recordings: command buffers that are made once and submitted many times.
#include "gpu/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "gpu/device_fault.h"
#include "gpu/texels.h"

#define GPU_WAIT_SECONDS 30
#define SOFTWARE_WAIT_SECONDS 1800 // a software driver has no watchdog and may run anything

// Indexes of the queries.
enum { QUERY_BEGIN, QUERY_END, QUERY_DISPATCHES }; // from here on: before the first dispatch, and after each

static uint32_t query_count(const struct Recording *rec)
{
    return QUERY_DISPATCHES + (rec->mark_capacity ? rec->mark_capacity + 1 : 0);
}

static void timestamp(struct Recording *rec, VkPipelineStageFlagBits stage, uint32_t query)
{
    rec->device->vk.vkCmdWriteTimestamp(rec->commands, stage, rec->queries, query);
}

static VkResult begin_commands(struct Recording *rec)
{
    vkgpt_device *device = rec->device;
    VkCommandBufferAllocateInfo commands = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = device->command_pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkResult result = device->vk.vkAllocateCommandBuffers(device->handle, &commands, &rec->commands);
    return result ? result : device->vk.vkBeginCommandBuffer(rec->commands, &begin);
}

static int make_objects(struct Recording *rec, uint32_t max_sets)
{
    vkgpt_device *device = rec->device;
    VkDescriptorPoolSize sizes[] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, max_sets * MAX_BUFFERS},
                                    {VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER, max_sets * MAX_BUFFERS}};
    VkDescriptorPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
        .maxSets = max_sets,
        .poolSizeCount = device->texels ? 2 : 1,
        .pPoolSizes = sizes,
    };
    VkQueryPoolCreateInfo queries = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = VK_QUERY_TYPE_TIMESTAMP,
        .queryCount = query_count(rec),
    };
    VkResult result = device->vk.vkCreateDescriptorPool(device->handle, &pool, NULL, &rec->pool);
    if (!result && device->timestamp_period > 0)
        result = device->vk.vkCreateQueryPool(device->handle, &queries, NULL, &rec->queries);
    if (!result) result = begin_commands(rec);
    return result ? vk_fail(rec->err, result, rec->name) : VKGPT_OK;
}

static int start(struct Recording *rec, uint32_t max_sets)
{
    vkgpt_device *device = rec->device;
    const char *name = rec->name;
    vkgpt_error *err = rec->err;
    rec->sets = device_alloc(device, max_sets, sizeof *rec->sets);
    if (device->texels) rec->views = device_alloc(device, max_sets * MAX_BUFFERS, sizeof *rec->views);
    rec->status = rec->sets && (rec->views || !device->texels) ? make_objects(rec, max_sets)
                                                               : fail_memory(err, name, max_sets * sizeof *rec->sets);
    if (rec->status) {
        int status = rec->status;
        recording_free(rec);
        return status;
    }
    device->recordings++;
    if (rec->queries) {
        device->vk.vkCmdResetQueryPool(rec->commands, rec->queries, 0, query_count(rec));
        // not at the top of the pipe, which may be reached while the previous submission is still running
        timestamp(rec, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, QUERY_BEGIN);
    }
    return VKGPT_OK;
}

int recording_begin(vkgpt_device *device, const char *name, uint32_t max_sets, struct Recording *rec, vkgpt_error *err)
{
    *rec = (struct Recording){.device = device, .name = name, .set_capacity = max_sets, .err = err};
    return start(rec, max_sets);
}

int recording_begin_profiled(vkgpt_device *device, const char *name, uint32_t max_sets, uint32_t max_dispatches,
                             bool each, struct Recording *rec, vkgpt_error *err)
{
    *rec = (struct Recording){.device = device,
                              .name = name,
                              .set_capacity = max_sets,
                              .mark_capacity = max_dispatches,
                              .mark_each = each,
                              .err = err};
    if (!(device->timestamp_period > 0))
        return fail(err, VKGPT_NO_DEVICE, "%s has no timestamps to profile by", device->info.name);
    rec->marks = device_alloc(device, max_dispatches, sizeof *rec->marks);
    return rec->marks ? start(rec, max_sets) : fail_memory(err, name, max_dispatches * sizeof *rec->marks);
}

void recording_cut(struct Recording *rec, uint32_t dispatches) { rec->cut = dispatches; }

// Makes the commands so far a part of their own.
static void end_part(struct Recording *rec)
{
    VkCommandBuffer *parts = realloc(rec->parts, (rec->part_count + 1) * sizeof *parts);
    if (!parts) {
        rec->status = fail_memory(rec->err, rec->name, (rec->part_count + 1) * sizeof *parts);
        return;
    }
    rec->device->host_allocations++;
    rec->parts = parts;
    VkResult result = rec->device->vk.vkEndCommandBuffer(rec->commands);
    parts[rec->part_count++] = rec->commands;
    rec->commands = VK_NULL_HANDLE;
    if (!result) result = begin_commands(rec);
    if (result) rec->status = vk_fail(rec->err, result, rec->name);
}

static bool same_buffers(const struct SetEntry *entry, const struct Bindings *bindings)
{
    if (entry->count != bindings->count) return false;
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct Slice *a = &entry->slices[i], *b = bindings->slices[i];
        if (a->buffer != b->buffer || a->offset != b->offset || a->bytes != b->bytes) return false;
    }
    return true;
}

static VkDescriptorSet write_set(struct Recording *rec, const struct Bindings *bindings)
{
    vkgpt_device *device = rec->device;
    VkDescriptorSet set = VK_NULL_HANDLE;
    VkDescriptorSetAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = rec->pool,
        .descriptorSetCount = 1,
        .pSetLayouts = &device->set_layout,
    };
    VkResult result = rec->set_count == rec->set_capacity
                          ? VK_ERROR_OUT_OF_HOST_MEMORY
                          : device->vk.vkAllocateDescriptorSets(device->handle, &info, &set);
    if (result) {
        rec->status = vk_fail(rec->err, result, rec->name);
        return VK_NULL_HANDLE;
    }
    struct SetEntry *entry = &rec->sets[rec->set_count++];
    *entry = (struct SetEntry){.set = set, .count = bindings->count};
    VkDescriptorBufferInfo buffers[MAX_BUFFERS];
    for (uint32_t i = 0; i < bindings->count; i++) {
        entry->slices[i] = *bindings->slices[i];
        buffers[i] = (VkDescriptorBufferInfo){entry->slices[i].buffer, entry->slices[i].offset, entry->slices[i].bytes};
    }
    VkWriteDescriptorSet write = {
        // the bindings follow each other, so one write fills them all
        .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,     .dstSet = set,          .descriptorCount = bindings->count,
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .pBufferInfo = buffers,
    };
    device->vk.vkUpdateDescriptorSets(device->handle, 1, &write, 0, NULL);
    if (device->texels)
        result = texels_write(device, set, buffers, bindings->count, rec->views + (rec->set_count - 1) * MAX_BUFFERS);
    if (result) rec->status = vk_fail(rec->err, result, rec->name);
    device->descriptor_writes++;
    return set;
}

// A recording of several tokens uses the same buffers in the same order for each: the search starts after the last hit.
static VkDescriptorSet find_set(struct Recording *rec, const struct Bindings *bindings)
{
    for (uint32_t i = 0; i < rec->set_count; i++) {
        uint32_t at = (rec->set_cursor + i) % rec->set_count;
        if (!same_buffers(&rec->sets[at], bindings)) continue;
        rec->set_cursor = at + 1;
        return rec->sets[at].set;
    }
    return write_set(rec, bindings);
}

static void barrier(struct Recording *rec, VkPipelineStageFlags from, VkAccessFlags written, VkPipelineStageFlags to,
                    VkAccessFlags used)
{
    VkMemoryBarrier all = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = used};
    rec->device->vk.vkCmdPipelineBarrier(rec->commands, from, to, 0, 1, &all, 0, NULL, 0, NULL);
}

#define SHADER VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT
#define TRANSFER VK_PIPELINE_STAGE_TRANSFER_BIT
#define SHADER_USE (VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT)

// Notes a dispatch that is about to be recorded.
static void mark(struct Recording *rec, const struct Pipeline *pipeline)
{
    if (rec->dispatches == rec->mark_capacity) {
        rec->status =
            fail(rec->err, VKGPT_BAD_ARGUMENT, "%s: more than %u dispatches to profile", rec->name, rec->mark_capacity);
        return;
    }
    struct Mark *at = &rec->marks[rec->dispatches];
    at->pipeline = pipeline;
    if (!rec->dispatches) timestamp(rec, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, QUERY_DISPATCHES);
}

struct Recording recording_of_program(vkgpt_device *device, const char *name, struct Program *program, vkgpt_error *err)
{
    program->count = 0;
    return (struct Recording){.device = device, .name = name, .program = program, .err = err};
}

static void add_phase(struct Recording *rec, const struct Pipeline *pipeline, struct Grid grid,
                      const struct Bindings *bindings, const void *args, size_t args_bytes)
{
    struct Program *program = rec->program;
    if (program->count == program->capacity) {
        rec->status = fail(rec->err, VKGPT_BAD_ARGUMENT, "%s: more than %u phases", rec->name, program->capacity);
        return;
    }
    struct Phase *phase = &program->phases[program->count++];
    *phase = (struct Phase){.kernel = pipeline->phase, .x = grid.x, .y = grid.y, .z = grid.z};
    for (uint32_t i = 0; i < bindings->count; i++) {
        phase->buffers[2 * i] = (uint32_t)bindings->slices[i]->address;
        phase->buffers[2 * i + 1] = (uint32_t)(bindings->slices[i]->address >> 32);
    }
    memcpy(phase->args, args, args_bytes);
}

void dispatch(struct Recording *rec, const struct Pipeline *pipeline, struct Grid grid, struct Bindings bindings,
              const void *args, size_t args_bytes)
{
    if (rec->status) return;
    if (rec->program) {
        add_phase(rec, pipeline, grid, &bindings, args, args_bytes);
        return;
    }
    const struct VolkDeviceTable *vk = &rec->device->vk;
    VkDescriptorSet set = find_set(rec, &bindings);
    if (!rec->status) rec->status = pipeline_ready(rec->device, pipeline, rec->err);
    if (!rec->status && rec->marks) mark(rec, pipeline);
    if (rec->status) return;
    vk->vkCmdBindPipeline(rec->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    vk->vkCmdBindDescriptorSets(rec->commands, VK_PIPELINE_BIND_POINT_COMPUTE, rec->device->pipeline_layout, 0, 1, &set,
                                0, NULL);
    vk->vkCmdPushConstants(rec->commands, rec->device->pipeline_layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                           (uint32_t)args_bytes, args);
    vk->vkCmdDispatch(rec->commands, grid.x, grid.y, grid.z);
    barrier(rec, SHADER, VK_ACCESS_SHADER_WRITE_BIT, SHADER, SHADER_USE);
    rec->dispatches++;
    if (rec->mark_each) timestamp(rec, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, QUERY_DISPATCHES + rec->dispatches);
    if (rec->cut && rec->dispatches % rec->cut == 0) end_part(rec);
}

void recording_note(struct Recording *rec, struct Note note)
{
    if (!rec->status && rec->marks) rec->marks[rec->dispatches - 1].note = note;
}

// Barriers around a transfer: it sees what was written before it, and all that follows sees what it writes.
static void before_transfer(struct Recording *rec)
{
    barrier(rec, SHADER | TRANSFER, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT, TRANSFER,
            VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

static void after_transfer(struct Recording *rec)
{
    barrier(rec, TRANSFER, VK_ACCESS_TRANSFER_WRITE_BIT, SHADER | TRANSFER,
            SHADER_USE | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
}

void recording_copy(struct Recording *rec, const struct Slice *from, VkDeviceSize from_offset, const struct Slice *to,
                    VkDeviceSize to_offset, VkDeviceSize bytes)
{
    if (rec->status) return;
    VkBufferCopy copy = {from->offset + from_offset, to->offset + to_offset, bytes};
    before_transfer(rec);
    rec->device->vk.vkCmdCopyBuffer(rec->commands, from->buffer, to->buffer, 1, &copy);
    after_transfer(rec);
}

void recording_copy_runs(struct Recording *rec, struct Runs from, struct Runs to, VkDeviceSize bytes, uint32_t count)
{
    if (rec->status || !bytes) return;
    VkBufferCopy runs[64];
    before_transfer(rec);
    for (uint32_t done = 0; done < count;) {
        uint32_t n = 0;
        for (; n < 64 && done < count; n++, done++)
            runs[n] = (VkBufferCopy){from.slice->offset + from.offset + done * from.stride,
                                     to.slice->offset + to.offset + done * to.stride, bytes};
        rec->device->vk.vkCmdCopyBuffer(rec->commands, from.slice->buffer, to.slice->buffer, n, runs);
    }
    after_transfer(rec);
}

void recording_fill(struct Recording *rec, const struct Slice *slice, uint32_t word)
{
    if (rec->status) return;
    before_transfer(rec);
    rec->device->vk.vkCmdFillBuffer(rec->commands, slice->buffer, slice->offset, slice->bytes / 4 * 4, word);
    after_transfer(rec);
}

int recording_end(struct Recording *rec)
{
    if (rec->status) return rec->status;
    if (rec->marks && !rec->mark_each)
        timestamp(rec, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, QUERY_DISPATCHES + rec->dispatches);
    barrier(rec, SHADER | TRANSFER, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    if (rec->queries) timestamp(rec, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, QUERY_END);
    VkResult result = rec->device->vk.vkEndCommandBuffer(rec->commands);
    free(rec->sets);
    rec->sets = NULL;
    if (result) rec->status = vk_fail(rec->err, result, rec->name);
    rec->err = NULL;
    return rec->status;
}

// ------------------------------------------------------------------------------------------ the queue

static int wait_seconds(const vkgpt_device *device)
{
    return device->software ? SOFTWARE_WAIT_SECONDS : GPU_WAIT_SECONDS;
}

// Fails with the sentence of the failure that ended the device.
static int fail_again(const vkgpt_device *device, vkgpt_error *err)
{
    if (err) *err = device->failure;
    return device->failure.code;
}

// A failure for lack of memory leaves the device as it was; any other one ends it.
static int queue_fail(vkgpt_device *device, VkResult result, const char *doing, vkgpt_error *err)
{
    vkgpt_error said = {0};
    if (result == VK_TIMEOUT)
        fail(&said, VKGPT_DEVICE_HUNG, "%s: %s did not finish within %d s", device->info.name, doing,
             wait_seconds(device));
    else vk_fail(&said, result, doing);
    if (result == VK_ERROR_DEVICE_LOST) device_fault_add(device, &said);
    if (said.code != VKGPT_OUT_OF_MEMORY) device->failure = said;
    if (err) *err = said;
    return said.code;
}

// Names the step: "DEVICE, running prefill".
static int step_fail(vkgpt_device *device, VkResult result, const char *verb, const char *doing, vkgpt_error *err)
{
    char step[160];
    snprintf(step, sizeof step, "%.100s, %s %.40s", device->info.name, verb, doing);
    return queue_fail(device, result, result == VK_TIMEOUT ? doing : step, err);
}

int commands_submit(vkgpt_device *device, VkCommandBuffer commands, const char *doing, uint64_t *value,
                    vkgpt_error *err)
{
    if (device->failure.code) return fail_again(device, err);
    uint64_t next = device->submitted + 1;
    VkTimelineSemaphoreSubmitInfo timeline = {
        .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
        .signalSemaphoreValueCount = 1,
        .pSignalSemaphoreValues = &next,
    };
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .pNext = &timeline,
        .commandBufferCount = 1,
        .pCommandBuffers = &commands,
        .signalSemaphoreCount = 1,
        .pSignalSemaphores = &device->timeline,
    };
    VkResult result = device->vk.vkQueueSubmit(device->queue, 1, &submit, VK_NULL_HANDLE);
    if (result) return step_fail(device, result, "submitting", doing, err);
    *value = device->submitted = next;
    return VKGPT_OK;
}

int commands_wait(vkgpt_device *device, uint64_t value, const char *doing, vkgpt_error *err)
{
    if (value <= device->reached) return VKGPT_OK;
    if (device->failure.code) return fail_again(device, err);
    VkSemaphoreWaitInfo wait = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &device->timeline,
        .pValues = &value,
    };
    VkResult result = device->vk.vkWaitSemaphores(device->handle, &wait, (uint64_t)wait_seconds(device) * 1000000000u);
    if (!result) {
        device->reached = value;
        return VKGPT_OK;
    }
    int status = step_fail(device, result, "running", doing, err);
    // if only the wait has failed, the work goes on, and the caller may free what it uses
    if (!device->failure.code) device->vk.vkDeviceWaitIdle(device->handle);
    return status;
}

int recording_submit(struct Recording *rec, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t i = 0; !status && i < rec->part_count; i++)
        status = commands_submit(rec->device, rec->parts[i], rec->name, &rec->submitted, err);
    return status ? status : commands_submit(rec->device, rec->commands, rec->name, &rec->submitted, err);
}

int recording_wait(struct Recording *rec, vkgpt_error *err)
{
    return rec->submitted ? commands_wait(rec->device, rec->submitted, rec->name, err) : VKGPT_OK;
}

// Reads `count` timestamps in a row.
static VkResult get_ticks(const struct Recording *rec, uint32_t first, uint32_t count, uint64_t *ticks)
{
    return rec->device->vk.vkGetQueryPoolResults(rec->device->handle, rec->queries, first, count, count * sizeof *ticks,
                                                 ticks, sizeof *ticks, VK_QUERY_RESULT_64_BIT);
}

static double ticks_seconds(const vkgpt_device *device, uint64_t from, uint64_t to)
{
    return (double)((to - from) & device->timestamp_mask) * device->timestamp_period *
           1e-9; // the counter may have wrapped
}

int recording_run_once(struct Recording *rec, vkgpt_error *err)
{
    int status = recording_end(rec);
    if (!status) status = recording_submit(rec, err);
    if (!status) status = recording_wait(rec, err);
    recording_free(rec);
    return status;
}

int recording_fill_once(vkgpt_device *device, const char *what, const struct Slice *slice, uint32_t word,
                        vkgpt_error *err)
{
    struct Recording rec = {0};
    int status = recording_begin(device, what, 1, &rec, err);
    if (status) return status;
    recording_fill(&rec, slice, word);
    return recording_run_once(&rec, err);
}

double recording_seconds(const struct Recording *rec)
{
    uint64_t ticks[2] = {0};
    if (!rec->queries || get_ticks(rec, QUERY_BEGIN, 2, ticks)) return 0.0;
    return ticks_seconds(rec->device, ticks[0], ticks[1]);
}

int recording_time(struct Recording *rec, double *seconds, vkgpt_error *err)
{
    double start = os_seconds();
    int status = recording_submit(rec, err);
    if (!status) status = recording_wait(rec, err);
    *seconds = recording_seconds(rec);
    if (*seconds <= 0.0) *seconds = os_seconds() - start;
    return status;
}

int recording_profile(const struct Recording *rec, double *seconds, vkgpt_error *err)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i <= rec->dispatches; i++) {
        uint64_t ticks = 0;
        VkResult result = get_ticks(rec, QUERY_DISPATCHES + i, 1, &ticks);
        if (result) return vk_fail(err, result, rec->name);
        if (i) seconds[i - 1] = ticks_seconds(rec->device, last, ticks);
        last = ticks;
    }
    return VKGPT_OK;
}

double recording_span(const struct Recording *rec)
{
    uint64_t from = 0, to = 0;
    if (get_ticks(rec, QUERY_DISPATCHES, 1, &from)) return 0.0;
    if (get_ticks(rec, QUERY_DISPATCHES + rec->dispatches, 1, &to)) return 0.0;
    return ticks_seconds(rec->device, from, to);
}

void recording_free(struct Recording *rec)
{
    vkgpt_device *device = rec->device;
    if (!device) return;
    if (rec->submitted) commands_wait(device, rec->submitted, rec->name, NULL);
    if (rec->part_count)
        device->vk.vkFreeCommandBuffers(device->handle, device->command_pool, rec->part_count, rec->parts);
    if (rec->commands) device->vk.vkFreeCommandBuffers(device->handle, device->command_pool, 1, &rec->commands);
    device->vk.vkDestroyDescriptorPool(device->handle, rec->pool, NULL);
    device->vk.vkDestroyQueryPool(device->handle, rec->queries, NULL);
    for (uint32_t i = 0; rec->views && i < rec->set_count * MAX_BUFFERS; i++)
        device->vk.vkDestroyBufferView(device->handle, rec->views[i], NULL);
    free(rec->views);
    free(rec->sets);
    free(rec->marks);
    free(rec->parts);
    *rec = (struct Recording){0};
}
