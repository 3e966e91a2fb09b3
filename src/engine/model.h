// A model on a device: its matrices and vectors, and the padded sizes that every kernel works with.
#ifndef VKGPT_ENGINE_MODEL_H
#define VKGPT_ENGINE_MODEL_H

#include "engine/matrix.h"

struct Layer {
    struct Matrix c_attn; // (3 heads head_dim, dim)
    struct Matrix c_proj; // (dim, heads head_dim)
    struct Matrix c_fc;   // (inner, dim)
    struct Matrix c_out;  // (dim, inner)
    struct Slice vectors; // norms and biases, at the offsets below
};

// Where each vector of a layer stands in its slice, in floats; the same for all layers.
struct VectorOffsets {
    uint32_t ln_1_gain, ln_1_bias, c_attn, c_proj, ln_2_gain, ln_2_bias, c_fc, c_out, count;
};

struct vkgpt_model {
    vkgpt_device *device;
    struct Config config;
    char name[256];
    uint32_t dim, head_dim, width, inner, vocab; // padded: C, of a head, of all heads, of the feed-forward layer, V
    uint32_t embed_dim;                          // padded: of wte and the head
    struct Pool pool;
    struct Matrix wte, wpe, own_head;
    struct Matrix project_in, project_out; // (dim, embed_dim), (embed_dim, dim), where the embedding has its own width
    const struct Matrix *head;             // wte when tied
    struct Layer *layers;
    struct VectorOffsets at;
    struct Slice ln_f; // gain, then bias
    bool projected;    // the embedding has its own width
    bool hidden_only;  // head is not to be run
    vkgpt_model_info info;
};

#define WEIGHT_BLOCK ((VkDeviceSize)256 << 20) // of the weights' memory, when a model is larger than one

// Fills the padded sizes, and where the vectors of a layer stand, from the facts of a model.
void model_sizes(struct vkgpt_model *model, const struct Config *config);
// A model that was opened for its hidden states has no head to run.
int model_check_head(const struct vkgpt_model *model, vkgpt_error *err);

#endif
