#include "engine/session_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ahead.h"
#include "engine/formats.h"
#include "engine/bounds.h"
#include "engine/buffers.h"
#include "engine/deterministic.h"
#include "engine/flights.h"
#include "engine/forward.h"
#include "engine/persistent.h"
#include "engine/recordings.h"
#include "engine/session_kernels.h"
#include "engine/settings.h"
#include "engine/tuning.h"

#define MOST_SPLITS 32768 // of the cache: one workgroup each, of at most 65,535 in a direction of a grid

int session_check_options(const vkgpt_model *model, const vkgpt_session_options *o, vkgpt_error *err)
{
    if (o->context > model->config.context)
        return fail(err, VKGPT_BAD_ARGUMENT, "a context of %u tokens: %s has %u positions", o->context, model->name,
                    model->config.context);
    if (o->tokens_per_submission > MAX_STEPS)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u tokens per submission: at most %u", o->tokens_per_submission,
                    MAX_STEPS);
    if (o->sequences > MAX_SEQUENCES)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u sequences: at most %u", o->sequences, MAX_SEQUENCES);
    if (o->lookup > MAX_LOOKUP)
        return fail(err, VKGPT_BAD_ARGUMENT, "%u drafts a step: at most %u", o->lookup, MAX_LOOKUP);
    if (o->micro_batches > (o->sequences ? o->sequences : 1))
        return fail(err, VKGPT_BAD_ARGUMENT, "%u micro-batches of %u sequences: at most one for each", o->micro_batches,
                    o->sequences ? o->sequences : 1);
    if (o->kv > VKGPT_Q8_0) return fail(err, VKGPT_BAD_ARGUMENT, "the KV cache is kept in f32, f16 or q8_0 only");
    return VKGPT_OK;
}

// The sequences as the host knows them, which only the last stage has.
static int make_slots(struct vkgpt_session *s, vkgpt_error *err)
{
    size_t each = (size_t)s->context + 1;
    s->slots = device_alloc(s->device, s->sequences, sizeof *s->slots);
    s->ids = device_alloc(s->device, s->sequences * each, sizeof *s->ids);
    if (!s->slots || !s->ids) return fail_memory(err, "the tokens", s->sequences * each * sizeof *s->ids);
    size_t biases = (size_t)s->sequences * VKGPT_MAX_BIAS;
    s->biases = device_alloc(s->device, biases, sizeof *s->biases);
    if (!s->biases) return fail_memory(err, "the biases", biases * sizeof *s->biases);
    for (uint32_t i = 0; i < s->sequences; i++) {
        s->slots[i].ids = s->ids + i * each;
        s->slots[i].bias = s->biases + (size_t)i * VKGPT_MAX_BIAS;
    }
    return VKGPT_OK;
}

// Decides whether decode is one kernel: as tuning found, or as VKGPT_PERSISTENT says. That is a number of workgroups, 0
// for as many as stay resident, or "off".
static int choose_form(struct vkgpt_session *s, vkgpt_error *err)
{
    const char *asked = getenv("VKGPT_PERSISTENT");
    const struct StepKey key = step_key(s->model);
    if (!asked || !*asked)
        return tuning_find_step(s->device, &key, STEP_FORM) == STEP_PERSISTENT ? persistent_open(s, 0, err) : VKGPT_OK;
    if (!strcmp(asked, "off")) return VKGPT_OK;
    char *end;
    unsigned long groups = strtoul(asked, &end, 10);
    if (*end || *asked < '0' || *asked > '9' || groups > UINT32_MAX)
        return fail(err, VKGPT_BAD_ARGUMENT, "VKGPT_PERSISTENT is \"%s\": off, or a number of workgroups", asked);
    int status = persistent_open(s, (uint32_t)groups, err);
    if (status || s->persistent.groups) return status;
    char why[96] = "its workgroups do not meet";
    persistent_fits(s, why, sizeof why);
    snprintf(s->note, sizeof s->note, "decode stays with dispatches on %.100s: %s", s->device->info.name, why);
    return VKGPT_OK;
}

// Opens the sessions of the stages before, and makes the inbox that goes to them.
static int open_upstream(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct StageOptions options = {.context = s->context,
                                         .sequences = s->sequences,
                                         .step_rows = s->step_rows,
                                         .kv = s->kv_asked,
                                         .deterministic = s->deterministic,
                                         .in_flight = s->in_flight};
    if (!s->model->open_upstream) return VKGPT_OK;
    size_t inbox = buffers_inbox_bytes(s), given = buffers_given_bytes(s);
    s->outbox.head = device_alloc(s->device, 1, inbox);
    s->outbox.given = device_alloc(s->device, 1, given);
    if (!s->outbox.head || !s->outbox.given) return fail_memory(err, "the inbox", inbox + given);
    return s->model->open_upstream(s->model, &options, &s->upstream, err);
}

// Compiled in the background, before a prompt comes.
static int make_kernels(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct Kernels *k;
    int status = VKGPT_OK;
    for (uint32_t size = 0; size < BLOCK_SIZES && !status; size++)
        status = session_prefill_kernels(s, buffers_block_rows(s, size), &k, err);
    for (uint32_t sequences = 1; sequences < s->sequences && !status; sequences *= 2)
        status = session_step_kernels(s, sequences * s->step_rows, &k, err);
    return status;
}

static int session_make(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct vkgpt_model *m = s->model;
    int status = tuning_open(s->device, err);
    if (status) return status;
    if (s->deterministic) status = deterministic_check(s->device, err);
    if (status) return status;
    struct Shape shape = session_shape(s);
    status = session_step_kernels(s, s->sequences * s->step_rows, &s->decode, err);
    if (status) return status;
    buffers_sizes(s);
    s->by_matrices = s->device->info.coopmat && !shape.formats[WEIGHTS_F32] && !s->deterministic;
    if (s->splits > MOST_SPLITS) return fail(err, VKGPT_BAD_ARGUMENT, "a context of %u tokens is too long", s->context);
    s->head_parts = s->sequences > 1 ? buffers_head_parts(s) : s->step_rows * s->decode->head_groups;
    if (model_has_head(m)) status = make_slots(s, err);
    if (!status) status = buffers_make(s, err);
    // all sequences are stopped
    if (!status) status = recording_fill_once(s->device, "setting the state", &s->b.state, STOP_FULL, err);
    if (!status && !s->deterministic && model_is_whole(m)) status = choose_form(s, err);
    return status || s->device->software ? status : make_kernels(s, err);
}

static void take_options(struct vkgpt_session *s, vkgpt_model *model, const struct StageOptions *o)
{
    s->model = model;
    s->device = model->device;
    s->context = o->context;
    s->sequences = o->sequences;
    s->step_rows = o->step_rows;
    s->kv_asked = o->kv;
    s->kv = format_kv((vkgpt_format)o->kv);
    s->deterministic = o->deterministic;
    s->in_flight = o->in_flight;
    s->micro_batches = 1;
    s->first_flops = s->device->software ? 0.0 : FIRST_FLOPS; // no watchdog
}

static int finish(struct vkgpt_session *s, vkgpt_session **opened, vkgpt_error *err)
{
    int status = session_make(s, err);
    if (!status) status = open_upstream(s, err);
    if (status) vkgpt_session_close(s);
    else *opened = s;
    return status;
}

int session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened, vkgpt_error *err)
{
    *opened = NULL;
    vkgpt_session_options o = options ? *options : (vkgpt_session_options){0};
    int status = session_check_options(model, &o, err);
    if (status) return status;
    struct vkgpt_session *s = device_alloc(model->device, 1, sizeof *s);
    if (!s) return fail_memory(err, "the session", sizeof *s);
    const struct StageOptions own = {.context = o.context ? o.context : model->config.context,
                                     .sequences = o.sequences ? o.sequences : 1,
                                     .step_rows = 1 + o.lookup,
                                     .kv = (uint32_t)o.kv,
                                     .deterministic = o.deterministic,
                                     .in_flight = chain_in_flight(model->stage + 1)};
    take_options(s, model, &own);
    if (!model_is_whole(model)) s->micro_batches = o.micro_batches ? o.micro_batches : model->stage + 1;
    if (s->micro_batches > s->sequences) s->micro_batches = s->sequences;
    s->steps_asked = o.tokens_per_submission;
    s->on_block = o.on_block;
    s->user = o.user;
    // a CPU by itself gains nothing by a second block, and takes long for one
    s->blocks_queued = s->device->software && model_is_whole(model) ? 1 : s->in_flight;
    return finish(s, opened, err);
}

int session_open_stage(vkgpt_model *model, const struct StageOptions *options, vkgpt_session **opened, vkgpt_error *err)
{
    *opened = NULL;
    struct vkgpt_session *s = device_alloc(model->device, 1, sizeof *s);
    if (!s) return fail_memory(err, "the session", sizeof *s);
    take_options(s, model, options);
    return finish(s, opened, err);
}

const char *vkgpt_session_note(const vkgpt_session *s) { return s->note; }

void vkgpt_session_close(vkgpt_session *s)
{
    if (!s) return;
    flights_drain(s, NULL);
    if (s->upstream) s->upstream->close(s->upstream);
    recordings_free(s);
    pool_free(s->device, &s->device_pool);
    pool_free(s->device, &s->upload_pool);
    pool_free(s->device, &s->read_pool);
    free(s->b.k);
    free(s->b.v);
    free(s->outbox.head);
    free(s->outbox.given);
    free(s->slots);
    free(s->ids);
    free(s->biases);
    free(s);
}

vkgpt_counters vkgpt_session_counters(const vkgpt_session *s)
{
    vkgpt_counters counters = s->counters;
    counters.recordings = s->device->recordings;
    counters.descriptor_writes = s->device->descriptor_writes;
    counters.device_allocations = s->device->device_allocations;
    counters.host_allocations = s->device->host_allocations;
    return counters;
}
