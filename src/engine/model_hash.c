#include "engine/model_hash.h"

#include <string.h>

#include "base/hash.h"

#define SAMPLE_BYTES 4096 // of a matrix: the beginning of its first rows, whose layout no device changes

// What is read back from the device: slices, one after the other. `to` without a buffer: only the bytes are counted.
struct Reading {
    struct Recording *rec;
    struct Slice to;
    VkDeviceSize at;
};

static void read_slice(struct Reading *r, const struct Slice *slice, VkDeviceSize most)
{
    VkDeviceSize bytes = slice->bytes < most ? slice->bytes : most;
    if (r->to.buffer) recording_copy(r->rec, slice, 0, &r->to, r->at, bytes);
    r->at += bytes;
}

static void read_matrix(struct Reading *r, const struct Matrix *matrix)
{
    uint64_t whole = matrix_bytes(matrix->out, matrix->in, matrix->format);
    if (matrix->chunk_count) read_slice(r, &matrix->chunks[0].slice, whole < SAMPLE_BYTES ? whole : SAMPLE_BYTES);
}

static void read_model(struct Reading *r, const struct vkgpt_model *m)
{
    const struct Matrix *const tables[] = {&m->wte, &m->wpe, &m->own_head, &m->embed_up, &m->embed_down};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) read_matrix(r, tables[i]);
    read_slice(r, &m->ln_f, (VkDeviceSize)m->dim * 8);
    for (uint32_t l = 0; l < m->config.layers; l++) {
        const struct Layer *layer = &m->layers[l];
        for (int i = 0; i < LAYER_PRODUCTS; i++) read_matrix(r, &layer->matrices[i]);
        read_slice(r, &layer->vectors, (VkDeviceSize)m->at.count * 4);
    }
}

static void add_number(struct Hash *hash, uint64_t number) { hash_add(hash, &number, sizeof number); }

// The facts that K and V of a token follow from.
static void add_config(struct Hash *hash, const struct vkgpt_model *m)
{
    const struct Config *c = &m->config;
    const uint64_t numbers[] = {c->layers,
                                c->heads,
                                c->dim,
                                c->head_dim,
                                c->inner,
                                c->context,
                                c->vocab,
                                c->activation,
                                c->scale_attention,
                                c->scale_by_inverse_layer,
                                c->post_norm,
                                c->final_norm,
                                c->norm_affine,
                                c->embed_dim,
                                c->position_offset,
                                c->window,
                                m->wte.format,
                                m->layers[0].c_fc.format};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) add_number(hash, numbers[i]);
    hash_add(hash, &c->eps, sizeof c->eps);
    hash_add(hash, c->local, sizeof c->local);
}

int model_hash(vkgpt_model *m, uint64_t *value, vkgpt_error *err)
{
    struct Reading r = {.at = 0};
    read_model(&r, m);
    struct Pool pool = {.kind = MEMORY_READ, .block_bytes = r.at};
    struct Recording rec;
    struct Hash hash;
    VkDeviceSize bytes = r.at;
    int status = pool_slice(m->device, &pool, bytes, "the hash of the model", &r.to, err);
    if (!status) status = recording_begin(m->device, "reading the model's hash", 1, &rec, err);
    if (!status) {
        r.rec = &rec;
        r.at = 0;
        read_model(&r, m);
        status = recording_run_once(&rec, err);
    }
    if (!status) {
        hash_begin(&hash);
        add_config(&hash, m);
        hash_add(&hash, r.to.host, bytes);
        *value = hash_value(&hash);
    }
    pool_free(m->device, &pool);
    return status;
}
