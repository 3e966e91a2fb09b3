// A model on a device: its padded sizes, and what is freed with it.
#include "engine/model.h"

#include <stdlib.h>

#include "base/error.h"

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
    m->dim = padded(c->dim);
    m->head_dim = padded(c->head_dim);
    m->width = c->heads * m->head_dim;
    m->inner = padded(c->inner);
    m->vocab = padded(c->vocab);
    m->embed_dim = padded(c->embed_dim);
    m->projected = c->embed_dim != c->dim;
    m->at = vector_offsets(m);
}

int model_check_head(const struct vkgpt_model *m, vkgpt_error *err)
{
    if (!m->hidden_only) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s was opened for its hidden states only: it predicts no tokens", m->name);
}

void vkgpt_model_close(vkgpt_model *model)
{
    if (!model) return;
    for (uint32_t l = 0; model->layers && l < model->config.layers; l++) {
        matrix_free(&model->layers[l].c_attn);
        matrix_free(&model->layers[l].c_proj);
        matrix_free(&model->layers[l].c_fc);
        matrix_free(&model->layers[l].c_out);
    }
    free(model->layers);
    matrix_free(&model->wte);
    matrix_free(&model->wpe);
    matrix_free(&model->own_head);
    matrix_free(&model->project_in);
    matrix_free(&model->project_out);
    pool_free(model->device, &model->pool);
    free(model);
}

const vkgpt_model_info *vkgpt_model_describe(const vkgpt_model *model) { return &model->info; }
