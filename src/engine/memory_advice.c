#include "engine/memory_advice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/formats.h"
#include "engine/matrix.h"

struct Advising {
    struct MemoryAdvice *advice;
    uint32_t count;
};

__attribute__((format(printf, 3, 4))) static bool advise(struct Advising *a, const struct ChainAsk *ask,
                                                         const char *format, ...)
{
    struct ChainPlan plan;
    if (a->count == MAX_ADVICE || !chain_fits(ask) || chain_plan(ask, &plan, NULL)) return false;
    struct MemoryAdvice *advice = &a->advice[a->count++];
    va_list args;
    va_start(args, format);
    vsnprintf(advice->flags, sizeof advice->flags, format, args);
    va_end(args);
    advice->device = plan.stages[plan.fullest].memory.device;
    chain_plan_free(&plan);
    return true;
}

// The largest value below `now` that fits; 0: none.
static uint32_t largest_that_fits(const struct ChainAsk *ask, uint32_t *value, uint32_t now)
{
    uint32_t low = 0, high = now;
    while (high - low > 1) {
        *value = low + (high - low) / 2;
        if (chain_fits(ask)) low = *value;
        else high = *value;
    }
    return low;
}

static void advise_less(struct Advising *a, const struct ChainAsk *ask)
{
    struct ChainAsk other = *ask;
    other.memory.context = largest_that_fits(&other, &other.memory.context, ask->memory.context);
    if (other.memory.context) advise(a, &other, "-c %" PRIu32, other.memory.context);
    other = *ask;
    other.memory.batch = largest_that_fits(&other, &other.memory.batch, ask->memory.batch);
    if (other.memory.batch) advise(a, &other, "--batch %" PRIu32, other.memory.batch);
}

// Narrower formats, of which the widest that fits is advised: for the cache, for the weights, or for both.
static const vkgpt_format narrower[] = {VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_K, VKGPT_Q4_0};

static const char *name_of(vkgpt_format asked) { return format_name(format_of(asked)); }

static bool narrower_than(vkgpt_format a, vkgpt_format b)
{
    return matrix_bytes(PAD, 256, format_of(a)) < matrix_bytes(PAD, 256, format_of(b));
}

static void advise_formats(struct Advising *a, const struct ChainAsk *ask)
{
    struct ChainAsk other = *ask;
    for (size_t i = 0; i < 2; i++) {
        other.memory.kv = narrower[i];
        if (narrower_than(other.memory.kv, ask->memory.kv) && advise(a, &other, "--kv %s", name_of(other.memory.kv)))
            break;
    }
    other = *ask;
    bool found = false;
    for (size_t i = 0; !found && i < 4; i++) {
        other.memory.weights = narrower[i];
        found = narrower_than(other.memory.weights, ask->memory.weights) &&
                advise(a, &other, "--weights %s", name_of(other.memory.weights));
    }
    if (a->count) return;
    other.memory.kv = narrower_than(VKGPT_Q8_0, ask->memory.kv) ? VKGPT_Q8_0 : ask->memory.kv;
    for (size_t i = 0; !found && i < 4; i++) {
        other.memory.weights = narrower[i];
        if (narrower_than(ask->memory.weights, other.memory.weights)) continue;
        found = advise(a, &other, "--weights %s --kv %s", name_of(other.memory.weights), name_of(other.memory.kv));
    }
}

static void advise_devices(struct Advising *a, const struct ChainAsk *ask, uint32_t per_machine)
{
    struct ChainAsk other = *ask;
    other.devices = chain_least_devices(ask);
    if (other.devices <= ask->devices) return;
    if (ask->devices == per_machine) {
        advise(a, &other, "--devices-per-machine %" PRIu32, other.devices);
        return;
    }
    const uint32_t machines = (other.devices + per_machine - 1) / per_machine;
    other.devices = machines * per_machine;
    advise(a, &other, "--machines %" PRIu32, machines);
}

uint32_t memory_advise(const struct ChainAsk *ask, uint32_t per_machine, struct MemoryAdvice advice[MAX_ADVICE])
{
    struct Advising a = {advice, 0};
    advise_less(&a, ask);
    advise_formats(&a, ask);
    advise_devices(&a, ask, per_machine);
    return a.count;
}
