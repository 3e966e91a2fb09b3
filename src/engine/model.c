// From a checkpoint to a model on a device: what each tensor is on the device, and whether it all fits.
#include "engine/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_BLOCK ((VkDeviceSize)256 << 20)
#define HALF_MAX 65504.0f

static struct Axis one(uint32_t n) { return (struct Axis){1, n, padded(n)}; }

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

struct Loader {
    struct vkgpt_model *model;
    const struct Checkpoint *checkpoint;
    struct Upload upload;
    struct Progress progress;
    vkgpt_format asked;
    uint32_t kept_wide; // matrices that stay in fp32 although fp16 was chosen
    vkgpt_error *err;
};

// fp16 unless fp32 is asked for, or a value does not fit.
static int check_half(struct Loader *load, const struct Weight *weight, uint32_t *format)
{
    if (*format == WEIGHTS_F32 || weight->tensor->dtype == DTYPE_F16) return VKGPT_OK;
    float largest = weight_max_abs(weight);
    if (!(largest > HALF_MAX)) return VKGPT_OK;
    if (load->asked == VKGPT_F16)
        return fail(load->err, VKGPT_BAD_MODEL, "%s: tensor %s holds %g, fp16 ends at 65504 (use --weights auto or f32)",
                    weight->tensor->file, weight->tensor->name, (double)largest);
    *format = WEIGHTS_F32;
    load->kept_wide++;
    return VKGPT_OK;
}

static int load_stack(struct Loader *load, struct Stack stack, struct Axis out, struct Axis in, struct Matrix *matrix)
{
    uint32_t format = load->asked == VKGPT_F32 ? WEIGHTS_F32 : WEIGHTS_F16;
    int status = VKGPT_OK;
    for (uint32_t i = 0; !status && i < stack.count; i++) status = check_half(load, stack.weights[i], &format);
    if (status) return status;
    return matrix_upload(&load->upload, &load->model->pool, stack, out, in, format, &load->progress, matrix, load->err);
}

static int load_matrix(struct Loader *load, const struct Weight *weight, struct Axis out, struct Axis in,
                       struct Matrix *matrix)
{
    return load_stack(load, (struct Stack){{weight}, 1}, out, in, matrix);
}

static int load_qkv(struct Loader *load, const struct LayerWeights *w, struct Layer *layer)
{
    struct vkgpt_model *m = load->model;
    const struct Config *c = &m->config;
    struct Axis part = {c->heads, c->head_dim, m->head_dim}, all = {3 * c->heads, c->head_dim, m->head_dim};
    uint32_t at = m->at.c_attn;
    bool apart = !w->c_attn.tensor;
    struct Stack stack = apart ? (struct Stack){{&w->q, &w->k, &w->v}, 3} : (struct Stack){{&w->c_attn}, 1};
    int status = load_stack(load, stack, all, one(c->dim), &layer->c_attn);
    if (!apart) return status ? status : vector_upload(&load->upload, &layer->vectors, at, &w->c_attn_bias, all, 0.0f, load->err);
    const struct Weight *biases[] = {&w->q_bias, &w->k_bias, &w->v_bias};
    for (uint32_t i = 0; !status && i < 3; i++)
        status = vector_upload(&load->upload, &layer->vectors, at + i * m->width, biases[i], part, 0.0f, load->err);
    return status;
}

static int load_norm(struct Loader *load, const struct Slice *slice, uint32_t gain_at, const struct Weight *gain,
                     uint32_t bias_at, const struct Weight *bias)
{
    struct Axis dim = one(load->model->config.dim);
    int status = vector_upload(&load->upload, slice, gain_at, gain, dim, 1.0f, load->err);
    return status ? status : vector_upload(&load->upload, slice, bias_at, bias, dim, 0.0f, load->err);
}

static int load_bias(struct Loader *load, const struct Slice *slice, uint32_t at, const struct Weight *bias, uint32_t size)
{
    return vector_upload(&load->upload, slice, at, bias, one(size), 0.0f, load->err);
}

static int load_layer(struct Loader *load, uint32_t l)
{
    struct vkgpt_model *m = load->model;
    const struct Config *c = &m->config;
    const struct LayerWeights *w = &load->checkpoint->layers[l];
    const struct VectorOffsets *at = &m->at;
    struct Layer *layer = &m->layers[l];
    struct Axis dim = one(c->dim), inner = one(c->inner);
    struct Axis heads = {c->heads, c->head_dim, m->head_dim};

    int status = pool_slice(m->device, &m->pool, (VkDeviceSize)at->count * 4, "norms and biases", &layer->vectors, load->err);
    if (!status) status = load_qkv(load, w, layer);
    if (!status) status = load_matrix(load, &w->c_proj, dim, heads, &layer->c_proj);
    if (!status) status = load_matrix(load, &w->c_fc, inner, dim, &layer->c_fc);
    if (!status) status = load_matrix(load, &w->c_out, dim, inner, &layer->c_out);
    if (!status) status = load_norm(load, &layer->vectors, at->ln_1_gain, &w->ln_1_gain, at->ln_1_bias, &w->ln_1_bias);
    if (!status) status = load_norm(load, &layer->vectors, at->ln_2_gain, &w->ln_2_gain, at->ln_2_bias, &w->ln_2_bias);
    if (!status) status = load_bias(load, &layer->vectors, at->c_proj, &w->c_proj_bias, c->dim);
    if (!status) status = load_bias(load, &layer->vectors, at->c_fc, &w->c_fc_bias, c->inner);
    if (!status) status = load_bias(load, &layer->vectors, at->c_out, &w->c_out_bias, c->dim);
    return status;
}

static int load_all(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    const struct Checkpoint *ck = load->checkpoint;
    const struct Config *c = &m->config;
    struct Axis dim = one(c->dim), embed_dim = one(c->embed_dim), vocab = one(c->vocab);
    struct Axis positions = one(c->position_offset + c->context);
    int status = load_matrix(load, &ck->wte, vocab, embed_dim, &m->wte);
    // one kernel reads both tables, so they share a format
    if (!status) status = matrix_upload(&load->upload, &m->pool, (struct Stack){{&ck->wpe}, 1}, positions, dim,
                                        m->wte.format, &load->progress, &m->wpe, load->err);
    if (!status && m->projected) status = load_matrix(load, &ck->project_in, dim, embed_dim, &m->project_in);
    if (!status && m->projected) status = load_matrix(load, &ck->project_out, embed_dim, dim, &m->project_out);
    if (!status && m->wpe.chunk_count > 1)
        status = fail(load->err, VKGPT_OUT_OF_MEMORY, "%s: %u positions of width %u do not fit into one buffer of %s", m->name, c->context, c->dim,
                      m->device->info.name);
    m->head = &m->wte;
    if (!status && !c->tied_head) {
        status = load_matrix(load, &ck->head, vocab, embed_dim, &m->own_head);
        m->head = &m->own_head;
    }
    if (!status) status = pool_slice(m->device, &m->pool, (VkDeviceSize)m->dim * 8, "the final norm", &m->ln_f, load->err);
    if (!status) status = load_norm(load, &m->ln_f, 0, &ck->ln_f_gain, m->dim, &ck->ln_f_bias);
    for (uint32_t l = 0; !status && l < c->layers; l++) status = load_layer(load, l);
    return status;
}

// Bytes of the matrices when all are in one format, and of all vectors.
static void count_bytes(const struct vkgpt_model *m, uint32_t format, uint64_t *matrices, uint64_t *layers_only, uint64_t *vectors)
{
    uint64_t layer = matrix_bytes(3 * m->width, m->dim, format) + matrix_bytes(m->dim, m->width, format) +
                     matrix_bytes(m->inner, m->dim, format) + matrix_bytes(m->dim, m->inner, format);
    uint64_t table = matrix_bytes(m->vocab, m->embed_dim, format);
    uint64_t projections = m->projected ? 2 * matrix_bytes(m->dim, m->embed_dim, format) : 0;
    *layers_only = layer * m->config.layers + projections;
    *matrices = *layers_only + table * (m->config.tied_head ? 1 : 2) +
                matrix_bytes(padded(m->config.position_offset + m->config.context), m->dim, format);
    *vectors = ((uint64_t)m->at.count * m->config.layers + 2 * m->dim) * 4;
}

// Refuses before anything is uploaded, and makes the blocks of memory as large as they need to be.
static int make_room(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    uint64_t matrices, layers, vectors, available = memory_available(m->device);
    count_bytes(m, load->asked == VKGPT_F32 ? WEIGHTS_F32 : WEIGHTS_F16, &matrices, &layers, &vectors);
    uint64_t slices = 5ull * m->config.layers + 10; // each may lose an alignment
    uint64_t bytes = matrices + vectors + slices * memory_aligned(m->device, 1);
    load->progress.total = matrices;
    m->info.step_bytes = layers + vectors + matrix_bytes(m->vocab, m->embed_dim, load->asked == VKGPT_F32 ? WEIGHTS_F32 : WEIGHTS_F16);
    if (matrices + vectors > available)
        return fail(load->err, VKGPT_OUT_OF_MEMORY, "%s: the weights need %llu bytes of device memory, %s has %llu", m->name,
                    (unsigned long long)(matrices + vectors), m->device->info.name, (unsigned long long)available);
    m->pool = (struct Pool){.kind = MEMORY_DEVICE, .block_bytes = bytes < WEIGHT_BLOCK ? bytes : WEIGHT_BLOCK};
    return VKGPT_OK;
}

static void describe(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    const struct Config *c = &m->config;
    vkgpt_model_info *info = &m->info;
    info->name = m->name;
    info->architecture = c->architecture;
    info->weights = load->asked == VKGPT_F32 ? "f32" : "f16";
    info->layers = c->layers, info->heads = c->heads, info->dim = c->dim, info->inner = c->inner;
    info->context = c->context, info->vocab = c->vocab;
    info->params = config_params(c);
    info->bos = c->bos;
    info->eos_count = c->eos_count;
    memcpy(info->eos, c->eos, c->eos_count * sizeof c->eos[0]);
    info->device_bytes = pool_bytes(&m->pool);
    if (load->kept_wide)
        snprintf(info->note, sizeof info->note, "%u matrices hold values past 65504 and stay in fp32", load->kept_wide);
}

static int load_model(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    const struct Config *c = &load->checkpoint->config;
    m->config = *c;
    snprintf(m->name, sizeof m->name, "%s", load->checkpoint->name);
    m->dim = padded(c->dim);
    m->head_dim = padded(c->head_dim);
    m->width = c->heads * m->head_dim;
    m->inner = padded(c->inner);
    m->vocab = padded(c->vocab);
    m->embed_dim = padded(c->embed_dim);
    m->projected = c->embed_dim != c->dim;
    m->at = vector_offsets(m);
    int status = make_room(load);
    if (status) return status;
    m->layers = device_alloc(m->device, c->layers, sizeof *m->layers);
    if (!m->layers) return fail_memory(load->err, "the layers", c->layers * sizeof *m->layers);
    status = upload_begin(m->device, &load->upload, load->err);
    if (!status) status = load_all(load);
    int ended = upload_end(&load->upload, status ? NULL : load->err);
    if (!status) status = ended;
    if (!status) describe(load);
    return status;
}

int vkgpt_model_open(vkgpt_device *device, const char *dir, const vkgpt_model_options *options, vkgpt_model **opened, vkgpt_error *err)
{
    *opened = NULL;
    struct Checkpoint checkpoint = {0};
    int status = checkpoint_open(dir, &checkpoint, err);
    if (status) return status;
    struct vkgpt_model *model = device_alloc(device, 1, sizeof *model);
    if (!model) {
        checkpoint_close(&checkpoint);
        return fail_memory(err, "the model", sizeof *model);
    }
    model->device = device;
    struct Loader load = {.model = model, .checkpoint = &checkpoint, .err = err};
    if (options) {
        load.asked = options->weights;
        load.progress = (struct Progress){.report = options->progress, .user = options->user};
    }
    status = load_model(&load);
    checkpoint_close(&checkpoint);
    if (status) {
        vkgpt_model_close(model);
        return status;
    }
    *opened = model;
    return VKGPT_OK;
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
