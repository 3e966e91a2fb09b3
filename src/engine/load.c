// Makes a model on a device from a checkpoint: chooses the format of each tensor, and checks that it all fits.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/ahead.h"
#include "engine/elsewhere.h"
#include "engine/model.h"
#include "engine/formats.h"
#include "engine/stages.h"
#include "engine/stages_split.h"
#include "engine/stages_text.h"
#include "engine/tuning.h"
#include "model/lora.h"
#include "model/table.h"

#define HALF_MAX 65504.0f

static struct Axis one(uint32_t n) { return (struct Axis){1, n, padded(n)}; }

struct Loader {
    struct vkgpt_model *model; // the stage that is loaded
    const struct Checkpoint *checkpoint;
    const struct LoraMerged *merged;
    struct Upload upload;
    struct Progress progress;
    vkgpt_format asked;
    const vkgpt_session_options *session;
    uint32_t kept_wide;        // matrices that stay in fp32 although a smaller format was chosen
    uint32_t widened[FORMATS]; // matrices in this format because their rows are not a multiple of another's block size
    uint32_t widened_in;       // the length of such a row
    uint32_t repacked; // matrices that do not keep the blocks of the file: no kernel reads them, or not for this matrix
    enum BlockFormat repacked_from;
    bool formats[FORMATS]; // that matrices will have, if their values allow it
    bool used[FORMATS];    // that they have
    const uint8_t *ahead;  // how far the file has been read ahead
    vkgpt_error *err;
};

// ------------------------------------------------------------------------------------------------ formats

// The format that a matrix should have, before its rows and values are checked: the one asked for, else that of its
// blocks in the file, or q8_0 where no kernel reads those.
static uint32_t wanted_format(const struct Loader *load, const struct Weight *weight)
{
    if (load->asked != VKGPT_AUTO || weight->tensor->dtype != DTYPE_BLOCKS) return format_of(load->asked);
    return format_of_blocks(weight->tensor->block);
}

// The weight whose format a part should have.
static const struct Weight *weight_of(const struct Checkpoint *ck, enum ModelPart part, uint32_t l)
{
    switch (part) {
    case PART_WTE:
    case PART_WPE: return &ck->wte;
    case PART_EMBED_UP: return &ck->project_in;
    case PART_EMBED_DOWN: return &ck->project_out;
    case PART_HEAD: return &ck->head;
    default: break;
    }
    const struct LayerWeights *w = &ck->layers[l];
    const struct Weight *const weights[LAYER_PRODUCTS] = {[QKV] = w->c_attn.tensor ? &w->c_attn : &w->q,
                                                          [PROJECT] = &w->c_proj,
                                                          [EXPAND] = &w->c_fc,
                                                          [CONTRACT] = &w->c_out};
    return weights[part - PART_LAYER];
}

// What is needed on the device, unless a matrix stays in fp32 because of values beyond the range of a half.
struct Counting {
    const struct Loader *load;
    struct ModelBytes bytes;
    bool formats[FORMATS]; // of matrices
};

static uint32_t wanted_of_part(void *user, enum ModelPart part, uint32_t layer)
{
    const struct Counting *c = user;
    return wanted_format(c->load, weight_of(c->load->checkpoint, part, layer));
}

#define LARGEST_STEP 256 // rows

struct Largest {
    const struct Weight *weight;
    float of[PARALLEL_MAX];
};

static void find_largest(void *user, uint32_t worker, uint32_t first, uint32_t count)
{
    struct Largest *largest = user;
    struct Tensor rows = *largest->weight->tensor;
    const struct BlockInfo *blocks = &BLOCK_INFO[rows.block];
    if (rows.dtype == DTYPE_BLOCKS)
        rows.data += (size_t)first * ((size_t)rows.shape[1] / blocks->weights * blocks->bytes);
    else rows.data += first * rows.stride[0] * (int64_t)dtype_bytes(rows.dtype);
    rows.shape[0] = count;
    float found = weight_max_abs(&(struct Weight){.tensor = &rows});
    if (found > largest->of[worker]) largest->of[worker] = found;
}

static float largest_magnitude(const struct Weight *weight)
{
    struct Largest largest = {.weight = weight};
    float found = 0.0f;
    parallel_rows((uint32_t)weight->tensor->shape[0], LARGEST_STEP, find_largest, &largest);
    for (uint32_t i = 0; i < PARALLEL_MAX; i++) found = largest.of[i] > found ? largest.of[i] : found;
    return found;
}

// The scales are halves too, so the range of the quantised formats ends where that of fp16 does.
static int check_half(struct Loader *load, const struct Weight *weight, uint32_t *format)
{
    if (*format == WEIGHTS_F32 || weight->tensor->dtype == DTYPE_F16 || matrix_keeps_blocks(weight, *format))
        return VKGPT_OK;
    float largest = largest_magnitude(weight);
    if (!(largest > HALF_MAX)) return VKGPT_OK;
    if (load->asked == VKGPT_F16)
        return fail(load->err, VKGPT_BAD_MODEL,
                    "%s: tensor %s holds %g, fp16 ends at 65504 (use --weights auto or f32)", weight->tensor->file,
                    weight->tensor->name, (double)largest);
    *format = WEIGHTS_F32;
    load->kept_wide++;
    return VKGPT_OK;
}

// ------------------------------------------------------------------------------------------------ loading

static int load_stack(struct Loader *load, struct Stack stack, struct Axis out, struct Axis in, bool is_table,
                      struct Matrix *matrix)
{
    const struct Tensor *tensor = stack.weights[0]->tensor;
    uint32_t wanted = wanted_format(load, stack.weights[0]);
    if (is_table) wanted = model_table_format(wanted);
    uint32_t row = in.groups * in.padded, format = matrix_format_for(wanted, row);
    int status = VKGPT_OK;
    for (uint32_t i = 0; i < stack.count; i++)
        table_read_ahead(&load->checkpoint->table, stack.weights[i]->tensor, &load->ahead);
    if (tensor->dtype == DTYPE_BLOCKS && !matrix_keeps_blocks(stack.weights[0], format))
        load->repacked++, load->repacked_from = tensor->block;
    if (format != wanted) load->widened[format]++, load->widened_in = row;
    for (uint32_t i = 0; !status && i < stack.count; i++) status = check_half(load, stack.weights[i], &format);
    if (status) return status;
    return matrix_upload(&load->upload, &load->model->pool, stack, out, in, format, &load->progress, matrix, load->err);
}

static int load_matrix(struct Loader *load, const struct Weight *weight, struct Axis out, struct Axis in,
                       struct Matrix *matrix)
{
    return load_stack(load, (struct Stack){{weight}, 1}, out, in, false, matrix);
}

// wte or the head
static int load_table(struct Loader *load, const struct Weight *weight, struct Axis out, struct Axis in,
                      struct Matrix *matrix)
{
    return load_stack(load, (struct Stack){{weight}, 1}, out, in, true, matrix);
}

static int load_qkv(struct Loader *load, const struct LayerWeights *w, struct Layer *layer)
{
    struct vkgpt_model *m = load->model;
    const struct Config *c = &m->config;
    struct Axis part = {c->heads, c->head_dim, m->head_dim}, all = {3 * c->heads, c->head_dim, m->head_dim};
    uint32_t at = m->at.c_attn;
    bool apart = !w->c_attn.tensor;
    struct Stack stack = apart ? (struct Stack){{&w->q, &w->k, &w->v}, 3} : (struct Stack){{&w->c_attn}, 1};
    int status = load_stack(load, stack, all, one(c->dim), false, &layer->c_attn);
    if (!apart)
        return status ? status
                      : vector_upload(&load->upload, &layer->vectors, at, &w->c_attn_bias, all, 0.0f, load->err);
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

static int load_bias(struct Loader *load, const struct Slice *slice, uint32_t at, const struct Weight *bias,
                     uint32_t size)
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

    int status =
        pool_slice(m->device, &m->pool, (VkDeviceSize)at->count * 4, "norms and biases", &layer->vectors, load->err);
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
    bool embeds = model_embeds(m), head = model_has_head(m);
    int status = VKGPT_OK;
    if (embeds || (head && c->tied_head)) status = load_table(load, &ck->wte, vocab, embed_dim, &m->wte);
    if (!status && embeds)
        status = matrix_upload(&load->upload, &m->pool, (struct Stack){{&ck->wpe}, 1}, positions, dim,
                               model_position_format(m->wte.format), &load->progress, &m->wpe, load->err);
    if (!status && embeds && m->projected) status = load_matrix(load, &ck->project_in, dim, embed_dim, &m->embed_up);
    if (!status && head && m->projected) status = load_matrix(load, &ck->project_out, embed_dim, dim, &m->embed_down);
    if (!status && m->wpe.chunk_count > 1)
        status = fail(load->err, VKGPT_OUT_OF_MEMORY, "%s: %u positions of width %u do not fit into one buffer of %s",
                      m->name, c->context, c->dim, m->device->info.name);
    if (!status && head && !c->tied_head) status = load_table(load, &ck->head, vocab, embed_dim, &m->own_head);
    if (head) m->head = c->tied_head ? &m->wte : &m->own_head;
    if (!status)
        status = pool_slice(m->device, &m->pool, (VkDeviceSize)m->dim * 8, "the final norm", &m->ln_f, load->err);
    if (!status) status = load_norm(load, &m->ln_f, 0, &ck->ln_f_gain, m->dim, &ck->ln_f_bias);
    for (uint32_t l = m->first; !status && l < m->end; l++) status = load_layer(load, l);
    return status;
}

static void count(void *user, const struct ModelWant *want)
{
    struct Counting *c = user;
    model_count(&c->bytes, want);
    if (want->part != PART_WPE && want->part != PART_VECTORS) c->formats[want->format] = true;
}

// Fails before anything is uploaded if memory is short, and makes the blocks of memory as large as they need to be.
static int make_room(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    uint32_t layers = m->config.layers;
    struct Counting c = {.load = load};
    model_wants(m, wanted_of_part, count, &c);
    uint64_t bytes = model_total_bytes(&c.bytes), available = memory_available(m->device);
    load->progress.total += bytes - c.bytes.vectors;
    m->info.step_bytes = model_step_bytes(m, &c.bytes);
    if (bytes > available)
        return fail(load->err, VKGPT_OUT_OF_MEMORY, "%s: the weights need %llu bytes of device memory, %s has %llu%s",
                    m->name, (unsigned long long)bytes, m->device->info.name, (unsigned long long)available,
                    load->asked == VKGPT_Q4_K || load->asked == VKGPT_Q4_0
                        ? ""
                        : " (--weights q8_0 or q4_k makes them smaller)");
    m->pool = (struct Pool){.kind = MEMORY_DEVICE, .block_bytes = model_block_bytes(m, &c.bytes)};
    for (uint32_t f = 0; f < FORMATS; f++) load->formats[f] = load->formats[f] || c.formats[f];
    m->layers = device_alloc(m->device, layers, sizeof *m->layers);
    return m->layers ? VKGPT_OK : fail_memory(load->err, "the layers", layers * sizeof *m->layers);
}

__attribute__((format(printf, 2, 3))) static void note(vkgpt_model_info *info, const char *format, ...)
{
    size_t used = strlen(info->note);
    va_list args;
    if (used + 2 >= sizeof info->note) return;
    va_start(args, format);
    if (used) used += (size_t)snprintf(info->note + used, sizeof info->note - used, "; ");
    vsnprintf(info->note + used, sizeof info->note - used, format, args);
    va_end(args);
    clean_sentence(info->note);
}

static void describe_formats(struct Loader *load)
{
    vkgpt_model_info *info = &load->model->info;
    info->weights = format_name(wanted_format(load, &load->checkpoint->layers[0].c_fc));
    if (load->repacked)
        note(info, "%u matrices of the file are unpacked (%s among them) and kept in another format", load->repacked,
             BLOCK_INFO[load->repacked_from].name);
    for (uint32_t f = 0; f < FORMATS; f++)
        if (load->widened[f])
            note(info, "%u matrices are %s: rows of %u weights are not a multiple of the block size of %s",
                 load->widened[f], format_name(f), load->widened_in, info->weights);
    if (load->kept_wide) note(info, "%u matrices hold values past 65504 and stay in fp32", load->kept_wide);
}

static void describe_split(vkgpt_model_info *info, const struct vkgpt_model *last)
{
    struct StagesNamed stages = {.count = last->stage + 1};
    char text[sizeof info->note];
    if (!last->before || last->elsewhere) return; // who agreed on the split says it
    for (const struct vkgpt_model *m = last; m; m = m->before) {
        stages.layers[m->stage] = m->end - m->first;
        stages.names[m->stage] = m->device->info.name;
    }
    stages_describe(text, sizeof text, &stages);
    note(info, "%s", text);
}

static void describe(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    const struct Config *c = &m->config;
    vkgpt_model_info *info = &m->info;
    info->name = m->name;
    info->architecture = c->architecture;
    info->layers = c->layers, info->heads = c->heads, info->dim = c->dim, info->inner = c->inner;
    info->context = c->context, info->vocab = c->vocab, info->hidden = c->embed_dim;
    info->params = config_params(c);
    info->bos = c->bos;
    info->eos_count = c->eos_count;
    memcpy(info->eos, c->eos, c->eos_count * sizeof c->eos[0]);
    info->device_bytes = pool_bytes(&m->pool);
    for (const struct vkgpt_model *b = m->before; b; b = b->before) {
        info->device_bytes += pool_bytes(&b->pool);
        info->step_bytes += b->info.step_bytes;
    }
    if (load->checkpoint->note[0]) note(info, "%s", load->checkpoint->note);
    if (load->merged->weights)
        note(info, "%u matrices have the LoRA weights of %.100s", load->merged->weights, load->merged->name);
    describe_split(info, m);
    describe_formats(load);
    const char *untuned = tuning_note(m->device);
    if (untuned) note(info, "%s", untuned);
}

// ------------------------------------------------------------------------------------------------ stages

static void note_format(struct Loader *load, const struct Matrix *matrix)
{
    if (matrix->chunk_count) load->used[matrix->format] = true;
}

static void note_formats(struct Loader *load)
{
    const struct vkgpt_model *m = load->model;
    const struct Matrix *const tables[] = {&m->wte, &m->own_head, &m->embed_up, &m->embed_down};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) note_format(load, tables[i]);
    for (uint32_t l = m->first; l < m->end; l++)
        for (uint32_t p = 0; p < LAYER_PRODUCTS; p++) note_format(load, &m->layers[l].matrices[p]);
}

static int load_stage(struct Loader *load)
{
    struct vkgpt_model *m = load->model;
    int status = tuning_open(m->device, load->err);
    if (status) return status;
    if (load->session) kernels_ahead(m, load->formats, load->session); // for the session to come
    upload_begin(m->device, &load->upload);
    load->ahead = NULL;
    status = load_all(load);
    int ended = upload_end(&load->upload, status ? NULL : load->err);
    if (!status) status = ended;
    if (!status) note_formats(load);
    return status;
}

static int hand_formats(struct Loader *load)
{
    memcpy(load->model->formats, load->used, sizeof load->used);
    return VKGPT_OK;
}

// Does something with each stage, from the first on.
static int each_stage(struct Loader *load, struct vkgpt_model *m, int (*run)(struct Loader *load))
{
    int status = m->before ? each_stage(load, m->before, run) : VKGPT_OK;
    load->model = m;
    return status ? status : run(load);
}

// All stages have room before the first one is loaded.
static int load_model(struct Loader *load, struct vkgpt_model *last)
{
    int status = each_stage(load, last, make_room);
    if (!status) status = each_stage(load, last, load_stage);
    if (!status) status = each_stage(load, last, hand_formats);
    if (!status) describe(load);
    return status;
}

// A stage that has no weights yet, after `before`.
static struct vkgpt_model *stage_make(const struct StageDevices *d, uint32_t i, const struct Checkpoint *ck,
                                      struct vkgpt_model *before)
{
    struct vkgpt_model *m = device_alloc(d->devices[i], 1, sizeof *m);
    if (!m) return NULL;
    m->device = d->devices[i];
    pthread_mutex_init(&m->in_use, NULL);
    snprintf(m->name, sizeof m->name, "%.255s", ck->name);
    model_sizes(m, &ck->config);
    m->first = before ? before->end : d->first;
    m->end = m->first + d->layers[i];
    m->stage = d->stage + i;
    m->before = before;
    m->elsewhere = d->elsewhere;
    if (before) m->open_upstream = stages_open;
    else if (m->first) m->open_upstream = d->elsewhere->open_upstream;
    return m;
}

// *last becomes the last stage of the chain, or of the part of it that was made.
static int chain_make(const struct StageDevices *d, const struct Checkpoint *ck, struct vkgpt_model **last,
                      vkgpt_error *err)
{
    for (uint32_t i = 0; i < d->count; i++) {
        struct vkgpt_model *m = stage_make(d, i, ck, *last);
        if (!m) return fail_memory(err, "the model", sizeof *m);
        *last = m;
    }
    if (d->count > 1) stages_most_rows(*last);
    return VKGPT_OK;
}

// Fills d->layers.
static int decide_layers(struct StageDevices *d, const struct Loader *load, vkgpt_error *err)
{
    struct Counting counting = {.load = load};
    struct vkgpt_model whole = {.device = d->count ? d->devices[0] : NULL}; // only its sizes
    struct StageShare share = {.whole = &whole, .wanted = wanted_of_part, .user = &counting, .session = load->session};
    model_sizes(&whole, &load->checkpoint->config);
    snprintf(whole.name, sizeof whole.name, "%.255s", load->checkpoint->name);
    if (d->elsewhere) return d->elsewhere->agree(d->elsewhere, d, load->checkpoint, &share, err);
    return stages_split(d, &share, err);
}

static int load_checkpoint(struct StageDevices *d, struct Checkpoint *ck, const struct LoraMerged *merged,
                           const vkgpt_model_options *options, vkgpt_model **opened, vkgpt_error *err)
{
    static const vkgpt_model_options usual;
    const vkgpt_model_options *o = options ? options : &usual;
    struct vkgpt_model *last = NULL;
    struct Loader load = {.checkpoint = ck,
                          .merged = merged,
                          .asked = o->weights,
                          .session = o->session,
                          .progress = {.report = o->progress, .user = o->user},
                          .err = err};
    int status = decide_layers(d, &load, err);
    if (!status) status = chain_make(d, ck, &last, err);
    for (struct vkgpt_model *m = last; m; m = m->before) m->hidden_only = o->hidden_only;
    if (!status) status = load_model(&load, last);
    if (!status && d->elsewhere) status = d->elsewhere->loaded(d->elsewhere, last, err);
    if (status) vkgpt_model_close(last);
    else *opened = last;
    return status;
}

int model_open_part(struct StageDevices *d, const char *dir, const vkgpt_model_options *options, vkgpt_model **opened,
                    vkgpt_error *err)
{
    *opened = NULL;
    if (options && (unsigned)options->weights > VKGPT_Q4_K)
        return fail(err, VKGPT_BAD_ARGUMENT, "weights in format %d: there is none", (int)options->weights);
    struct Checkpoint checkpoint = {0};
    bool hidden_only = options && options->hidden_only;
    int status = hidden_only ? checkpoint_open_headless(dir, &checkpoint, err) : checkpoint_open(dir, &checkpoint, err);
    struct LoraMerged merged = {0};
    if (!status && options && options->lora) status = lora_merge(options->lora, &checkpoint, &merged, err);
    if (status) {
        checkpoint_close(&checkpoint);
        return status;
    }
    status = load_checkpoint(d, &checkpoint, &merged, options, opened, err);
    if (status != VKGPT_INTERRUPTED) status = table_end(&checkpoint.table, status, err);
    checkpoint_close(&checkpoint);
    if (!status) return VKGPT_OK;
    vkgpt_model_close(*opened);
    *opened = NULL;
    return status;
}

int vkgpt_model_open(vkgpt_device *device, const char *dir, const vkgpt_model_options *options, vkgpt_model **opened,
                     vkgpt_error *err)
{
    struct StageDevices d = {.devices = &device, .count = 1};
    return model_open_part(&d, dir, options, opened, err);
}

int vkgpt_model_open_split(vkgpt_device *const *devices, size_t count, const uint32_t *split, const char *dir,
                           const vkgpt_model_options *options, vkgpt_model **opened, vkgpt_error *err)
{
    struct StageDevices d = {.devices = devices, .count = count, .split = split};
    return model_open_part(&d, dir, options, opened, err);
}
