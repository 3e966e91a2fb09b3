// What a device can reach at most, measured with recordings and dispatches of the kind that run a model.
#include "base/os.h"
#include "gpu/recording.h"

#define GPU_COPY ((VkDeviceSize)256 << 20)     // several times the last-level cache of any GPU there is
#define SOFTWARE_COPY ((VkDeviceSize)64 << 20) // a processor takes 10 ms for it
#define LEAST_COPY ((VkDeviceSize)1 << 20)
#define MIN_RUNS 3
#define MEASURE_SECONDS 0.1 // of one recording's runs: enough for a GPU to leave its idle clock
#define GPU_DISPATCHES 512
#define SOFTWARE_DISPATCHES 128 // they take a hundred times as long

struct Copy {
    vkgpt_device *device;
    struct Pool pool;
    struct Slice a, b;
    VkDeviceSize bytes;
    const struct Pipeline *kernel;
};

// The time of the shortest of several runs of a recording; frees the recording.
static int shortest(struct Recording *rec, double *seconds, vkgpt_error *err)
{
    double begin = os_seconds();
    int status = recording_end(rec);
    *seconds = 1e30;
    for (int run = 0; !status && (run < MIN_RUNS || os_seconds() - begin < MEASURE_SECONDS); run++) {
        double passed;
        status = recording_time(rec, &passed, err);
        if (passed < *seconds) *seconds = passed;
    }
    recording_free(rec);
    return status;
}

// -------------------------------------------------------------------------------------------------- the copy

// Two slices, together at most half of the free memory; halves them while the driver refuses.
static int make_slices(struct Copy *copy, vkgpt_error *err)
{
    vkgpt_device *device = copy->device;
    VkDeviceSize bytes = device->software ? SOFTWARE_COPY : GPU_COPY, most = memory_max_slice(device);
    uint64_t available = memory_available(device);
    while (bytes > LEAST_COPY && (bytes > most || 4 * bytes > available)) bytes /= 2;
    for (;; bytes /= 2) {
        copy->pool = (struct Pool){.kind = MEMORY_DEVICE, .block_bytes = bytes};
        copy->bytes = bytes;
        int status = pool_slice(device, &copy->pool, bytes, "a copy to measure the device by", &copy->a, err);
        if (!status) status = pool_slice(device, &copy->pool, bytes, "a copy to measure the device by", &copy->b, err);
        if (status != VKGPT_OUT_OF_MEMORY || bytes <= LEAST_COPY) return status;
        pool_free(device, &copy->pool);
    }
}

static void copy_by_kernel(const struct Copy *copy, struct Recording *rec, const struct Slice *from,
                           const struct Slice *to)
{
    uint32_t count = (uint32_t)(copy->bytes / 16), group = copy->kernel->constants[CONSTANT_SIZE] * COPY_EACH;
    dispatch(rec, copy->kernel, (struct Grid){(count + group - 1) / group, 1, 1}, BUFFERS(from, to),
             ARGS(CopyArgs, count));
}

// Copies there and back, so that each side is written before it is read for the second time. Memory that was never
// written may be one page of zeros, which fits every cache.
static int time_copy(const struct Copy *copy, bool by_kernel, double *bytes_per_s, vkgpt_error *err)
{
    struct Recording rec;
    double seconds;
    int status = recording_begin(copy->device, "a copy", 2, &rec, err);
    if (status) return status;
    for (int back = 0; back < 2; back++) {
        const struct Slice *from = back ? &copy->b : &copy->a, *to = back ? &copy->a : &copy->b;
        if (by_kernel) copy_by_kernel(copy, &rec, from, to);
        else recording_copy(&rec, from, 0, to, 0, copy->bytes);
    }
    status = shortest(&rec, &seconds, err);
    double rate = 2.0 * 2.0 * (double)copy->bytes / seconds;
    if (!status && rate > *bytes_per_s) *bytes_per_s = rate;
    return status;
}

// --------------------------------------------------------------------------------------------- the empty dispatch

static int time_dispatches(const struct Copy *copy, uint32_t count, double *seconds, vkgpt_error *err)
{
    struct Recording rec;
    int status = recording_begin(copy->device, "empty dispatches", 1, &rec, err);
    if (status) return status;
    for (uint32_t i = 0; i < count; i++)
        dispatch(&rec, copy->kernel, (struct Grid){1, 1, 1}, BUFFERS(&copy->a, &copy->b), ARGS(CopyArgs, .count = 0));
    return shortest(&rec, seconds, err);
}

// The slope between two numbers of dispatches, which leaves out what a submission costs once.
static int time_dispatch(const struct Copy *copy, double *seconds, vkgpt_error *err)
{
    uint32_t longer = copy->device->software ? SOFTWARE_DISPATCHES : GPU_DISPATCHES, shorter = longer / 8;
    double few, many;
    int status = time_dispatches(copy, shorter, &few, err);
    if (!status) status = time_dispatches(copy, longer, &many, err);
    if (status) return status;
    *seconds = many > few ? (many - few) / (longer - shorter) : 0.0;
    return VKGPT_OK;
}

int vkgpt_device_limits(vkgpt_device *device, vkgpt_limits *limits, vkgpt_error *err)
{
    struct Copy copy = {.device = device};
    const uint32_t size = 128;
    *limits = (vkgpt_limits){0};
    int status = pipeline_get(device, "copy", &size, 1, &copy.kernel, err);
    if (!status) status = pipelines_ready(device, err); // nothing else runs while it measures
    if (!status) status = make_slices(&copy, err);
    if (!status) status = time_copy(&copy, false, &limits->copy_bytes_per_s, err);
    if (!status) status = time_copy(&copy, true, &limits->copy_bytes_per_s, err);
    if (!status) status = time_dispatch(&copy, &limits->dispatch_seconds, err);
    pool_free(device, &copy.pool);
    return status;
}
