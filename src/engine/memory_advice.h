// What would make a run fit.
#ifndef VKGPT_ENGINE_MEMORY_ADVICE_H
#define VKGPT_ENGINE_MEMORY_ADVICE_H

#include "engine/chain_plan.h"

// One change that would make a run fit.
struct MemoryAdvice {
    char flags[64];  // "-c 1024", "--weights q4_0 --kv q8_0"
    uint64_t device; // bytes with the change, on the device that needs most
};
#define MAX_ADVICE 8

// Fills advice with the changes that fit into ask->device_memory and returns their number; the smallest change comes
// first. per_machine: devices of a machine.
uint32_t memory_advise(const struct ChainAsk *ask, uint32_t per_machine, struct MemoryAdvice advice[MAX_ADVICE]);

#endif
