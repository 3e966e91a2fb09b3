// Opening a session, and its sequences: where they stand, back to an earlier place, and copies of each other.
#include "engine/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/quick.h"
#include "engine/tuning.h"

// ------------------------------------------------------------------------------------------- opening

static void note_format(struct Shape *shape, const struct Matrix *matrix) { shape->formats[matrix->format] = true; }

static struct Shape session_shape(const struct vkgpt_session *s)
{
    const struct vkgpt_model *m = s->model;
    struct Shape shape = kernels_shape(m, s->kv);
    const struct StepKey key = step_key(m);
    shape.state_first = tuning_find_step(m->device, &key, STEP_PROLOGUE) == STEP_STATE_FIRST;
    note_format(&shape, &m->wte);
    note_format(&shape, m->head);
    if (m->projected) {
        note_format(&shape, &m->project_in);
        note_format(&shape, &m->project_out);
    }
    for (uint32_t l = 0; l < m->config.layers; l++) {
        note_format(&shape, &m->layers[l].c_attn);
        note_format(&shape, &m->layers[l].c_proj);
        note_format(&shape, &m->layers[l].c_fc);
        note_format(&shape, &m->layers[l].c_out);
    }
    return shape;
}

int session_prefill_kernels(struct vkgpt_session *s, uint32_t rows, const struct Kernels **k, vkgpt_error *err)
{
    uint32_t size = 0;
    while (size + 1 < BLOCK_SIZES && block_rows(s, size) < rows) size++;
    *k = &s->prefill[size];
    if (s->prefill_ready[size]) return VKGPT_OK;
    struct Shape shape = session_shape(s);
    int status = kernels_for_prefill(s->device, &shape, block_rows(s, size), &s->prefill[size], err);
    s->prefill_ready[size] = !status;
    return status;
}

static int check_options(const vkgpt_model *model, const vkgpt_session_options *o, vkgpt_error *err)
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
    if (o->kv > VKGPT_Q8_0) return fail(err, VKGPT_BAD_ARGUMENT, "the KV cache is kept in f32, f16 or q8_0 only");
    return VKGPT_OK;
}

static int make_slots(struct vkgpt_session *s, vkgpt_error *err)
{
    size_t each = (size_t)s->context + 1;
    s->slots = device_alloc(s->device, s->sequences, sizeof *s->slots);
    s->ids = device_alloc(s->device, s->sequences * each, sizeof *s->ids);
    s->admitted = device_alloc(s->device, s->sequences, sizeof *s->admitted);
    if (!s->slots || !s->ids || !s->admitted)
        return fail_memory(err, "the tokens", s->sequences * each * sizeof *s->ids);
    for (uint32_t i = 0; i < s->sequences; i++) s->slots[i].ids = s->ids + i * each;
    return VKGPT_OK;
}

// Whether decode is one kernel: as tuning found, or as VKGPT_PERSISTENT says, a number of workgroups, 0 for as many as
// stay resident, or "off".
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

static int session_make(struct vkgpt_session *s, vkgpt_error *err)
{
    const struct vkgpt_model *m = s->model;
    int status = tuning_open(s->device, err);
    if (status) return status;
    struct Shape shape = session_shape(s);
    status = kernels_for_decode(s->device, &shape, s->sequences * s->step_rows, &s->decode, err);
    if (status) return status;
    session_sizes(s);
    if (s->splits > 1u << (SPLIT_SIZES - 1))
        return fail(err, VKGPT_BAD_ARGUMENT, "a context of %u tokens is too long", s->context);
    bool several = s->sequences * s->step_rows > 1;
    s->decode.head_groups =
        several ? (m->config.vocab + BEST_STRETCH - 1) / BEST_STRETCH : product_groups(&s->decode.head, m->head);
    status = make_slots(s, err);
    if (!status) status = session_make_buffers(s, err);
    if (!status) status = choose_form(s, err);
    const struct Kernels *k; // compiled beside whatever comes before a prompt
    for (uint32_t size = 0; size < BLOCK_SIZES && !status && !s->device->software; size++)
        status = session_prefill_kernels(s, block_rows(s, size), &k, err);
    return status;
}

int session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened, vkgpt_error *err)
{
    *opened = NULL;
    vkgpt_session_options o = options ? *options : (vkgpt_session_options){0};
    int status = check_options(model, &o, err);
    if (status) return status;
    struct vkgpt_session *s = device_alloc(model->device, 1, sizeof *s);
    if (!s) return fail_memory(err, "the session", sizeof *s);
    s->model = model;
    s->device = model->device;
    s->context = o.context ? o.context : model->config.context;
    s->kv = session_kv(&o);
    s->sequences = o.sequences ? o.sequences : 1;
    s->step_rows = 1 + o.lookup;
    s->steps_asked = o.tokens_per_submission;
    s->on_block = o.on_block;
    s->user = o.user;
    s->first_flops = s->device->software ? 0.0 : FIRST_FLOPS; // no watchdog
    s->blocks_queued = s->device->software ? 1 : IN_FLIGHT;   // a processor gains nothing, and takes long for a block
    status = session_make(s, err);
    if (status) {
        vkgpt_session_close(s);
        return status;
    }
    *opened = s;
    return VKGPT_OK;
}

int vkgpt_session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened,
                       vkgpt_error *err)
{
    vkgpt_session_options o = options ? *options : (vkgpt_session_options){0};
    char note[sizeof(*opened)->note] = "";
    *opened = NULL;
    int status = check_options(model, &o, err);
    if (status) return status;
    if (o.sequences <= 1 && !o.lookup) quick_tuning(model, o.kv, note, sizeof note);
    status = session_open(model, &o, opened, err);
    if (!status && note[0]) memcpy((*opened)->note, note, sizeof note);
    return status;
}

const char *vkgpt_session_note(const vkgpt_session *s) { return s->note; }

void vkgpt_session_close(vkgpt_session *s)
{
    if (!s) return;
    session_free_recordings(s);
    pool_free(s->device, &s->device_pool);
    pool_free(s->device, &s->upload_pool);
    pool_free(s->device, &s->read_pool);
    free(s->b.k);
    free(s->b.v);
    free(s->slots);
    free(s->ids);
    free(s->admitted);
    free(s);
}

// ------------------------------------------------------------------------------------------ sequences

int session_check_sequence(const struct vkgpt_session *s, uint32_t sequence, vkgpt_error *err)
{
    return sequence < s->sequences
               ? VKGPT_OK
               : fail(err, VKGPT_BAD_ARGUMENT, "sequence %u: the session has %u", sequence, s->sequences);
}

int session_check_head(const struct vkgpt_session *s, vkgpt_error *err)
{
    if (!s->model->hidden_only) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s was opened for its hidden states only: it foretells no tokens",
                s->model->name);
}

void vkgpt_session_cancel(vkgpt_session *s) { atomic_store(&s->cancelled, true); }

int session_check_cancel(struct vkgpt_session *s, vkgpt_error *err)
{
    return atomic_exchange(&s->cancelled, false) ? fail(err, VKGPT_INTERRUPTED, "cancelled") : VKGPT_OK;
}

int vkgpt_batch_rewind(vkgpt_session *s, uint32_t sequence, uint32_t position, vkgpt_error *err)
{
    int status = session_check_sequence(s, sequence, err);
    if (status) return status;
    struct Slot *slot = &s->slots[sequence];
    if (position > slot->position)
        return fail(err, VKGPT_BAD_ARGUMENT, "rewinding to %u of %u tokens", position, slot->position);
    slot->position = position;
    if (slot->cached > position) slot->cached = position;
    return VKGPT_OK;
}

int vkgpt_session_rewind(vkgpt_session *s, uint32_t position, vkgpt_error *err)
{
    return vkgpt_batch_rewind(s, 0, position, err);
}

uint32_t vkgpt_batch_position(const vkgpt_session *s, uint32_t sequence)
{
    return sequence < s->sequences ? s->slots[sequence].position : 0;
}

uint32_t vkgpt_session_position(const vkgpt_session *s) { return vkgpt_batch_position(s, 0); }

// The first `cached` positions of one sequence in K or V of a layer, for another.
static void copy_cache(const struct vkgpt_session *s, struct Recording *rec, const struct Slice *cache, uint32_t from,
                       uint32_t to, uint32_t cached)
{
    const struct vkgpt_model *m = s->model;
    VkDeviceSize heads = m->config.heads, row = s->kv == KV_F32   ? m->head_dim * 4
                                                : s->kv == KV_F16 ? m->head_dim * 2
                                                                  : m->head_dim;
    VkDeviceSize each = heads * s->context * row;
    recording_copy_runs(rec, cache, from * each, to * each, cached * row, s->context * row, (uint32_t)heads);
    if (s->kv != KV_Q8_0) return;
    VkDeviceSize scales = s->sequences * each; // behind all rows
    row = cache_row_bytes(s->kv, m->head_dim) - row;
    each = heads * s->context * row;
    recording_copy_runs(rec, cache, scales + from * each, scales + to * each, cached * row, s->context * row,
                        (uint32_t)heads);
}

int session_copy(struct vkgpt_session *s, const struct Copy *copies, size_t count, vkgpt_error *err)
{
    struct Recording rec = {0};
    if (!count) return VKGPT_OK;
    int status = recording_begin(s->device, "copying sequences", 1, &rec, err);
    if (status) return status;
    for (size_t i = 0; i < count; i++) {
        const struct Slot *source = &s->slots[copies[i].from];
        struct Slot *slot = &s->slots[copies[i].to];
        if (source == slot) continue;
        memcpy(slot->ids, source->ids, source->position * sizeof *slot->ids);
        slot->position = source->position;
        slot->cached = source->cached;
        for (uint32_t l = 0; l < s->model->config.layers; l++) {
            copy_cache(s, &rec, &s->b.k[l], copies[i].from, copies[i].to, source->cached);
            copy_cache(s, &rec, &s->b.v[l], copies[i].from, copies[i].to, source->cached);
        }
    }
    return recording_run_once(&rec, err);
}

int vkgpt_batch_copy(vkgpt_session *s, uint32_t from, const uint32_t *to, size_t count, vkgpt_error *err)
{
    int status = session_check_sequence(s, from, err);
    for (size_t i = 0; !status && i < count; i++) status = session_check_sequence(s, to[i], err);
    if (!status) status = session_prefill(s, false, err);
    for (size_t i = 0; !status && i < count; i++) status = session_copy(s, &(struct Copy){from, to[i]}, 1, err);
    return status;
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
