// Opening a checkpoint: which files hold it, which tensor is which weight, and whether its shape is what the config
// says. Tensors that no table below names (mask buffers, other heads, layers past n_layer) are left alone.
#include "model/checkpoint.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/path.h"
#include "model/safetensors.h"
#include "model/shards.h"
#include "model/table.h"
#include "model/torch_zip.h"

// ------------------------------------------------------------------------------------------------- the files

static const struct Source {
    const char *name;
    bool sharded; // the name is an index
    ShardReadFn *read;
} sources[] = {
    {"model.safetensors", false, safetensors_read},
    {"model.safetensors.index.json", true, safetensors_read},
    {"pytorch_model.bin", false, torch_zip_read},
    {"pytorch_model.bin.index.json", true, torch_zip_read},
};

// What other programs call their weights, for the sentence when there is nothing else.
static const char *const foreign[] = {
    "model.gguf", "ggml-model-f16.gguf", "ggml-model-f32.gguf", "tf_model.h5", "flax_model.msgpack", "rust_model.ot",
    "model.ckpt.index", "params_0.npy", "adapter_model.safetensors",
};

static int fail_no_weights(const char *dir, vkgpt_error *err)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (!path_join(path, dir, foreign[i], NULL) && os_exists(path))
            return fail(err, VKGPT_BAD_MODEL,
                        "%s: the weights are in %s only, which vkgpt does not read; model.safetensors or "
                        "pytorch_model.bin is needed",
                        dir, foreign[i]);
    return fail(err, VKGPT_BAD_FILE,
                "%s: no weights there: neither model.safetensors nor pytorch_model.bin, nor an index of shards", dir);
}

// path becomes the file that stands for the weights in sentences.
static int tensors_read(const char *dir, struct TensorTable *table, char path[PATH_BYTES], vkgpt_error *err)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        const struct Source *source = &sources[i];
        int code = path_join(path, dir, source->name, err);
        if (code) return code;
        if (!os_exists(path)) continue;
        if (source->sharded) return shards_read(dir, source->name, source->read, table, err);
        return source->read(path, table, err);
    }
    return fail_no_weights(dir, err);
}

// ----------------------------------------------------------------------------------------------- the weights

enum Extent { ONE, DIM, QKV, INNER, VOCAB, CONTEXT }; // sizes that the config gives

struct Slot { // a weight of (out, in), or of (out) where in is ONE
    const char *name;
    size_t field; // offset of its struct Weight
    enum Extent out, in;
    bool in_out;
};

static const struct Slot gpt2_model[] = {
    {"wpe.weight", offsetof(struct Checkpoint, wpe), CONTEXT, DIM, false},
    {"ln_f.weight", offsetof(struct Checkpoint, ln_f_gain), DIM, ONE, false},
    {"ln_f.bias", offsetof(struct Checkpoint, ln_f_bias), DIM, ONE, false},
    {NULL, 0, ONE, ONE, false},
};

static const struct Slot gpt2_layer[] = {
    {"ln_1.weight", offsetof(struct LayerWeights, ln_1_gain), DIM, ONE, false},
    {"ln_1.bias", offsetof(struct LayerWeights, ln_1_bias), DIM, ONE, false},
    {"attn.c_attn.weight", offsetof(struct LayerWeights, c_attn), QKV, DIM, true},
    {"attn.c_attn.bias", offsetof(struct LayerWeights, c_attn_bias), QKV, ONE, false},
    {"attn.c_proj.weight", offsetof(struct LayerWeights, c_proj), DIM, DIM, true},
    {"attn.c_proj.bias", offsetof(struct LayerWeights, c_proj_bias), DIM, ONE, false},
    {"ln_2.weight", offsetof(struct LayerWeights, ln_2_gain), DIM, ONE, false},
    {"ln_2.bias", offsetof(struct LayerWeights, ln_2_bias), DIM, ONE, false},
    {"mlp.c_fc.weight", offsetof(struct LayerWeights, c_fc), INNER, DIM, true},
    {"mlp.c_fc.bias", offsetof(struct LayerWeights, c_fc_bias), INNER, ONE, false},
    {"mlp.c_proj.weight", offsetof(struct LayerWeights, c_out), DIM, INNER, true},
    {"mlp.c_proj.bias", offsetof(struct LayerWeights, c_out_bias), DIM, ONE, false},
    {NULL, 0, ONE, ONE, false},
};

static const struct Slot slot_wte = {"wte.weight", 0, VOCAB, DIM, false};
static const struct Slot slot_head = {"lm_head.weight", 0, VOCAB, DIM, false};

static int64_t extent_of(const struct Config *config, enum Extent extent)
{
    switch (extent) {
    case ONE: return 1;
    case DIM: return config->dim;
    case QKV: return 3 * (int64_t)config->dim;
    case INNER: return config->inner;
    case VOCAB: return config->vocab;
    case CONTEXT: return config->context;
    }
    return 0;
}

// With or without the prefix of the class that the model was saved from.
static const struct Tensor *find(const struct TensorTable *table, const char *name)
{
    char prefixed[128];
    snprintf(prefixed, sizeof prefixed, "transformer.%s", name);
    const struct Tensor *tensor = table_find(table, prefixed);
    return tensor ? tensor : table_find(table, name);
}

// A weight is this tensor, if its type and shape are right.
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
        return fail(err, VKGPT_BAD_MODEL, "%s: tensor %.200s is of type %s, not F32, F16 or BF16", tensor->file,
                    tensor->name, tensor->dtype_name);
    *weight = (struct Weight){tensor, slot->in_out};
    return 0;
}

static int fail_absent(const char *path, const char *name, vkgpt_error *err)
{
    return fail(err, VKGPT_BAD_MODEL, "%s: tensor %s is absent, with transformer. before it and without", path, name);
}

// Fills the fields of base that the slots name; layer is what stands before their names, "h.3." or "".
static int slots_fill(const struct Checkpoint *c, const struct Slot *slots, const char *layer, void *base,
                      const char *path, vkgpt_error *err)
{
    for (const struct Slot *slot = slots; slot->name; slot++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", layer, slot->name);
        const struct Tensor *tensor = find(&c->table, name);
        if (!tensor) return fail_absent(path, name, err);
        int code = weight_take(&c->config, slot, tensor, (struct Weight *)((char *)base + slot->field), err);
        if (code) return code;
    }
    return 0;
}

static int layers_fill(struct Checkpoint *c, const char *path, vkgpt_error *err)
{
    size_t bytes = c->config.layers * sizeof *c->layers;
    c->layers = calloc(c->config.layers, sizeof *c->layers);
    if (!c->layers) return fail_memory(err, path, bytes);
    for (uint32_t l = 0; l < c->config.layers; l++) {
        char layer[32];
        snprintf(layer, sizeof layer, "h.%u.", l);
        int code = slots_fill(c, gpt2_layer, layer, &c->layers[l], path, err);
        if (code) return code;
    }
    return 0;
}

// Two matrices of one shape hold the same numbers, bit for bit once widened.
static bool weights_equal(const struct Weight *a, const struct Weight *b)
{
    const struct Tensor *x = a->tensor, *y = b->tensor;
    size_t strides = (size_t)x->rank * sizeof *x->stride;
    if (x->dtype == y->dtype && x->bytes == y->bytes && memcmp(x->stride, y->stride, strides) == 0 &&
        (x->data == y->data || memcmp(x->data, y->data, x->bytes) == 0))
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

// The token table and the head. Tied, one tensor under either name is both; a second one that is a copy changes
// nothing, and one that differs is a head of its own.
static int tables_fill(struct Checkpoint *c, const char *path, vkgpt_error *err)
{
    const struct Tensor *wte = find(&c->table, slot_wte.name), *head = table_find(&c->table, slot_head.name);
    bool tied = c->config.tied_head;
    if (!wte && tied) wte = head;
    if (!head && tied) head = wte;
    if (!wte) return fail_absent(path, slot_wte.name, err);
    if (!head)
        return fail(err, VKGPT_BAD_MODEL, "%s: tensor %s is absent, and tie_word_embeddings is false", path,
                    slot_head.name);
    int code = weight_take(&c->config, &slot_wte, wte, &c->wte, err);
    if (!code) code = weight_take(&c->config, &slot_head, head, &c->head, err);
    if (code || !tied) return code;
    if (wte == head || weights_equal(&c->wte, &c->head)) c->head = c->wte;
    else c->config.tied_head = false;
    return 0;
}

// ------------------------------------------------------------------------------------------------ open, close

// "gpt2" of "models/gpt2/".
static void name_of(const char *dir, char *name, size_t size)
{
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && dir[start - 1] != '/') start--;
    snprintf(name, size, "%.*s", (int)(end - start < size ? end - start : size - 1), dir + start);
}

int checkpoint_open(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err)
{
    char path[PATH_BYTES];
    *checkpoint = (struct Checkpoint){0};
    name_of(dir, checkpoint->name, sizeof checkpoint->name);
    int code = config_read(dir, &checkpoint->config, err);
    if (!code) code = tensors_read(dir, &checkpoint->table, path, err);
    if (!code) code = tables_fill(checkpoint, path, err);
    if (!code) code = slots_fill(checkpoint, gpt2_model, "", checkpoint, path, err);
    if (!code) code = layers_fill(checkpoint, path, err);
    if (code) checkpoint_close(checkpoint);
    return code;
}

void checkpoint_close(struct Checkpoint *checkpoint)
{
    free(checkpoint->layers);
    table_free(&checkpoint->table);
    *checkpoint = (struct Checkpoint){0};
}
