// A Vulkan device: instance, queue, features, and the counters that show what it costs the host. Everything that
// vkgpt makes on a GPU belongs to one of these; the only globals are the loader's functions, written once.
#ifndef VKGPT_GPU_DEVICE_H
#define VKGPT_GPU_DEVICE_H

#include <stdatomic.h>

#include "base/queue.h"
#include "gpu/coopmat.h"
#include "gpu/float_controls.h"
#include "gpu/vulkan.h"

#define DEVICE_MAX_PIPELINES 1024
#define VENDOR_AMD 0x1002
#define VENDOR_NVIDIA 0x10de
#define VENDOR_INTEL 0x8086

struct Pipeline;
struct Tuning;

struct vkgpt_device {
    vkgpt_device_info info;
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger; // when VKGPT_VALIDATE=1
    VkPhysicalDevice physical;
    VkDevice handle;
    struct VolkDeviceTable vk;
    uint32_t queue_family;
    VkQueue queue;
    VkCommandPool command_pool;
    VkPhysicalDeviceMemoryProperties memory;
    VkPipelineCache pipeline_cache;
    size_t pipeline_cache_bytes;      // as read from disk
    VkDescriptorSetLayout set_layout; // of MAX_BUFFERS
    VkPipelineLayout pipeline_layout;
    VkSemaphore timeline; // of the queue: value n is reached when submission n is done
    uint64_t submitted;   // the last value that a submission was accepted with
    uint64_t reached;     // the last value that was waited for
    vkgpt_error failure;  // why the device can no longer be used, such as its loss; code VKGPT_OK: it can
    struct Pipeline *pipelines[DEVICE_MAX_PIPELINES];
    uint32_t pipeline_count;
    struct Queue compiling; // the pipelines that are not compiled yet
    struct Tuning *tuning;  // the engine's choices (engine/tuning.h): one block, freed with the device
    bool software;          // a CPU: chooses the kernels' variants
    bool lockstep;          // a CPU: the lanes of a subgroup run in lockstep
    bool software_kernels;  // software, with shuffles and a known subgroup size: the SOFTWARE variants
    bool texels;            // buffers are bound as texels too: gpu/texels.h
    bool size_control, full_subgroups;
    bool addresses;                      // buffers have addresses, for the persistent kernel
    bool uniform_flow;                   // kernels ask for it: gpu/uniform_flow.h
    struct FloatControls float_controls; // the DETERMINISTIC kernels ask for them
    bool rounding_is_known;              // and is to nearest even: engine/deterministic.h
    struct MatrixShape matrix;           // of the COOPMAT variants; all 0: they do not run here
    bool matrix_halves;                  // the sums of such matrices may be halves too
    uint32_t matrix_lanes;               // of a subgroup in them
    uint32_t processors;                 // gpu/processors.h; 0: the driver does not say
    float timestamp_period;              // nanoseconds; 0: no timestamps
    uint64_t timestamp_mask;             // of the valid bits
    atomic_uint validation_messages;     // warnings and errors of the validation layer so far
    // for vkgpt_counters
    uint64_t recordings, descriptor_writes, device_allocations, host_allocations;
};

// Zeroed memory for objects that live as long as a device, model or session; NULL: out of memory. Counts allocations.
void *device_alloc(vkgpt_device *device, size_t count, size_t size);

#endif
