#include "engine/persistent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ahead.h"
#include "engine/buffers.h"
#include "engine/forward.h"

#define MOST_GROUPS 1024
#define GPU_TURNS (1u << 18) // of a wait: about a fifth of a second
#define SOFTWARE_TURNS (1u << 26)
#define TRIAL_GPU_TURNS (1u << 12)
#define TEAM 128       // lanes that attend together: as in a workgroup of attend, for the same bits
#define MOST_LANES 512 // of a workgroup

static uint32_t step_rows(const struct vkgpt_session *s) { return s->sequences * s->step_rows; }

// Rows of x of one product, as step_tokens in kernels.c.
static uint32_t tokens_of(uint32_t rows)
{
    uint32_t tokens = 1;
    while (tokens < rows) tokens *= 2;
    return tokens;
}

static uint32_t lanes_of(const vkgpt_device *device)
{
    return device->info.max_workgroup < MOST_LANES ? 256 : MOST_LANES;
}

// ------------------------------------------------------------------------------------- what it can do

static bool refuse(char *why, size_t size, const char *sentence)
{
    snprintf(why, size, "%s", sentence);
    return false;
}

// Whether every layer has each of its matrices in one chunk, and in the format of the first layer's.
static bool layers_alike(const struct vkgpt_model *m)
{
    for (uint32_t l = 0; l < m->config.layers; l++)
        for (uint32_t p = 0; p < LAYER_PRODUCTS; p++) {
            const struct Matrix *matrix = &m->layers[l].matrices[p];
            if (matrix->chunk_count != 1 || matrix->format != m->layers[0].matrices[p].format) return false;
        }
    return true;
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

// Shared memory of persistent.comp and what it includes.
static uint64_t shared_bytes(const struct vkgpt_session *s)
{
    const struct vkgpt_model *m = s->model;
    uint64_t lanes = lanes_of(s->device), widest = larger(m->inner, larger(m->dim, m->width)), teams = lanes / TEAM;
    uint64_t staged = larger(step_rows(s) == 1 ? widest * 4 + widest / 2 : 0, lanes * 32);
    return staged + teams * (m->head_dim + cache_span(&m->config)) * 4 + lanes * 8 + 9216;
}

static bool fits_model(const struct vkgpt_session *s, char *why, size_t size)
{
    const struct vkgpt_model *m = s->model;
    const vkgpt_device *device = s->device;
    if (!device->addresses) return refuse(why, size, "the device's buffers have no addresses");
    if (device->info.max_workgroup < 256 || TEAM % device->info.subgroup_size)
        return refuse(why, size, "its workgroups are too small");
    if (!built_in_persistent(device)) return refuse(why, size, "its lanes have too few registers");
    if (m->hidden_only) return refuse(why, size, "the model has no head");
    if (m->projected) return refuse(why, size, "the embedding has a width of its own");
    if (m->wte.chunk_count != 1 || m->head->chunk_count != 1 || !layers_alike(m))
        return refuse(why, size, "its matrices are in pieces, or of different formats");
    if (shared_bytes(s) > device->info.shared_bytes) return refuse(why, size, "its rows do not fit into shared memory");
    return true;
}

bool persistent_fits(const struct vkgpt_session *s, char *why, size_t size)
{
    if (s->kv == KV_Q8_0) return refuse(why, size, "the cache is quantised");
    if (s->step_rows > 1) return refuse(why, size, "steps have drafts");
    if (step_rows(s) > PERSISTENT_ROWS) return refuse(why, size, "there are too many sequences");
    return fits_model(s, why, size);
}

bool persistent_possible(const vkgpt_model *m)
{
    char why[96];
    const struct vkgpt_session one = {.model = (vkgpt_model *)m, .device = m->device, .sequences = 1, .step_rows = 1};
    return !m->device->software && fits_model(&one, why, sizeof why);
}

// ----------------------------------------------------------------------------------------- the kernel

// A matrix with few outputs is divided into small pieces, so that most subgroups get one.
static uint32_t rows_for(uint32_t outputs) { return outputs <= 4096 ? 2 : 4; }

int persistent_pipeline(vkgpt_device *device, const struct Shape *shape, const struct ProductFormats *formats,
                        uint32_t rows, const struct Pipeline **pipeline, vkgpt_error *err)
{
    const uint32_t constants[] = {
        [CONSTANT_SIZE] = lanes_of(device),
        [CONSTANT_KV] = shape->kv,
        [CONSTANT_PERSISTENT_DIM] = shape->dim,
        [CONSTANT_PERSISTENT_HEADS_WIDTH] = shape->width,
        [CONSTANT_PERSISTENT_INNER] = shape->inner,
        [CONSTANT_PERSISTENT_SUBGROUP] = device->info.subgroup_size,
        [CONSTANT_PERSISTENT_TOKENS] = tokens_of(rows),
        [CONSTANT_PERSISTENT_ACTIVATION] = activation_constant(shape->activation),
        [CONSTANT_PERSISTENT_HEAD_DIM] = shape->head_dim,
        [CONSTANT_PERSISTENT_SPAN] = shape->span,
        [CONSTANT_PERSISTENT_ATTEND_AHEAD] = built_in_ahead(device),
        [CONSTANT_PERSISTENT_LOADS] = built_in_loads(device),
        [CONSTANT_PERSISTENT_MERGED_AHEAD] = built_in_ahead(device),
        [CONSTANT_PERSISTENT_MOST_HELD] = built_in_held(device),
        [CONSTANT_PERSISTENT_TEAM] = TEAM,
        [CONSTANT_PERSISTENT_PRE_NORM] = !shape->post_norm,
        [CONSTANT_PERSISTENT_QKV_WEIGHTS] = formats->qkv,
        [CONSTANT_PERSISTENT_PROJECT_WEIGHTS] = formats->project,
        [CONSTANT_PERSISTENT_EXPAND_WEIGHTS] = formats->expand,
        [CONSTANT_PERSISTENT_CONTRACT_WEIGHTS] = formats->contract,
        [CONSTANT_PERSISTENT_HEAD_WEIGHTS] = formats->head,
        [CONSTANT_PERSISTENT_EMBED_WEIGHTS] = formats->embed,
        [CONSTANT_PERSISTENT_QKV_ROWS] = rows_for(3 * shape->width),
        [CONSTANT_PERSISTENT_PROJECT_ROWS] = rows_for(shape->dim),
        [CONSTANT_PERSISTENT_EXPAND_ROWS] = rows_for(shape->inner),
        [CONSTANT_PERSISTENT_CONTRACT_ROWS] = rows_for(shape->dim),
        [CONSTANT_PERSISTENT_HEAD_ROWS] = rows_for(shape->vocab),
        [CONSTANT_PERSISTENT_FINAL_NORM] = !shape->no_final_norm,
    };
    return pipeline_get(device, "persistent", constants, sizeof constants / sizeof *constants, pipeline, err);
}

static int compile(const struct vkgpt_model *m, uint32_t kv, uint32_t rows, const struct Pipeline **pipeline,
                   vkgpt_error *err)
{
    const struct Layer *layer = &m->layers[0];
    const struct Shape shape = kernels_shape(m, kv);
    const struct ProductFormats formats = {layer->c_attn.format, layer->c_proj.format, layer->c_fc.format,
                                           layer->c_out.format,  m->head->format,      m->wte.format};
    return persistent_pipeline(m->device, &shape, &formats, rows, pipeline, err);
}

void persistent_ahead(const vkgpt_model *m, uint32_t kv)
{
    const struct Pipeline *pipeline;
    if (kv != KV_Q8_0 && persistent_possible(m)) compile(m, kv, 1, &pipeline, NULL);
}

// ---------------------------------------------------------------------------------------- the program

// Stand-ins for pipelines: each says which phase a dispatch becomes.
// clang-format off
static const struct Pipeline STAND_INS[] = {
    [PHASE_EMBED] = {.kernel = "embed", .phase = PHASE_EMBED},          [PHASE_QKV] = {.kernel = "qkv", .phase = PHASE_QKV},
    [PHASE_ATTEND] = {.kernel = "attend", .phase = PHASE_ATTEND},       [PHASE_PROJECT] = {.kernel = "project", .phase = PHASE_PROJECT},
    [PHASE_EXPAND] = {.kernel = "expand", .phase = PHASE_EXPAND},       [PHASE_CONTRACT] = {.kernel = "contract", .phase = PHASE_CONTRACT},
    [PHASE_HEAD] = {.kernel = "head", .phase = PHASE_HEAD},             [PHASE_SAMPLE] = {.kernel = "sample", .phase = PHASE_SAMPLE},
    [PHASE_NORM] = {.kernel = "norm", .phase = PHASE_NORM},             [PHASE_MERGE] = {.kernel = "merge", .phase = PHASE_MERGE},
    [PHASE_BEST] = {.kernel = "best", .phase = PHASE_BEST},
};
// clang-format on

static struct Product stand_in_product(uint32_t phase, uint32_t rows)
{
    struct Product product = {0};
    for (uint32_t format = 0; format < FORMATS; format++) {
        product.pipelines[format] = &STAND_INS[phase];
        product.group_outputs[format] = product.whole_outputs[format] =
            UINT32_MAX / 2; // the kernel divides them itself
        product.group_rows[format] = product.whole_rows[format] = PERSISTENT_ROWS;
        product.segments[format] = 1;
        product.staged[format] = rows == 1;
    }
    return product;
}

static struct Kernels stand_ins(const struct vkgpt_session *s, uint32_t groups)
{
    uint32_t rows = step_rows(s);
    struct Kernels k = {
        .norm = &STAND_INS[PHASE_NORM],
        .norm_input = &STAND_INS[PHASE_NORM],
        .attend = &STAND_INS[PHASE_ATTEND],
        .merge = &STAND_INS[PHASE_MERGE],
        .sample = &STAND_INS[PHASE_SAMPLE],
        .best = &STAND_INS[PHASE_BEST],
        .qkv = stand_in_product(PHASE_QKV, rows),
        .project = stand_in_product(PHASE_PROJECT, rows),
        .expand = stand_in_product(PHASE_EXPAND, rows),
        .contract = stand_in_product(PHASE_CONTRACT, rows),
        .head = stand_in_product(PHASE_HEAD, rows),
        .head_groups = rows == 1 ? groups : s->decode->head_groups,
        .span = s->decode->span,
    };
    for (uint32_t format = 0; format < FORMATS; format++) k.embed[format] = &STAND_INS[PHASE_EMBED];
    return k;
}

// Copies the program to the device, once: the kernel reads it for every phase.
static int upload_program(struct vkgpt_session *s, const struct Program *program, vkgpt_error *err)
{
    struct Persistent *p = &s->persistent;
    VkDeviceSize bytes = program->count * sizeof(struct Phase);
    struct Pool staging = {.kind = MEMORY_UPLOAD, .block_bytes = HOST_BLOCK};
    struct Slice from;
    struct Recording rec = {0};
    int status = pool_slice(s->device, &s->device_pool, bytes, "the program of a step", &p->program, err);
    if (!status) status = pool_slice(s->device, &staging, bytes, "the program of a step", &from, err);
    if (!status) memcpy(from.host, program->phases, bytes);
    if (!status) status = recording_begin(s->device, "the program of a step", 1, &rec, err);
    if (!status) {
        recording_copy(&rec, &from, 0, &p->program, 0, bytes);
        status = recording_run_once(&rec, err);
    }
    pool_free(s->device, &staging);
    if (!status) p->phases = program->count;
    return status;
}

static int make_program(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct Kernels k = stand_ins(s, s->persistent.groups);
    struct Program program = {.capacity = forward_max_sets(s)};
    program.phases = device_alloc(s->device, program.capacity, sizeof *program.phases);
    if (!program.phases) return fail_memory(err, "the program of a step", program.capacity * sizeof *program.phases);
    struct Recording rec = recording_of_program(s->device, "the program of a step", &program, err);
    const struct Pass pass = pass_of_step(s, &rec, &k, session_range(s), 0);
    forward_step(&pass, s->splits);
    int status = rec.status ? rec.status : upload_program(s, &program, err);
    free(program.phases);
    return status;
}

// ------------------------------------------------------------------------------------------- running it

static void record(struct vkgpt_session *s, struct Recording *rec, uint32_t groups, struct PersistentArgs args)
{
    struct Persistent *p = &s->persistent;
    struct Slice arrived = p->meeting;
    arrived.bytes = 4; // the second word is kept: whether one gave up
    args.sequences = s->sequences;
    args.program_low = (uint32_t)p->program.address;
    args.program_high = (uint32_t)(p->program.address >> 32);
    recording_fill(rec, &arrived, 0);
    dispatch(rec, p->pipeline, (struct Grid){groups, 1, 1},
             BUFFERS(&s->b.state, p->program.buffer ? &p->program : &p->meeting, &p->meeting, &p->outcome), &args,
             sizeof args);
}

int persistent_steps(struct vkgpt_session *s, uint32_t step_size, uint32_t turn, struct Recording **rec,
                     vkgpt_error *err)
{
    const struct Persistent *p = &s->persistent;
    struct Recording *steps = *rec = &s->persistent_steps[step_size][turn];
    if (steps->commands) return VKGPT_OK;
    int status = recording_begin(s->device, "decode, as one kernel", 1, steps, err);
    if (status) return status;
    record(s, steps, p->groups,
           (struct PersistentArgs){
               .steps = 1u << step_size,
               .phases = p->phases,
               .turns = s->device->software ? SOFTWARE_TURNS : GPU_TURNS,
               .stays_away = p->stays_away,
           });
    return recording_end(steps);
}

bool persistent_gave_up(struct vkgpt_session *s)
{
    struct Persistent *p = &s->persistent;
    if (p->groups && *(const volatile uint32_t *)p->outcome.host) {
        p->groups = 0;
        p->gave_up = true;
        s->counters.gave_up++;
    }
    return p->gave_up;
}

// --------------------------------------------------------------------------------------------- the trial

static int clear_meeting(struct vkgpt_session *s, vkgpt_error *err)
{
    struct Recording rec = {0};
    int status = recording_begin(s->device, "clearing the meeting", 1, &rec, err);
    if (status) return status;
    recording_fill(&rec, &s->persistent.meeting, 0);
    recording_fill(&rec, &s->persistent.outcome, 0);
    return recording_run_once(&rec, err);
}

// Whether `groups` workgroups can wait for each other: runs the kernel itself, with no work between its barriers.
static int try_groups(struct vkgpt_session *s, uint32_t groups, bool *met, vkgpt_error *err)
{
    struct Recording rec = {0};
    uint32_t turns = s->device->software ? SOFTWARE_TURNS : TRIAL_GPU_TURNS;
    int status = clear_meeting(s, err);
    if (!status) status = recording_begin(s->device, "the trial of a step as one kernel", 1, &rec, err);
    if (!status) {
        record(s, &rec, groups, (struct PersistentArgs){.turns = turns});
        status = recording_run_once(&rec, err);
    }
    *met = !status && !*(const volatile uint32_t *)s->persistent.outcome.host;
    return status;
}

// The largest number of workgroups that meet: doubles it until they do not, then bisects.
static int count_resident(struct vkgpt_session *s, uint32_t most, uint32_t *resident, vkgpt_error *err)
{
    uint32_t fail_at = most + 1;
    int status = VKGPT_OK;
    *resident = 0;
    for (uint32_t groups = 1; !status && groups < fail_at;) {
        bool met;
        status = try_groups(s, groups, &met, err);
        if (met) *resident = groups;
        else fail_at = groups;
        if (!*resident) break;
        groups = fail_at > most ? (2 * *resident < most ? 2 * *resident : most) : (*resident + fail_at) / 2;
        if (groups == *resident) break;
    }
    return status;
}

// Keeps the number that is asked for, or sets 0 if they do not meet. A single workgroup shows first whether the driver
// ends long loops.
static int try_asked(struct vkgpt_session *s, uint32_t *groups, uint32_t most, vkgpt_error *err)
{
    bool loops = false, met = false;
    int status = try_groups(s, 1, &loops, err);
    if (!status && loops && *groups <= most) status = try_groups(s, *groups, &met, err);
    if (!met) *groups = 0;
    return status;
}

int persistent_open(struct vkgpt_session *s, uint32_t groups, vkgpt_error *err)
{
    struct Persistent *p = &s->persistent;
    // head writes a part for each workgroup, into the room that its dispatch has
    uint32_t most = step_rows(s) == 1 && s->decode->head_groups < MOST_GROUPS ? s->decode->head_groups : MOST_GROUPS;
    char why[96];
    if (!persistent_fits(s, why, sizeof why) || (!groups && s->device->software)) return VKGPT_OK;
    int status = compile(s->model, s->kv, step_rows(s), &p->pipeline, err);
    if (!status) status = pool_slice(s->device, &s->device_pool, 8, "the meeting of workgroups", &p->meeting, err);
    if (!status) status = pool_slice(s->device, &s->read_pool, 4, "the meeting of workgroups", &p->outcome, err);
    if (status) return status;
    if (!groups) status = count_resident(s, most, &groups, err);
    else status = try_asked(s, &groups, most, err);
    if (!status) status = clear_meeting(s, err);
    if (status || groups < 2) return status;
    p->groups = groups;
    status = make_program(s, err);
    if (status) p->groups = 0;
    return status;
}
