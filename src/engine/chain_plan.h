// A model over several devices, before there are any: which layers each gets, the memory that it needs, and the time of
// a token. Memory is memory_plan's, time that of the cost model.
#ifndef VKGPT_ENGINE_CHAIN_PLAN_H
#define VKGPT_ENGINE_CHAIN_PLAN_H

#include "engine/cost.h"
#include "engine/memory_plan.h"

struct ChainAsk {
    struct MemoryAsk memory; // its range of layers is not used
    uint32_t devices;        // alike; each gets a layer at least, so those beyond the number of layers stay idle
    uint64_t device_memory;  // bytes of each; 0: without limit
    struct CostDevice device;
    struct CostLink link;
    uint32_t micro_batches; // 0: as many as stages, at most the sequences
};

struct ChainStage {
    uint32_t first, end; // layers
    struct MemoryPlan memory;
    double seconds; // of a step of one sequence with an empty cache
    bool fits;
};

struct ChainPlan {
    struct ChainStage *stages; // the split whose slowest stage is fastest, of those that fit if any does
    uint32_t count;
    uint32_t fullest; // the stage that needs most memory
    bool fits;        // all stages
    uint32_t micro_batches;
    uint64_t step, step_cache;    // as in a MemoryPlan, of all stages
    double transfers;             // seconds of a token of one stream
    struct CostTimes empty, full; // at the beginning and at the end of the context
};

// Errors: those of memory_plan.
int chain_plan(const struct ChainAsk *ask, struct ChainPlan *plan, vkgpt_error *err);
void chain_plan_free(struct ChainPlan *plan);

// Whether some split over the devices fits the memory.
bool chain_fits(const struct ChainAsk *ask);
// The least number of devices that fits the memory; 0: not even a layer on each.
uint32_t chain_least_devices(const struct ChainAsk *ask);

#endif
