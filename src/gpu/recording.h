// Kernels and recordings. A pipeline is a kernel with its specialization constants; a recording is a command buffer
// that is made once and submitted again and again. Its descriptor sets are written while it is made.
#ifndef VKGPT_GPU_RECORDING_H
#define VKGPT_GPU_RECORDING_H

#define VKGPT_C
#include "args.h"
#include "gpu/memory.h"

#define MAX_CONSTANTS 32

struct Pipeline {
    struct Job job;    // to compile it
    VkPipeline handle; // after pipeline_ready
    VkResult result;   // of compiling it
    bool waited_for;
    const char *kernel;                // "qkv_software"
    uint32_t lanes;                    // of a subgroup
    uint32_t constants[MAX_CONSTANTS]; // by CONSTANT_...
    uint32_t constant_count;
    uint32_t phase; // PHASE_..., only in the stand-ins that a program is recorded with
};

// The pipeline of a kernel with these constants, kept by the device. The first call only puts it into the queue, which
// all cores compile in the background. dispatch waits for the pipeline that it needs.
int pipeline_get(vkgpt_device *device, const char *kernel, const uint32_t *constants, uint32_t count,
                 const struct Pipeline **pipeline, vkgpt_error *err);
// The same in subgroups of `lanes`, not of the device's usual size. One of the constants must say so too.
int pipeline_get_lanes(vkgpt_device *device, const char *kernel, uint32_t lanes, const uint32_t *constants,
                       uint32_t count, const struct Pipeline **pipeline, vkgpt_error *err);
int pipeline_ready(vkgpt_device *device, const struct Pipeline *pipeline, vkgpt_error *err);
bool pipeline_is_compiled(vkgpt_device *device, const char *kernel); // whether one of this kernel is; does not wait
int pipelines_ready(vkgpt_device *device, vkgpt_error *err);         // waits for all; returns the first failure
void pipelines_forget(vkgpt_device *device, uint32_t keep);          // frees all but the first `keep`
void pipelines_open(vkgpt_device *device);
void pipelines_free(vkgpt_device *device); // frees all; those still in the queue are not compiled
bool kernel_exists(const char *kernel);    // in this program: some need a newer compiler than the build may have had
// The name of the variant that a device runs: with TEXELS where there is one and the device reads texels.
const char *kernel_variant(const vkgpt_device *device, const char *kernel);

struct Grid {
    uint32_t x, y, z;
};

struct Bindings {
    const struct Slice *slices[MAX_BUFFERS];
    uint32_t count;
};

struct SetEntry { // a descriptor set and the buffers that it names
    VkDescriptorSet set;
    struct Slice slices[MAX_BUFFERS];
    uint32_t count;
};

struct Work {            // FLOPs
    double needed, done; // done: with the padding of tiles
};

struct Note {         // what a dispatch is, for a profile
    const char *step; // its name in the model: "qkv"
    uint32_t layer;   // of attend
    uint64_t bytes;   // of weights that it reads
    struct Work work; // 0: not known
};

struct Mark { // a dispatch of a profiled recording
    const struct Pipeline *pipeline;
    struct Note note;
};

struct Program { // dispatches as a list, for the persistent kernel
    struct Phase *phases;
    uint32_t count, capacity;
};

struct Recording {
    vkgpt_device *device;
    struct Program *program; // takes the dispatches instead of a command buffer, or NULL
    VkCommandBuffer commands;
    VkCommandBuffer *parts; // the parts before `commands`, if it is cut
    uint32_t part_count, cut;
    VkDescriptorPool pool;
    struct SetEntry *sets; // while recording: equal bindings share a set
    uint32_t set_count, set_capacity, set_cursor;
    VkBufferView *views; // MAX_BUFFERS for each set where the device reads texels, else NULL
    VkQueryPool queries; // two timestamps, or null; a profiled recording has more, around its dispatches
    struct Mark *marks;  // of a profiled recording: its dispatches, in order
    uint32_t mark_capacity;
    bool mark_each;     // a timestamp after each dispatch, not only after the last
    uint64_t submitted; // timeline value of the last submission, 0: never
    uint32_t dispatches;
    const char *name; // for sentences
    int status;       // the first failure while recording; dispatches after it do nothing
    vkgpt_error *err;
};

// Submits a finished command buffer; `doing` names the work for the sentence. *value becomes the value of the timeline
// at which it is done. A failure leaves *value as it is, so that nobody waits for work that was never submitted.
// Errors: VKGPT_OUT_OF_MEMORY: the device can still be used. VKGPT_DEVICE_LOST and VKGPT_NO_DEVICE: from then on these
// two functions fail at once with the same sentence, and objects close without waiting.
int commands_submit(vkgpt_device *device, VkCommandBuffer commands, const char *doing, uint64_t *value,
                    vkgpt_error *err);
// Waits for a value, at most 30 s on a GPU and 1,800 s on a software driver. Errors: those of commands_submit.
int commands_wait(vkgpt_device *device, uint64_t value, const char *doing, vkgpt_error *err);

// Begins a recording of at most max_sets different sets of buffers. err is kept until recording_end.
int recording_begin(vkgpt_device *device, const char *name, uint32_t max_sets, struct Recording *rec, vkgpt_error *err);
// Records dispatches as the phases of a program, which is emptied and must have room for them. Nothing else can be
// recorded.
struct Recording recording_of_program(vkgpt_device *device, const char *name, struct Program *program,
                                      vkgpt_error *err);
// From here on cuts the recording after every `dispatches` dispatches; 0: no cuts. Each part is submitted by itself, so
// that none is long.
void recording_cut(struct Recording *rec, uint32_t dispatches);
// Like recording_begin, with timestamps around each of at most max_dispatches dispatches, or (`each` false) around all
// of them together. The device must have timestamps.
int recording_begin_profiled(vkgpt_device *device, const char *name, uint32_t max_sets, uint32_t max_dispatches,
                             bool each, struct Recording *rec, vkgpt_error *err);
// Runs a kernel over a grid of workgroups, then makes what it wrote visible to the commands after it.
void dispatch(struct Recording *rec, const struct Pipeline *pipeline, struct Grid grid, struct Bindings bindings,
              const void *args, size_t args_bytes);
// Notes what the last dispatch is; only a profiled recording keeps it.
void recording_note(struct Recording *rec, struct Note note);
// Copies bytes and makes them visible to kernels and, at the end of a recording, to the host.
void recording_copy(struct Recording *rec, const struct Slice *from, VkDeviceSize from_offset, const struct Slice *to,
                    VkDeviceSize to_offset, VkDeviceSize bytes);
// Runs of bytes in a slice: the first begins at `offset`, and they are `stride` bytes apart.
struct Runs {
    const struct Slice *slice;
    VkDeviceSize offset, stride;
};
// Copies `count` runs of `bytes`; within one slice they must not overlap.
void recording_copy_runs(struct Recording *rec, struct Runs from, struct Runs to, VkDeviceSize bytes, uint32_t count);
// Fills a slice with a word.
void recording_fill(struct Recording *rec, const struct Slice *slice, uint32_t word);
int recording_end(struct Recording *rec); // everything written becomes visible to the host; returns the first failure
int recording_submit(struct Recording *rec, vkgpt_error *err);
int recording_wait(struct Recording *rec, vkgpt_error *err);
int recording_run_once(struct Recording *rec, vkgpt_error *err); // ends it, runs it to its end, frees it
// Fills a slice with a word, and waits until that is done. `what` is for sentences.
int recording_fill_once(vkgpt_device *device, const char *what, const struct Slice *slice, uint32_t word,
                        vkgpt_error *err);
double recording_seconds(const struct Recording *rec); // device time of the last submission, 0 when unknown
// Runs it to its end: seconds by the device's clock, or by the host's where the device has none.
int recording_time(struct Recording *rec, double *seconds, vkgpt_error *err);
// Device time of each dispatch of a profiled recording's last submission, its barrier included.
int recording_profile(const struct Recording *rec, double *seconds, vkgpt_error *err);
// Device time from before its first dispatch to after its last one; 0: unknown.
double recording_span(const struct Recording *rec);
void recording_free(struct Recording *rec);

#define BUFFERS(...)                                                                                                   \
    ((struct Bindings){{__VA_ARGS__}, sizeof((const struct Slice *[]){__VA_ARGS__}) / sizeof(struct Slice *)})
#define ARGS(type, ...) &(struct type){__VA_ARGS__}, sizeof(struct type)

#endif
