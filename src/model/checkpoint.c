// Opens a checkpoint: finds its files, the tensor of each weight, and checks its shape against the config. Tensors that
// are in no table below (mask buffers, other heads, layers past n_layer) are ignored.
#include "model/checkpoint.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/suffix.h"
#include "model/gguf.h"
#include "model/locate.h"
#include "model/path.h"
#include "model/weights_file.h"

// ----------------------------------------------------------------------------------------------- the weights

enum Extent { ONE, DIM, QKV, INNER, VOCAB, EMBED, POSITIONS }; // sizes from the config

enum Where { ALWAYS, IF_AFFINE, IF_QKV_BIAS, IF_BIAS, IF_FINAL_NORM, IF_PROJECTED }; // which models have a weight

struct Slot { // a weight of shape (out, in), or (out) if `in` is ONE
    const char *name;
    size_t field; // offset of its struct Weight
    enum Extent out, in;
    bool in_out;
    enum Where where;
};

#define OF_MODEL(field) offsetof(struct Checkpoint, field)
#define OF_LAYER(field) offsetof(struct LayerWeights, field)
#define END_OF_SLOTS                                                                                                   \
    {                                                                                                                  \
        NULL, 0, ONE, ONE, false, ALWAYS                                                                               \
    }

static const struct Slot gpt2_model[] = {
    {"wpe.weight", OF_MODEL(wpe), POSITIONS, DIM, false, ALWAYS},
    {"ln_f.weight", OF_MODEL(ln_f_gain), DIM, ONE, false, ALWAYS},
    {"ln_f.bias", OF_MODEL(ln_f_bias), DIM, ONE, false, ALWAYS},
    END_OF_SLOTS,
};

static const struct Slot gpt1_model[] = {
    {"positions_embed.weight", OF_MODEL(wpe), POSITIONS, DIM, false, ALWAYS},
    END_OF_SLOTS,
};

// GPT-1 and GPT-2: Conv1D, which stores (in, out).
static const struct Slot gpt_layer[] = {
    {"ln_1.weight", OF_LAYER(ln_1_gain), DIM, ONE, false, ALWAYS},
    {"ln_1.bias", OF_LAYER(ln_1_bias), DIM, ONE, false, ALWAYS},
    {"attn.c_attn.weight", OF_LAYER(c_attn), QKV, DIM, true, ALWAYS},
    {"attn.c_attn.bias", OF_LAYER(c_attn_bias), QKV, ONE, false, ALWAYS},
    {"attn.c_proj.weight", OF_LAYER(c_proj), DIM, DIM, true, ALWAYS},
    {"attn.c_proj.bias", OF_LAYER(c_proj_bias), DIM, ONE, false, ALWAYS},
    {"ln_2.weight", OF_LAYER(ln_2_gain), DIM, ONE, false, ALWAYS},
    {"ln_2.bias", OF_LAYER(ln_2_bias), DIM, ONE, false, ALWAYS},
    {"mlp.c_fc.weight", OF_LAYER(c_fc), INNER, DIM, true, ALWAYS},
    {"mlp.c_fc.bias", OF_LAYER(c_fc_bias), INNER, ONE, false, ALWAYS},
    {"mlp.c_proj.weight", OF_LAYER(c_out), DIM, INNER, true, ALWAYS},
    {"mlp.c_proj.bias", OF_LAYER(c_out_bias), DIM, ONE, false, ALWAYS},
    END_OF_SLOTS,
};

// GPT-2's names, but Linear, which stores (out, in).
static const struct Slot neo_layer[] = {
    {"ln_1.weight", OF_LAYER(ln_1_gain), DIM, ONE, false, ALWAYS},
    {"ln_1.bias", OF_LAYER(ln_1_bias), DIM, ONE, false, ALWAYS},
    {"attn.attention.q_proj.weight", OF_LAYER(q), DIM, DIM, false, ALWAYS},
    {"attn.attention.k_proj.weight", OF_LAYER(k), DIM, DIM, false, ALWAYS},
    {"attn.attention.v_proj.weight", OF_LAYER(v), DIM, DIM, false, ALWAYS},
    {"attn.attention.out_proj.weight", OF_LAYER(c_proj), DIM, DIM, false, ALWAYS},
    {"attn.attention.out_proj.bias", OF_LAYER(c_proj_bias), DIM, ONE, false, ALWAYS},
    {"ln_2.weight", OF_LAYER(ln_2_gain), DIM, ONE, false, ALWAYS},
    {"ln_2.bias", OF_LAYER(ln_2_bias), DIM, ONE, false, ALWAYS},
    {"mlp.c_fc.weight", OF_LAYER(c_fc), INNER, DIM, false, ALWAYS},
    {"mlp.c_fc.bias", OF_LAYER(c_fc_bias), INNER, ONE, false, ALWAYS},
    {"mlp.c_proj.weight", OF_LAYER(c_out), DIM, INNER, false, ALWAYS},
    {"mlp.c_proj.bias", OF_LAYER(c_out_bias), DIM, ONE, false, ALWAYS},
    END_OF_SLOTS,
};

static const struct Slot opt_model[] = {
    {"embed_positions.weight", OF_MODEL(wpe), POSITIONS, DIM, false, ALWAYS},
    {"project_in.weight", OF_MODEL(project_in), DIM, EMBED, false, IF_PROJECTED},
    {"project_out.weight", OF_MODEL(project_out), EMBED, DIM, false, IF_PROJECTED},
    {"final_layer_norm.weight", OF_MODEL(ln_f_gain), DIM, ONE, false, IF_FINAL_NORM},
    {"final_layer_norm.bias", OF_MODEL(ln_f_bias), DIM, ONE, false, IF_FINAL_NORM},
    END_OF_SLOTS,
};

static const struct Slot opt_layer[] = {
    {"self_attn_layer_norm.weight", OF_LAYER(ln_1_gain), DIM, ONE, false, IF_AFFINE},
    {"self_attn_layer_norm.bias", OF_LAYER(ln_1_bias), DIM, ONE, false, IF_AFFINE},
    {"self_attn.q_proj.weight", OF_LAYER(q), DIM, DIM, false, ALWAYS},
    {"self_attn.q_proj.bias", OF_LAYER(q_bias), DIM, ONE, false, IF_QKV_BIAS},
    {"self_attn.k_proj.weight", OF_LAYER(k), DIM, DIM, false, ALWAYS},
    {"self_attn.k_proj.bias", OF_LAYER(k_bias), DIM, ONE, false, IF_QKV_BIAS},
    {"self_attn.v_proj.weight", OF_LAYER(v), DIM, DIM, false, ALWAYS},
    {"self_attn.v_proj.bias", OF_LAYER(v_bias), DIM, ONE, false, IF_QKV_BIAS},
    {"self_attn.out_proj.weight", OF_LAYER(c_proj), DIM, DIM, false, ALWAYS},
    {"self_attn.out_proj.bias", OF_LAYER(c_proj_bias), DIM, ONE, false, IF_BIAS},
    {"final_layer_norm.weight", OF_LAYER(ln_2_gain), DIM, ONE, false, IF_AFFINE},
    {"final_layer_norm.bias", OF_LAYER(ln_2_bias), DIM, ONE, false, IF_AFFINE},
    {"fc1.weight", OF_LAYER(c_fc), INNER, DIM, false, ALWAYS},
    {"fc1.bias", OF_LAYER(c_fc_bias), INNER, ONE, false, IF_BIAS},
    {"fc2.weight", OF_LAYER(c_out), DIM, INNER, false, ALWAYS},
    {"fc2.bias", OF_LAYER(c_out_bias), DIM, ONE, false, IF_BIAS},
    END_OF_SLOTS,
};

static const struct Slot gguf_model[] = {
    {"position_embd.weight", OF_MODEL(wpe), POSITIONS, DIM, false, ALWAYS},
    {"output_norm.weight", OF_MODEL(ln_f_gain), DIM, ONE, false, ALWAYS},
    {"output_norm.bias", OF_MODEL(ln_f_bias), DIM, ONE, false, ALWAYS},
    END_OF_SLOTS,
};

static const struct Slot gguf_layer[] = {
    {"attn_norm.weight", OF_LAYER(ln_1_gain), DIM, ONE, false, ALWAYS},
    {"attn_norm.bias", OF_LAYER(ln_1_bias), DIM, ONE, false, ALWAYS},
    {"attn_qkv.weight", OF_LAYER(c_attn), QKV, DIM, false, ALWAYS},
    {"attn_qkv.bias", OF_LAYER(c_attn_bias), QKV, ONE, false, ALWAYS},
    {"attn_output.weight", OF_LAYER(c_proj), DIM, DIM, false, ALWAYS},
    {"attn_output.bias", OF_LAYER(c_proj_bias), DIM, ONE, false, ALWAYS},
    {"ffn_norm.weight", OF_LAYER(ln_2_gain), DIM, ONE, false, ALWAYS},
    {"ffn_norm.bias", OF_LAYER(ln_2_bias), DIM, ONE, false, ALWAYS},
    {"ffn_up.weight", OF_LAYER(c_fc), INNER, DIM, false, ALWAYS},
    {"ffn_up.bias", OF_LAYER(c_fc_bias), INNER, ONE, false, ALWAYS},
    {"ffn_down.weight", OF_LAYER(c_out), DIM, INNER, false, ALWAYS},
    {"ffn_down.bias", OF_LAYER(c_out_bias), DIM, ONE, false, ALWAYS},
    END_OF_SLOTS,
};

// The names of an architecture's weights. Each name has a prefix: prefixes[0] in the class with a head, prefixes[1] in
// the class without.
static const struct Names {
    const char *architecture;
    const char *prefixes[2];
    const char *wte, *head; // the head has no prefix
    const struct Slot *model;
    const char *layers; // the text before the layer's number
    const struct Slot *layer;
    // clang-format off
} names[] = {
    {"gpt2", {"transformer.", ""}, "wte.weight", "lm_head.weight", gpt2_model, "h", gpt_layer},
    {"openai-gpt", {"transformer.", ""}, "tokens_embed.weight", "lm_head.weight", gpt1_model, "h", gpt_layer},
    {"gpt_neo", {"transformer.", ""}, "wte.weight", "lm_head.weight", gpt2_model, "h", neo_layer},
    {"opt", {"model.decoder.", "decoder."}, "embed_tokens.weight", "lm_head.weight", opt_model, "layers", opt_layer},
}, gguf_names = {"gpt2", {"", ""}, "token_embd.weight", "output.weight", gguf_model, "blk", gguf_layer};
// clang-format on

static const struct Slot slot_table = {NULL, 0, VOCAB, EMBED, false, ALWAYS}; // wte and the head

static const struct Names *names_of(const struct Checkpoint *c)
{
    const struct Names *n = names;
    if (c->gguf) return &gguf_names;
    while (strcmp(n->architecture, c->config.architecture) != 0) n++; // config_read accepts no others
    return n;
}

static int64_t extent_of(const struct Config *config, enum Extent extent)
{
    switch (extent) {
    case ONE: return 1;
    case DIM: return config->dim;
    case QKV: return 3 * (int64_t)config->dim;
    case INNER: return config->inner;
    case VOCAB: return config->vocab;
    case EMBED: return config->embed_dim;
    case POSITIONS: return (int64_t)config->position_offset + config->context;
    }
    return 0;
}

static bool is_there(const struct Config *config, enum Where where)
{
    switch (where) {
    case ALWAYS: return true;
    case IF_AFFINE: return config->norm_affine;
    case IF_QKV_BIAS: return config->qkv_bias;
    case IF_BIAS: return config->bias;
    case IF_FINAL_NORM: return config->final_norm && config->norm_affine;
    case IF_PROJECTED: return config->embed_dim != config->dim;
    }
    return false;
}

static const struct Tensor *find(const struct Checkpoint *c, const char *name)
{
    const struct Tensor *tensor = NULL;
    for (int i = 0; i < 2 && !tensor; i++) {
        char prefixed[128];
        snprintf(prefixed, sizeof prefixed, "%s%s", names_of(c)->prefixes[i], name);
        tensor = table_find(&c->table, prefixed);
    }
    return tensor;
}

// Sets a weight to this tensor, if type and shape are right.
static int weight_take(const struct Config *config, const struct Slot *slot, const struct Tensor *tensor,
                       struct Weight *weight, vkgpt_error *err)
{
    int rank = slot->in == ONE ? 1 : 2;
    int64_t shape[2] = {extent_of(config, slot->out), extent_of(config, slot->in)};
    if (slot->in_out) {
        int64_t swap = shape[0];
        shape[0] = shape[1];
        shape[1] = swap;
    }
    if (tensor->rank != rank || memcmp(tensor->shape, shape, (size_t)rank * sizeof *shape) != 0) {
        char is[SHAPE_BYTES], wanted[SHAPE_BYTES];
        return fail(err, VKGPT_BAD_MODEL, "%s: tensor %.200s is %s, the config says %s", tensor->file, tensor->name,
                    shape_text(tensor->rank, tensor->shape, is), shape_text(rank, shape, wanted));
    }
    if (tensor->dtype == DTYPE_OTHER)
        return fail(err, VKGPT_BAD_MODEL,
                    "%s: tensor %.200s is of type %s, which is not read; F64, F32, F16, BF16, and GGUF's Q2_K "
                    "to Q8_0, IQ4_NL and IQ4_XS are",
                    tensor->file, tensor->name, tensor->dtype_name);
    *weight = (struct Weight){tensor, slot->in_out};
    return 0;
}

static int fail_absent(const struct Checkpoint *c, const char *path, const char *name, vkgpt_error *err)
{
    const char *const *prefixes = names_of(c)->prefixes;
    if (c->gguf)
        return fail(err, VKGPT_BAD_MODEL, "%s: tensor %s is absent, and gpt2.block_count is %u", path, name,
                    c->config.layers);
    return fail(err, VKGPT_BAD_MODEL, "%s: tensor %s%s is absent, and so is %s%s", path, prefixes[0], name, prefixes[1],
                name);
}

// Fills the fields of `base` that the slots name; `layer` is the prefix of their names, "h.3." or "".
static int slots_fill(const struct Checkpoint *c, const struct Slot *slots, const char *layer, void *base,
                      const char *path, vkgpt_error *err)
{
    for (const struct Slot *slot = slots; slot->name; slot++) {
        char name[96];
        if (!is_there(&c->config, slot->where)) continue;
        snprintf(name, sizeof name, "%s%s", layer, slot->name);
        const struct Tensor *tensor = find(c, name);
        if (!tensor) return fail_absent(c, path, name, err);
        int code = weight_take(&c->config, slot, tensor, (struct Weight *)((char *)base + slot->field), err);
        if (code) return code;
    }
    return 0;
}

static int layers_fill(struct Checkpoint *c, const char *path, vkgpt_error *err)
{
    const struct Names *n = names_of(c);
    size_t bytes = c->config.layers * sizeof *c->layers;
    c->layers = calloc(c->config.layers, sizeof *c->layers);
    if (!c->layers) return fail_memory(err, path, bytes);
    for (uint32_t l = 0; l < c->config.layers; l++) {
        char layer[32];
        snprintf(layer, sizeof layer, "%s.%u.", n->layers, l);
        int code = slots_fill(c, n->layer, layer, &c->layers[l], path, err);
        if (code) return code;
    }
    return 0;
}

// Whether two matrices of the same shape have the same values, bit for bit after widening to float.
static bool weights_equal(const struct Weight *a, const struct Weight *b)
{
    const struct Tensor *x = a->tensor, *y = b->tensor;
    size_t strides = (size_t)x->rank * sizeof *x->stride;
    if (x->dtype == y->dtype && x->block == y->block && x->bytes == y->bytes &&
        memcmp(x->stride, y->stride, strides) == 0 && (x->data == y->data || memcmp(x->data, y->data, x->bytes) == 0))
        return true;
    for (int64_t o = 0; o < x->shape[0]; o++) {
        for (int64_t i = 0; i < x->shape[1]; i += 256) {
            float left[256], right[256];
            int64_t count = x->shape[1] - i < 256 ? x->shape[1] - i : 256;
            weight_row(a, o, i, count, left);
            weight_row(b, o, i, count, right);
            if (memcmp(left, right, (size_t)count * sizeof *left) != 0) return false;
        }
    }
    return true;
}

// The token table and the head. When they are tied, one tensor under either name is both. If the file has both tensors,
// an equal copy stays tied, and a different one becomes the head.
static int tables_fill(struct Checkpoint *c, const char *path, bool headless, vkgpt_error *err)
{
    const char *wte_name = names_of(c)->wte, *head_name = names_of(c)->head;
    const struct Tensor *wte = find(c, wte_name), *head = table_find(&c->table, head_name);
    bool tied = c->config.tied_head;
    if (!wte && tied) wte = head;
    if (headless || (!head && tied)) head = wte;
    if (!wte) return fail_absent(c, path, wte_name, err);
    if (!head)
        return fail(err, VKGPT_BAD_MODEL, "%s: tensor %s is absent, and tie_word_embeddings is false", path, head_name);
    c->no_head = headless && !tied;
    if (headless) c->config.tied_head = tied = true;
    int code = weight_take(&c->config, &slot_table, wte, &c->wte, err);
    if (!code) code = weight_take(&c->config, &slot_table, head, &c->head, err);
    if (code || !tied) return code;
    if (wte == head || weights_equal(&c->wte, &c->head)) c->head = c->wte;
    else c->config.tied_head = false;
    return 0;
}

// ---------------------------------------------------------------------------------------------------- by name

static struct Weight *slot_find(const struct Slot *slots, const char *name, void *base)
{
    for (const struct Slot *slot = slots; slot->name; slot++)
        if (strcmp(slot->name, name) == 0) return (struct Weight *)((char *)base + slot->field);
    return NULL;
}

// "h.3.ln_1.weight"
static struct Weight *find_in_layer(struct Checkpoint *c, const struct Names *n, const char *name)
{
    size_t length = strlen(n->layers);
    unsigned layer;
    int used = 0;
    if (strncmp(name, n->layers, length) != 0 || sscanf(name + length, ".%9u.%n", &layer, &used) != 1 || !used)
        return NULL;
    return layer < c->config.layers ? slot_find(n->layer, name + length + used, &c->layers[layer]) : NULL;
}

struct Weight *checkpoint_find(struct Checkpoint *c, const char *name)
{
    const struct Names *n = names;
    while (strcmp(n->architecture, c->config.architecture) != 0) n++;
    if (strcmp(name, n->head) == 0) return &c->head;
    for (int i = 0; i < 2; i++) {
        size_t prefix = strlen(n->prefixes[i]);
        if (strncmp(name, n->prefixes[i], prefix) != 0) continue;
        const char *rest = name + prefix;
        if (strcmp(rest, n->wte) == 0) return &c->wte;
        struct Weight *weight = slot_find(n->model, rest, c);
        if (!weight) weight = find_in_layer(c, n, rest);
        if (weight) return weight;
    }
    return NULL;
}

// ------------------------------------------------------------------------------------------------ open, close

static int gguf_open(const char *path, struct Checkpoint *checkpoint, vkgpt_error *err)
{
    struct Gguf gguf;
    checkpoint->gguf = true;
    int code = gguf_read(path, &checkpoint->table, &gguf, err);
    if (!code) code = gguf_config(&gguf, &checkpoint->table, &checkpoint->config, err);
    gguf_free(&gguf);
    return code;
}

static int directory_open(const char *dir, struct Checkpoint *checkpoint, char path[PATH_BYTES], vkgpt_error *err)
{
    int code = config_read(dir, &checkpoint->config, err);
    return code ? code : weights_read(dir, &checkpoint->table, path, err);
}

static int open_weights(const char *dir, bool headless, struct Checkpoint *checkpoint, vkgpt_error *err)
{
    char path[PATH_BYTES];
    struct Located at;
    *checkpoint = (struct Checkpoint){0};
    model_name(dir, checkpoint->name, sizeof checkpoint->name);
    int code = model_locate(dir, NEED_WEIGHTS, &at, err);
    if (code) return code;
    memcpy(checkpoint->note, at.note, sizeof checkpoint->note);
    memcpy(path, at.path, sizeof path);
    code = os_is_dir(path) ? directory_open(at.path, checkpoint, path, err) : gguf_open(path, checkpoint, err);
    if (!code) code = tables_fill(checkpoint, path, headless, err);
    if (!code) code = slots_fill(checkpoint, names_of(checkpoint)->model, "", checkpoint, path, err);
    if (!code) code = layers_fill(checkpoint, path, err);
    code = table_end(&checkpoint->table, code, err);
    if (code) checkpoint_close(checkpoint);
    return code;
}

int checkpoint_open(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err)
{
    return open_weights(dir, false, checkpoint, err);
}

int checkpoint_open_headless(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err)
{
    return open_weights(dir, true, checkpoint, err);
}

void checkpoint_close(struct Checkpoint *checkpoint)
{
    free(checkpoint->layers);
    table_free(&checkpoint->table);
    *checkpoint = (struct Checkpoint){0};
}

// ------------------------------------------------------------------------------------------- the other tensors

static void mark(const struct Checkpoint *c, const struct Weight *weights, size_t count, const struct Tensor **marked)
{
    uint32_t index;
    for (size_t i = 0; i < count; i++) {
        const struct Tensor *t = weights[i].tensor;
        if (t && map_find(&c->table.by_name, t->name, strlen(t->name), &index)) marked[index] = t;
    }
}

void checkpoint_weights(const struct Checkpoint *c, const struct Tensor **weights)
{
    const struct Weight tables[] = {c->wte, c->wpe, c->head, c->project_in, c->project_out, c->ln_f_gain, c->ln_f_bias};
    for (size_t i = 0; i < c->table.count; i++) weights[i] = NULL;
    mark(c, tables, sizeof tables / sizeof *tables, weights);
    for (uint32_t l = 0; l < c->config.layers; l++)
        mark(c, (const struct Weight *)&c->layers[l], sizeof *c->layers / sizeof(struct Weight), weights);
}

bool checkpoint_implied(const struct Checkpoint *c, const struct Tensor *tensor)
{
    const struct Tensor *wte = c->wte.tensor;
    if (ends_with(tensor->name, ".attn.bias") || ends_with(tensor->name, ".attn.masked_bias")) return true;
    return c->config.tied_head && strcmp(tensor->name, wte->name) != 0 &&
           strcmp(tensor->name, names_of(c)->head) == 0 && tensor->dtype != DTYPE_OTHER && tensor->rank == 2 &&
           tensor->shape[0] == wte->shape[0] && tensor->shape[1] == wte->shape[1];
}
