// A dry run of loading a model and opening a session: the same sizes and blocks, and no device.
#include "engine/memory_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/buffers.h"
#include "engine/formats.h"
#include "model/arithmetic.h"

#define GROUP_OUTPUTS 8 // of a workgroup of head on a GPU, in the variant with the most workgroups

// --------------------------------------------------------------------------------------- pools without memory

struct DryPool {
    uint64_t block_bytes, *left;    // of each block
    uint32_t count, capacity, full; // full: how many of the first blocks have no byte left
    uint64_t total;
    bool failed; // no host memory
};

// Adds a block to the list.
static bool dry_block(struct DryPool *pool)
{
    if (pool->count == pool->capacity) {
        uint32_t capacity = 2 * pool->capacity + 8;
        uint64_t *left = realloc(pool->left, capacity * sizeof *left);
        if (!left) {
            pool->failed = true;
            return false;
        }
        pool->left = left;
        pool->capacity = capacity;
    }
    pool->count++;
    return true;
}

// Puts `count` slices of one size each into the first block that has room, else into a new one, as pool_slice does.
static void dry_slices(const vkgpt_device *device, struct DryPool *pool, uint64_t bytes, uint64_t count)
{
    uint64_t aligned = memory_aligned(device, bytes ? bytes : 16), block = pool->block_bytes;
    if (block > device->info.max_allocation) block = device->info.max_allocation;
    if (aligned >= block) { // each is a block of its own, with no room left in it
        pool->total += aligned * count;
        return;
    }
    for (; count; count--) {
        while (pool->full < pool->count && !pool->left[pool->full]) pool->full++;
        uint32_t i = pool->full;
        while (i < pool->count && pool->left[i] < aligned) i++;
        if (i == pool->count) {
            if (!dry_block(pool)) return;
            pool->left[i] = block;
            pool->total += block;
        }
        pool->left[i] -= aligned;
    }
}

static void dry_slice(const vkgpt_device *device, struct DryPool *pool, uint64_t bytes)
{
    dry_slices(device, pool, bytes, 1);
}

// --------------------------------------------------------------------------------------------------- weights

struct DryModel {
    struct vkgpt_device device;
    struct vkgpt_model model;
    uint32_t format; // WEIGHTS_..., that was asked for
    struct ModelBytes bytes;
    struct DryPool pool;
};

static uint32_t wanted_format(void *user, enum ModelPart part, uint32_t layer)
{
    const struct DryModel *dry = user;
    (void)part, (void)layer;
    return dry->format;
}

static void count(void *user, const struct ModelWant *want) { model_count(&((struct DryModel *)user)->bytes, want); }

// In chunks, as matrix.c makes them.
static void dry_want(void *user, const struct ModelWant *want)
{
    struct DryModel *dry = user;
    uint64_t pitch = want->bytes / want->out, most = memory_max_slice(&dry->device) / pitch;
    if (want->part != PART_VECTORS) most = most / PAD * PAD;
    if (!most) return; // a device with these limits cannot hold a row
    if (want->out >= most) dry_slices(&dry->device, &dry->pool, most * pitch, want->out / most);
    if (want->out % most) dry_slice(&dry->device, &dry->pool, want->out % most * pitch);
}

// --------------------------------------------------------------------------------------------------- session

struct DrySession {
    struct vkgpt_session session;
    struct DryPool pools[3]; // by enum MemoryKind
};

static void dry_session(struct DrySession *dry, struct MemoryPlan *plan)
{
    struct vkgpt_session *s = &dry->session;
    struct Want wants[BUFFERS_WANTS];
    uint32_t count = buffers_wants(s, wants);
    for (uint32_t i = 0; i < count; i++) {
        const struct Slice *slice = wants[i].slice;
        bool is_row = slice == &s->b.x || slice == &s->b.n || slice == &s->b.q || slice == &s->b.a ||
                      slice == &s->b.h || slice == &s->b.e;
        uint64_t *part = is_row ? &plan->activations : slice == &s->b.logits ? &plan->logits : &plan->state;
        if (wants[i].kind == MEMORY_DEVICE) *part += wants[i].bytes;
        dry_slice(s->device, &dry->pools[wants[i].kind], wants[i].bytes);
    }
    const struct Cache cache = session_cache(s);
    dry_slices(s->device, &dry->pools[MEMORY_DEVICE], cache_bytes(&cache), 2 * s->model->config.layers);
    plan->cache = 2 * s->model->config.layers * cache_bytes(&cache);
    plan->rows = s->rows;
}

// ---------------------------------------------------------------------------------------------------- the plan

struct Dry {
    struct DryModel m;
    struct DrySession s;
};

static void make_dry(struct Dry *dry, const struct MemoryAsk *ask)
{
    static const vkgpt_device_info usual = {.type = "discrete GPU",
                                            .memory_bytes = UINT64_C(8) << 30,
                                            .max_buffer_range = UINT64_C(4) << 30,
                                            .max_allocation = UINT64_C(4) << 30,
                                            .offset_alignment = 64};
    struct Config share = *ask->config;
    share.layers = (share.layers + ask->devices - 1) / ask->devices;
    dry->m.device.info = ask->limits ? *ask->limits : usual;
    dry->m.device.software = !strcmp(dry->m.device.info.type, "software");
    model_sizes(&dry->m.model, &share);
    dry->m.model.device = &dry->m.device;
    dry->m.format = format_of(ask->weights);
    dry->s.session.model = &dry->m.model;
    dry->s.session.device = &dry->m.device;
    dry->s.session.context = ask->context;
    dry->s.session.sequences = ask->batch;
    dry->s.session.step_rows = 1;
    dry->s.session.kv = format_kv(ask->kv);
    dry->s.session.by_matrices = dry->m.device.info.coopmat && dry->m.format != WEIGHTS_F32;
    buffers_sizes(&dry->s.session);
    uint32_t stretch = ask->batch > 1 ? BEST_STRETCH : GROUP_OUTPUTS;
    dry->s.session.decode.head_groups = (dry->m.model.vocab + stretch - 1) / stretch;
}

static void plan_weights(struct DryModel *dry, struct MemoryPlan *plan)
{
    model_wants(&dry->model, wanted_format, count, dry);
    plan->tables = dry->bytes.tables + dry->bytes.projections;
    plan->layers = dry->bytes.layers;
    plan->vectors = dry->bytes.vectors;
    dry->pool.block_bytes = model_block_bytes(&dry->model, &dry->bytes);
    model_wants(&dry->model, wanted_format, dry_want, dry);
    plan->weight_blocks = dry->pool.total;
    plan->staging = dry->device.info.unified ? 0 : UPLOAD_PIECES * UPLOAD_PIECE_BYTES;
}

// What one step reads, over all devices, which share the layers evenly.
static void plan_step(const struct Dry *dry, const struct MemoryAsk *ask, struct MemoryPlan *plan)
{
    const struct Config *c = ask->config;
    const struct vkgpt_model *m = &dry->m.model;
    struct ModelBytes all = dry->m.bytes;
    uint64_t final_norm = (uint64_t)m->dim * 8, positions = 0;
    all.layers = all.layers / m->config.layers * c->layers;
    all.vectors = (all.vectors - final_norm) / m->config.layers * c->layers + final_norm;
    plan->step = model_step_bytes(&all);
    for (uint32_t l = 0; l < c->layers; l++) positions += positions_seen(c, l, ask->context);
    const struct Cache cache = session_cache(&dry->s.session);
    plan->step_cache = cache_read_bytes(&cache, positions) * ask->batch;
}

static int dry_run(struct Dry *dry, const struct MemoryAsk *ask, struct MemoryPlan *plan, vkgpt_error *err)
{
    dry->s.pools[MEMORY_DEVICE].block_bytes = SESSION_BLOCK;
    dry->s.pools[MEMORY_UPLOAD].block_bytes = dry->s.pools[MEMORY_READ].block_bytes = HOST_BLOCK;
    plan_weights(&dry->m, plan);
    dry_session(&dry->s, plan);
    plan_step(dry, ask, plan);
    plan->session_blocks = dry->s.pools[MEMORY_DEVICE].total;
    plan->upload = dry->s.pools[MEMORY_UPLOAD].total;
    plan->read = dry->s.pools[MEMORY_READ].total;
    plan->device = plan->weight_blocks + plan->session_blocks;
    bool failed = dry->m.pool.failed;
    free(dry->m.pool.left);
    for (int kind = 0; kind < 3; kind++) {
        failed = failed || dry->s.pools[kind].failed;
        free(dry->s.pools[kind].left);
    }
    return failed ? fail_memory(err, "the plan", sizeof *dry) : VKGPT_OK;
}

int memory_plan(const struct MemoryAsk *ask, struct MemoryPlan *plan, vkgpt_error *err)
{
    const struct Config *c = ask->config;
    *plan = (struct MemoryPlan){0};
    if (!ask->context || ask->context > c->context)
        return fail(err, VKGPT_BAD_ARGUMENT, "a context of %" PRIu32 " tokens: the model has %" PRIu32 " positions",
                    ask->context, c->context);
    if (!ask->devices || ask->devices > c->layers)
        return fail(err, VKGPT_BAD_ARGUMENT, "%" PRIu32 " devices: the model has %" PRIu32 " layers to cut over them",
                    ask->devices, c->layers);
    if (!ask->batch) return fail(err, VKGPT_BAD_ARGUMENT, "a batch of no sequence");
    struct Dry *dry = calloc(1, sizeof *dry);
    if (!dry) return fail_memory(err, "the plan", sizeof *dry);
    make_dry(dry, ask);
    int status = dry_run(dry, ask, plan, err);
    free(dry);
    return status;
}

int memory_offer(const char *which, struct MemoryOffer *offer, vkgpt_error *err)
{
    // clang-format off
    static const char *const sources[][2] = {
        [MEMORY_OF_HOST] = {"free memory of the host", "the host's memory not in use: it is what a software driver has"},
        [MEMORY_OF_BUDGET] = {"left of the driver's budget", "the device-local heap's budget less its usage (VK_EXT_memory_budget)"},
        [MEMORY_OF_HEAP] = {"the device's heap", "the size of the largest device-local heap: the driver tells no budget"},
    };
    // clang-format on
    vkgpt_device *device;
    int status = vkgpt_device_open(which, &device, err);
    if (status) return status;
    const char *const *source = sources[memory_source(device)];
    *offer = (struct MemoryOffer){device->info, memory_available(device), source[0], source[1]};
    vkgpt_device_close(device);
    return VKGPT_OK;
}

// ----------------------------------------------------------------------------------------------------- advice

struct Advising {
    uint64_t bytes;
    struct MemoryAdvice *advice;
    uint32_t count;
};

static bool fits(const struct MemoryAsk *ask, uint64_t bytes, uint64_t *device)
{
    struct MemoryPlan plan;
    if (memory_plan(ask, &plan, NULL)) return false;
    *device = plan.device;
    return plan.device <= bytes;
}

__attribute__((format(printf, 3, 4))) static bool advise(struct Advising *a, const struct MemoryAsk *ask,
                                                         const char *format, ...)
{
    uint64_t device;
    if (a->count == MAX_ADVICE || !fits(ask, a->bytes, &device)) return false;
    struct MemoryAdvice *advice = &a->advice[a->count++];
    va_list args;
    va_start(args, format);
    vsnprintf(advice->flags, sizeof advice->flags, format, args);
    va_end(args);
    advice->device = device;
    return true;
}

// The largest value below `now` that fits; 0: none.
static uint32_t largest_that_fits(const struct MemoryAsk *ask, uint32_t *value, uint32_t now, uint64_t bytes)
{
    uint32_t low = 0, high = now;
    uint64_t device;
    while (high - low > 1) {
        *value = low + (high - low) / 2;
        if (fits(ask, bytes, &device)) low = *value;
        else high = *value;
    }
    return low;
}

static void advise_less(struct Advising *a, const struct MemoryAsk *ask)
{
    struct MemoryAsk other = *ask;
    other.context = largest_that_fits(&other, &other.context, ask->context, a->bytes);
    if (other.context) advise(a, &other, "-c %" PRIu32, other.context);
    other = *ask;
    other.batch = largest_that_fits(&other, &other.batch, ask->batch, a->bytes);
    if (other.batch) advise(a, &other, "--batch %" PRIu32, other.batch);
}

// Narrower formats, of which the widest that fits is advised: for the cache, for the weights, or for both.
static const vkgpt_format narrower[] = {VKGPT_F16, VKGPT_Q8_0, VKGPT_Q4_K, VKGPT_Q4_0};

static const char *name_of(vkgpt_format asked) { return format_name(format_of(asked)); }

static bool narrower_than(vkgpt_format a, vkgpt_format b)
{
    return matrix_bytes(PAD, 256, format_of(a)) < matrix_bytes(PAD, 256, format_of(b));
}

static void advise_formats(struct Advising *a, const struct MemoryAsk *ask)
{
    struct MemoryAsk other = *ask;
    for (size_t i = 0; i < 2; i++) {
        other.kv = narrower[i];
        if (narrower_than(other.kv, ask->kv) && advise(a, &other, "--kv %s", name_of(other.kv))) break;
    }
    other = *ask;
    bool found = false;
    for (size_t i = 0; !found && i < 4; i++) {
        other.weights = narrower[i];
        found = narrower_than(other.weights, ask->weights) && advise(a, &other, "--weights %s", name_of(other.weights));
    }
    if (a->count) return;
    other.kv = narrower_than(VKGPT_Q8_0, ask->kv) ? VKGPT_Q8_0 : ask->kv;
    for (size_t i = 0; !found && i < 4; i++) {
        other.weights = narrower[i];
        if (narrower_than(ask->weights, other.weights)) continue;
        found = advise(a, &other, "--weights %s --kv %s", name_of(other.weights), name_of(other.kv));
    }
}

static void advise_devices(struct Advising *a, const struct MemoryAsk *ask)
{
    struct MemoryAsk other = *ask;
    uint32_t low = ask->devices, high = ask->config->layers;
    uint64_t device;
    other.devices = high;
    if (high <= low || !fits(&other, a->bytes, &device)) return;
    while (high - low > 1) {
        other.devices = low + (high - low) / 2;
        if (fits(&other, a->bytes, &device)) high = other.devices;
        else low = other.devices;
    }
    other.devices = high;
    advise(a, &other, "--devices %" PRIu32, high);
}

uint32_t memory_advise(const struct MemoryAsk *ask, uint64_t bytes, struct MemoryAdvice advice[MAX_ADVICE])
{
    struct Advising a = {bytes, advice, 0};
    advise_less(&a, ask);
    advise_formats(&a, ask);
    advise_devices(&a, ask);
    return a.count;
}
