// A checkpoint on disk: its tensors by name, mapped from their files. Sizes from a file are checked before memory is
// allocated from them. Uses no Vulkan and copies no weights.
#ifndef VKGPT_MODEL_CHECKPOINT_H
#define VKGPT_MODEL_CHECKPOINT_H

#include "model/config.h"
#include "model/half.h"
#include "model/table.h"
#include "model/weight.h"

struct LayerWeights {
    struct Weight ln_1_gain, ln_1_bias; // (dim)
    struct Weight c_attn, c_attn_bias;  // (3 dim, dim): rows q, k, v; (3 dim). Absent if the file has them separately:
    struct Weight q, k, v;              // (dim, dim) each
    struct Weight q_bias, k_bias, v_bias; // (dim) each
    struct Weight c_proj, c_proj_bias;    // (dim, dim); (dim): attention's output
    struct Weight ln_2_gain, ln_2_bias;   // (dim)
    struct Weight c_fc, c_fc_bias;        // (inner, dim); (inner)
    struct Weight c_out, c_out_bias;      // (dim, inner); (dim): GPT-2's mlp.c_proj
};

struct Checkpoint {
    struct Config config;
    bool gguf; // the tensors have GGUF's names
    struct TensorTable table;
    struct Weight wte;                     // (vocab, embed_dim)
    struct Weight wpe;                     // (position_offset + context, dim)
    struct Weight head;                    // (vocab, embed_dim); the same tensor as wte when tied
    bool no_head;                          // opened without its own head: `head` is wte, not the model's head
    struct Weight project_in, project_out; // (dim, embed_dim), (embed_dim, dim); absent when embed_dim equals dim
    struct Weight ln_f_gain, ln_f_bias;    // (dim); absent without a final norm
    struct LayerWeights *layers;
    char name[256]; // the directory's last component, or the file's, or that of the model in the hub's cache
    char note[512]; // "", or which folder inside the given one was opened
};

// Opens what model_locate finds at a path: a GGUF file of architecture gpt2 (gguf.h), or a Hugging Face directory. A
// directory has config.json and the weights: the first that exists of model.safetensors, model.safetensors.index.json,
// pytorch_model.bin, pytorch_model.bin.index.json and params_shapes.json (OpenAI's release of GPT-1, which has no
// config.json), else the only safetensors file. Finds every weight that the config asks for, and checks its shape. If
// the config ties the head but the file has an lm_head.weight whose values differ from wte, that one is the head and
// config.tied_head becomes false (as Hugging Face transformers 5 does; an equal copy stays tied).
// Errors: VKGPT_BAD_FILE, VKGPT_BAD_MODEL, VKGPT_OUT_OF_MEMORY; the checkpoint is then closed.
int checkpoint_open(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err);
// The same for callers that do not run the head: the head is always the tied token table, whatever the config and the
// file say, since a class with another head may have none.
int checkpoint_open_headless(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err);
void checkpoint_close(struct Checkpoint *checkpoint); // accepts a half-made or zeroed one

// The weight with this Hugging Face name ("transformer.h.0.attn.c_attn.weight", with or without the class's prefix), or
// NULL; the same names work for a GGUF file. Its tensor is NULL if the model has no such weight by its config.
struct Weight *checkpoint_find(struct Checkpoint *checkpoint, const char *name);
// Which tensors of the table are weights of the language model, by their names: weights[i] (table.count of them)
// becomes the tensor that is used for table.tensors[i] (itself, or its replacement in memory). It becomes NULL for
// heads for tasks, mask buffers, a copy of the tied head, and layers past the last.
void checkpoint_weights(const struct Checkpoint *checkpoint, const struct Tensor **weights);
// Whether a tensor that is not a weight can be left out without loss: a mask buffer of gpt2's attention, or a copy of
// the tied head.
bool checkpoint_implied(const struct Checkpoint *checkpoint, const struct Tensor *tensor);

#endif
