// A model on a device: its padded sizes, and what is freed with it.
#include "engine/model.h"

#include <stdlib.h>

#include "base/error.h"
#include "engine/formats.h"

#define WEIGHT_BLOCK ((uint64_t)256 << 20) // of the weights' memory, when a model is larger than one

static struct VectorOffsets vector_offsets(const struct vkgpt_model *m)
{
    struct VectorOffsets at = {0};
    uint32_t next = 0;
    at.ln_1_gain = next, next += m->dim;
    at.ln_1_bias = next, next += m->dim;
    at.c_attn = next, next += 3 * m->width;
    at.c_proj = next, next += m->dim;
    at.ln_2_gain = next, next += m->dim;
    at.ln_2_bias = next, next += m->dim;
    at.c_fc = next, next += m->inner;
    at.c_out = next, next += m->dim;
    at.count = next;
    return at;
}

void model_sizes(struct vkgpt_model *m, const struct Config *c)
{
    m->config = *c;
    m->first = 0, m->end = c->layers;
    m->dim = padded(c->dim);
    m->head_dim = padded(c->head_dim);
    m->width = c->heads * m->head_dim;
    m->inner = padded(c->inner);
    m->vocab = padded(c->vocab);
    m->embed_dim = padded(c->embed_dim);
    m->projected = c->embed_dim != c->dim;
    m->at = vector_offsets(m);
}

const struct Matrix *model_matrix(const struct vkgpt_model *m, enum ProductKernel product, uint32_t l)
{
    return product == HEAD ? m->head : &m->layers[l].matrices[product];
}

uint32_t model_layers_of(const struct vkgpt_model *m, enum ProductKernel product)
{
    return product == HEAD ? 1 : m->config.layers;
}

// ---------------------------------------------------------------------------------------------------- sizes

struct Wanting {
    const struct vkgpt_model *model;
    uint32_t (*wanted)(void *user, enum ModelPart part, uint32_t layer);
    void (*each)(void *user, const struct ModelWant *want);
    void *user;
};

uint32_t model_table_format(uint32_t wanted) { return format_is_small(wanted) ? WEIGHTS_Q8_0 : wanted; }

uint32_t model_position_format(uint32_t table) { return table == WEIGHTS_F32 ? WEIGHTS_F32 : WEIGHTS_F16; }

static uint32_t part_format(enum ModelPart part, uint32_t wanted)
{
    if (part == PART_WPE) return model_position_format(wanted);
    return part == PART_WTE || part == PART_HEAD ? model_table_format(wanted) : wanted;
}

static void want_matrix(const struct Wanting *w, enum ModelPart part, uint32_t layer, uint32_t out, uint32_t in)
{
    uint32_t format = matrix_format_for(part_format(part, w->wanted(w->user, part, layer)), in);
    const struct ModelWant want = {part, layer, out, in, format, matrix_bytes(out, in, format)};
    w->each(w->user, &want);
}

static void want_vectors(const struct Wanting *w, uint32_t layer, uint32_t floats)
{
    const struct ModelWant want = {PART_VECTORS, layer, 1, floats, WEIGHTS_F32, (uint64_t)floats * 4};
    w->each(w->user, &want);
}

static void want_layer(const struct Wanting *w, uint32_t layer)
{
    const struct vkgpt_model *m = w->model;
    want_vectors(w, layer, m->at.count);
    want_matrix(w, PART_LAYER + QKV, layer, 3 * m->width, m->dim);
    want_matrix(w, PART_LAYER + PROJECT, layer, m->dim, m->width);
    want_matrix(w, PART_LAYER + EXPAND, layer, m->inner, m->dim);
    want_matrix(w, PART_LAYER + CONTRACT, layer, m->dim, m->inner);
}

void model_wants(const struct vkgpt_model *m, uint32_t (*wanted)(void *user, enum ModelPart part, uint32_t layer),
                 void (*each)(void *user, const struct ModelWant *want), void *user)
{
    const struct Wanting w = {m, wanted, each, user};
    bool embeds = model_embeds(m), head = model_has_head(m);
    if (embeds || (head && m->config.tied_head)) want_matrix(&w, PART_WTE, 0, m->vocab, m->embed_dim);
    if (embeds) want_matrix(&w, PART_WPE, 0, padded(m->config.position_offset + m->config.context), m->dim);
    if (embeds && m->projected) want_matrix(&w, PART_EMBED_UP, 0, m->dim, m->embed_dim);
    if (head && m->projected) want_matrix(&w, PART_EMBED_DOWN, 0, m->embed_dim, m->dim);
    if (head && !m->config.tied_head) want_matrix(&w, PART_HEAD, 0, m->vocab, m->embed_dim);
    want_vectors(&w, 0, 2 * m->dim); // ln_f, which is small: each stage has it
    for (uint32_t l = m->first; l < m->end; l++) want_layer(&w, l);
}

void model_count(struct ModelBytes *b, const struct ModelWant *want)
{
    switch (want->part) {
    case PART_WTE:
    case PART_HEAD: b->head = want->bytes, b->tables += want->bytes; break; // a head of its own comes after wte
    case PART_WPE: b->tables += want->bytes; break;
    case PART_EMBED_UP:
    case PART_EMBED_DOWN: b->projections += want->bytes; break;
    case PART_VECTORS: b->vectors += want->bytes; break;
    default: b->layers += want->bytes;
    }
}

uint64_t model_step_bytes(const struct vkgpt_model *m, const struct ModelBytes *b)
{
    return b->layers + b->projections + b->vectors + (model_has_head(m) ? b->head : 0);
}

uint64_t model_total_bytes(const struct ModelBytes *b) { return b->layers + b->projections + b->vectors + b->tables; }

uint64_t model_block_bytes(const struct vkgpt_model *m, const struct ModelBytes *b)
{
    uint64_t slices = 5ull * (m->end - m->first) + 10; // each may lose one alignment to padding
    uint64_t bytes = model_total_bytes(b) + slices * memory_aligned(m->device, 1);
    return bytes < WEIGHT_BLOCK ? bytes : WEIGHT_BLOCK;
}

// ---------------------------------------------------------------------------------------------------- closing

int model_check_head(const struct vkgpt_model *m, vkgpt_error *err)
{
    if (!m->hidden_only) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s was opened for its hidden states only: it predicts no tokens", m->name);
}

int model_check_whole(const struct vkgpt_model *m, const char *what, vkgpt_error *err)
{
    if (model_is_whole(m)) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s needs a model on one device: %s is cut over several", what, m->name);
}

void vkgpt_model_close(vkgpt_model *model)
{
    if (!model) return;
    vkgpt_model_close(model->before);
    for (uint32_t l = 0; model->layers && l < model->config.layers; l++)
        for (uint32_t p = 0; p < LAYER_PRODUCTS; p++) matrix_free(&model->layers[l].matrices[p]);
    free(model->layers);
    matrix_free(&model->wte);
    matrix_free(&model->wpe);
    matrix_free(&model->own_head);
    matrix_free(&model->embed_up);
    matrix_free(&model->embed_down);
    pool_free(model->device, &model->pool);
    pthread_mutex_destroy(&model->in_use);
    free(model);
}

const vkgpt_model_info *vkgpt_model_describe(const vkgpt_model *model) { return &model->info; }
