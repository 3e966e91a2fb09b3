#include "engine/model_hash.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/hash.h"

#define SAMPLE_BYTES 4096 // of a matrix: the beginning of its first rows, whose layout no device changes

// What is read back from the devices: slices, one after the other, in an order that does not depend on the stages.
struct Reading {
    const struct vkgpt_model *stage; // whose slices are read now; NULL: the bytes of all are counted
    struct Recording *rec;
    struct Slice to;
    VkDeviceSize at;
};

static void read_slice(struct Reading *r, const struct vkgpt_model *m, const struct Slice *slice, VkDeviceSize most)
{
    VkDeviceSize bytes = slice->bytes < most ? slice->bytes : most;
    if (r->stage == m && r->rec) recording_copy(r->rec, slice, 0, &r->to, r->at, bytes);
    r->at += bytes;
}

static void read_matrix(struct Reading *r, const struct vkgpt_model *m, const struct Matrix *matrix)
{
    uint64_t whole = matrix_bytes(matrix->out, matrix->in, matrix->format);
    if (matrix->chunk_count) read_slice(r, m, &matrix->chunks[0].slice, whole < SAMPLE_BYTES ? whole : SAMPLE_BYTES);
}

// The stage that has a layer, up to this one.
static const struct vkgpt_model *stage_of(const struct vkgpt_model *m, uint32_t layer)
{
    while (m->before && layer < m->first) m = m->before;
    return m;
}

static void read_model(struct Reading *r, const struct vkgpt_model *last)
{
    const struct vkgpt_model *first = stage_of(last, 0);
    read_matrix(r, first, &first->wte);
    read_matrix(r, first, &first->wpe);
    read_matrix(r, last, &last->own_head);
    read_matrix(r, first, &first->embed_up);
    read_matrix(r, last, &last->embed_down);
    read_slice(r, last, &last->ln_f, (VkDeviceSize)last->dim * 8);
    for (uint32_t l = 0; l < last->config.layers; l++) {
        const struct vkgpt_model *m = stage_of(last, l);
        const struct Layer *layer = &m->layers[l];
        for (int i = 0; i < LAYER_PRODUCTS; i++) read_matrix(r, m, &layer->matrices[i]);
        read_slice(r, m, &layer->vectors, (VkDeviceSize)m->at.count * 4);
    }
}

static void add_number(struct Hash *hash, uint64_t number) { hash_add(hash, &number, sizeof number); }

// The facts that K and V of a token follow from.
static void add_config(struct Hash *hash, const struct vkgpt_model *m)
{
    const struct Config *c = &m->config;
    const struct vkgpt_model *first = stage_of(m, 0);
    uint64_t facts[CONFIG_FACTS];
    config_facts(c, facts);
    hash_add(hash, facts, sizeof facts);
    add_number(hash, first->wte.format);
    add_number(hash, first->layers[0].c_fc.format);
    hash_add(hash, &c->eps, sizeof c->eps);
    hash_add(hash, c->local, sizeof c->local);
}

// Reads what one stage has of `bytes` into its places in `all`.
static int read_stage(const struct vkgpt_model *last, const struct vkgpt_model *stage, uint8_t *all, VkDeviceSize bytes,
                      vkgpt_error *err)
{
    struct Pool pool = {.kind = MEMORY_READ, .block_bytes = bytes};
    struct Recording rec;
    struct Reading r = {.stage = stage};
    int status = pool_slice(stage->device, &pool, bytes, "the hash of the model", &r.to, err);
    if (!status) status = recording_begin(stage->device, "reading the model's hash", 1, &rec, err);
    if (!status) {
        recording_fill(&rec, &r.to, 0);
        r.rec = &rec;
        read_model(&r, last);
        status = recording_run_once(&rec, err);
    }
    for (VkDeviceSize i = 0; !status && i < bytes; i++) all[i] |= r.to.host[i]; // 0 where another stage has something
    pool_free(stage->device, &pool);
    return status;
}

int model_hash(vkgpt_model *m, uint64_t *value, vkgpt_error *err)
{
    if (stage_of(m, 0)->first)
        return fail(err, VKGPT_BAD_ARGUMENT,
                    "%s: sessions are saved by one process only, and others have a part of this model", m->name);
    struct Reading counted = {0};
    read_model(&counted, m);
    VkDeviceSize bytes = counted.at;
    uint8_t *all = device_alloc(m->device, 1, bytes);
    if (!all) return fail_memory(err, "the hash of the model", bytes);
    int status = VKGPT_OK;
    for (const struct vkgpt_model *stage = m; !status && stage; stage = stage->before)
        status = read_stage(m, stage, all, bytes, err);
    struct Hash hash;
    hash_begin(&hash);
    add_config(&hash, m);
    hash_add(&hash, all, bytes);
    if (!status) *value = hash_value(&hash);
    free(all);
    return status;
}
