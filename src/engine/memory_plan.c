// A dry run of loading a model and opening a session: the same sizes and blocks, and no device.
#include "engine/memory_plan.h"

#include <inttypes.h>
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
    const uint64_t slices = 2 * (s->model->end - s->model->first);
    dry_slices(s->device, &dry->pools[MEMORY_DEVICE], cache_bytes(&cache), slices);
    plan->cache = slices * cache_bytes(&cache);
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
    dry->m.device.info = ask->limits ? *ask->limits : usual;
    dry->m.device.software = !strcmp(dry->m.device.info.type, "software");
    model_sizes(&dry->m.model, ask->config);
    dry->m.model.first = ask->first;
    if (ask->end) dry->m.model.end = ask->end;
    dry->m.model.device = &dry->m.device;
    dry->m.format = format_of(ask->weights);
    dry->s.session.model = &dry->m.model;
    dry->s.session.device = &dry->m.device;
    dry->s.session.context = ask->context;
    dry->s.session.sequences = ask->batch;
    dry->s.session.step_rows = 1;
    dry->s.session.in_flight = chain_in_flight(ask->stages ? ask->stages : 1);
    dry->s.session.kv = format_kv(ask->kv);
    dry->s.session.by_matrices = dry->m.device.info.coopmat && dry->m.format != WEIGHTS_F32;
    buffers_sizes(&dry->s.session);
    dry->s.session.head_parts =
        ask->batch > 1 ? buffers_head_parts(&dry->s.session) : (dry->m.model.vocab + GROUP_OUTPUTS - 1) / GROUP_OUTPUTS;
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

static void plan_step(const struct Dry *dry, const struct MemoryAsk *ask, struct MemoryPlan *plan)
{
    const struct vkgpt_model *m = &dry->m.model;
    uint64_t positions = 0;
    plan->step = model_step_bytes(m, &dry->m.bytes);
    for (uint32_t l = m->first; l < m->end; l++) positions += positions_seen(ask->config, l, ask->context);
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
    const uint32_t end = ask->end ? ask->end : c->layers;
    if (ask->first >= end || end > c->layers)
        return fail(err, VKGPT_BAD_ARGUMENT,
                    "a stage of the layers from %" PRIu32 " up to %" PRIu32 ": the model has %" PRIu32 " layers",
                    ask->first, end, c->layers);
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
