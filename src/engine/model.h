// A model on a device: its matrices and vectors, and the padded sizes that every kernel works with. A model that is cut
// by layers is a chain of such models, one for each device; the user has the last one.
#ifndef VKGPT_ENGINE_MODEL_H
#define VKGPT_ENGINE_MODEL_H

#include <pthread.h>

#include "engine/matrix.h"
#include "engine/products.h"

struct StageOptions;
struct Upstream;

struct Layer {
    union {
        struct {
            struct Matrix c_attn; // (3 heads head_dim, dim)
            struct Matrix c_proj; // (dim, heads head_dim)
            struct Matrix c_fc;   // (inner, dim)
            struct Matrix c_out;  // (dim, inner)
        };
        struct Matrix matrices[LAYER_PRODUCTS]; // the same: QKV, PROJECT, EXPAND, CONTRACT
    };
    struct Slice vectors; // norms and biases, at the offsets below
};

// The offset of each vector of a layer in its slice, in floats; the same for all layers.
struct VectorOffsets {
    uint32_t ln_1_gain, ln_1_bias, c_attn, c_proj, ln_2_gain, ln_2_bias, c_fc, c_out, count;
};

struct vkgpt_model {
    vkgpt_device *device;
    struct Config config;
    char name[256];
    uint32_t first, end;        // of the layers that this stage runs: all of them on one device
    uint32_t stage;             // its number in the chain; 0: it embeds
    struct vkgpt_model *before; // the stage before it in this process, or NULL; closed with it
    pthread_mutex_t in_use;     // held by what uses the device, where a stage comes after it (engine/stages.c)
    uint32_t most_rows;         // of a block of prefill, so that all stages have the same blocks; 0: one device
    bool formats[FORMATS];      // of the matrices of all stages
    // opens the sessions of the stages before it (engine/upstream.h), or NULL: it is the first one
    int (*open_upstream)(const struct vkgpt_model *model, const struct StageOptions *options,
                         struct Upstream **upstream, vkgpt_error *err);
    struct StagesElsewhere *elsewhere;           // other processes have a part of the chain, or NULL
    uint32_t dim, head_dim, width, inner, vocab; // padded: C, of a head, of all heads, of the feed-forward layer, V
    uint32_t embed_dim;                          // padded: of wte and the head
    struct Pool pool;
    struct Matrix wte, wpe, own_head;
    struct Matrix embed_up, embed_down; // (dim, embed_dim), (embed_dim, dim), where the embedding has its own width
    const struct Matrix *head;          // wte when tied; NULL: another stage has it
    struct Layer *layers;               // (all layers): only those of this stage have matrices
    struct VectorOffsets at;
    struct Slice ln_f; // gain, then bias
    bool projected;    // the embedding has its own width
    bool hidden_only;  // the head must not run
    vkgpt_model_info info;
};

// Whether this stage embeds tokens, has the head, or is the whole model.
static inline bool model_embeds(const struct vkgpt_model *m) { return m->first == 0; }
static inline bool model_has_head(const struct vkgpt_model *m) { return m->end == m->config.layers; }
static inline bool model_is_whole(const struct vkgpt_model *m) { return model_embeds(m) && model_has_head(m); }

// Fills the padded sizes, and the offsets of the vectors of a layer, from the config of a model. It has all layers.
void model_sizes(struct vkgpt_model *model, const struct Config *config);

// The matrix of a product in a layer; for the head, the layer does not matter.
const struct Matrix *model_matrix(const struct vkgpt_model *model, enum ProductKernel product, uint32_t layer);
uint32_t model_layers_of(const struct vkgpt_model *model,
                         enum ProductKernel product); // that have a matrix of their own

// The parts of a model's memory. The matrices of a layer follow PART_LAYER in the order of enum ProductKernel.
enum ModelPart { PART_WTE, PART_WPE, PART_EMBED_UP, PART_EMBED_DOWN, PART_HEAD, PART_VECTORS, PART_LAYER };

struct ModelWant { // a matrix, or vectors
    enum ModelPart part;
    uint32_t layer;
    uint32_t out, in; // padded; vectors: 1 and how many floats
    uint32_t format;  // WEIGHTS_..., whose blocks divide a row
    uint64_t bytes;
};

uint32_t model_table_format(uint32_t wanted);   // of wte and the head: four bits would hurt them
uint32_t model_position_format(uint32_t table); // fp32 if the token table is in fp32, else fp16

// Passes all parts of this stage to `each`, in the order in which they are uploaded. `wanted` returns the format that
// was asked for, or that the file has; for PART_WPE, that of PART_WTE.
void model_wants(const struct vkgpt_model *model, uint32_t (*wanted)(void *user, enum ModelPart part, uint32_t layer),
                 void (*each)(void *user, const struct ModelWant *want), void *user);

// Sums of the parts that model_wants passes on.
struct ModelBytes {
    uint64_t layers, tables, projections, vectors; // tables: wte, wpe and a head of its own
    uint64_t head;                                 // of the tables, what a step reads
};
void model_count(struct ModelBytes *bytes, const struct ModelWant *want);
uint64_t model_step_bytes(const struct vkgpt_model *model, const struct ModelBytes *bytes); // that a step reads
uint64_t model_total_bytes(const struct ModelBytes *bytes);                                 // all
// Bytes of a block of the weights' memory.
uint64_t model_block_bytes(const struct vkgpt_model *model, const struct ModelBytes *bytes);

// A model that was opened for its hidden states has no head to run.
int model_check_head(const struct vkgpt_model *model, vkgpt_error *err);
// Refuses a model that is cut over several devices. `what` begins the sentence: "a profile".
int model_check_whole(const struct vkgpt_model *model, const char *what, vkgpt_error *err);

#endif
