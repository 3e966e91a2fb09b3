// How much device memory a stage of a run needs, before there is a device: the sizes that the engine allocates, put
// into blocks as the engine's pools put them.
#ifndef VKGPT_ENGINE_MEMORY_PLAN_H
#define VKGPT_ENGINE_MEMORY_PLAN_H

#include "model/config.h"

struct MemoryAsk {
    const struct Config *config;
    vkgpt_format weights; // of the matrices; tables have at least q8_0, and rows that are not a multiple of the
    // block size a wider format
    vkgpt_format kv;     // f32, f16 or q8_0
    uint32_t context;    // positions of the cache
    uint32_t batch;      // sequences
    uint32_t first, end; // the layers of this device, [first, end); end 0: up to the last one
    uint32_t stages;     // of the chain that they are a part of; 0: one
    // alignment, largest buffer and allocation, memory; NULL: those of a usual GPU of 8 GiB
    const vkgpt_device_info *limits;
};

struct MemoryPlan {       // bytes, of one device
    uint64_t tables;      // wte, wpe, a head of its own, projections of the embedding
    uint64_t layers;      // their matrices
    uint64_t vectors;     // norms and biases
    uint64_t cache;       // K and V
    uint64_t activations; // of a block of prefill
    uint32_t rows;        // of activations
    uint64_t logits;
    uint64_t state;                         // tokens, sampling, splits of attention
    uint64_t weight_blocks, session_blocks; // what the pools allocate for those
    uint64_t device;                        // both together: of the device's heap
    uint64_t upload;                        // of the heap that the host writes, while a session is open
    uint64_t read;                          // of the heap that the host reads
    uint64_t staging;                       // of the heap that the host writes, while weights are loaded
    uint64_t step;                          // weights that one step reads
    uint64_t step_cache;                    // cache that a step reads at the end of the context, of all sequences
};

// What a plan asks of a device: its limits, and the bytes that memory_available reports when a model is loaded.
struct MemoryOffer {
    vkgpt_device_info info;
    uint64_t bytes;
    const char *source, *formula; // of the bytes: in a few words, and at length
};

// Opens the device that vkgpt_device_open would, asks it, and closes it.
int memory_offer(const char *which, struct MemoryOffer *offer, vkgpt_error *err);

// Errors: VKGPT_OUT_OF_MEMORY; a context longer than the model's, or a range with no layers (VKGPT_BAD_ARGUMENT).
int memory_plan(const struct MemoryAsk *ask, struct MemoryPlan *plan, vkgpt_error *err);

#endif
