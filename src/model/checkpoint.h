// A checkpoint on disk: its tensors by name, mapped from their files. Sizes from a file are checked before memory is
// allocated from them. Uses no Vulkan and copies no weights.
#ifndef VKGPT_MODEL_CHECKPOINT_H
#define VKGPT_MODEL_CHECKPOINT_H

#include "base/map.h"
#include "base/os.h"
#include "model/blocks.h"
#include "model/config.h"

enum Dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_F64,
    DTYPE_BLOCKS, // Tensor.block is the format; row-major, the row length is a multiple of the block size
    DTYPE_OTHER,  // U8, BOOL, I64, ...: for tensors that are ignored
};

#define TENSOR_MAX_RANK 8

struct Tensor {
    const char *name; // as in the file
    const char *file; // path, for sentences
    enum Dtype dtype;
    enum BlockFormat block; // for DTYPE_BLOCKS
    const char *dtype_name; // as in the file: "F32", "torch.HalfStorage", "Q4_K"
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t stride[TENSOR_MAX_RANK]; // in elements; row-major unless a PyTorch file says otherwise
    const uint8_t *data;             // may be unaligned
    size_t bytes;                    // from the first to the last element
};

struct TensorTable { // tensors of one or several files
    struct Tensor *tensors;
    size_t count, capacity;
    struct Map by_name;    // name -> index
    struct Mapping *files; // tensors point into these mappings and names
    char **paths;
    size_t file_count;
    char **names; // owned strings
    size_t name_count, name_capacity;
    void **rooms; // owned values of tensors that are not contiguous in a file
    size_t room_count;
};

// A matrix or vector of the model, in the checkpoint. With `in_out` the file holds (in, out), as GPT-2's Conv1D:
// element (o, i) of the product y = W x is data[i, o].
struct Weight {
    const struct Tensor *tensor; // NULL: absent. An absent gain is ones, an absent bias zeros
    bool in_out;
};

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
// The name of the file with a directory's weights, which may be an index of shards; false: there is none.
bool checkpoint_weights_in(const char *dir, char *name, size_t size);

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

// Elements [first, first + count) of row o of a weight (a vector has one row), widened to float. For an (in, out)
// tensor this gathers a column: weight_rows is faster for many rows.
void weight_row(const struct Weight *weight, int64_t o, int64_t first, int64_t count, float *out);
// Rows [o, o + rows) of width `in` as float into out (rows, in), cache-friendly for both orders. Doubles are rounded to
// float, as in PyTorch.
void weight_rows(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, float *out);
// The same rows in half precision: f16 is copied bit for bit, other types are rounded by float_to_half.
void weight_rows_half(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, uint16_t *out);
// The largest finite magnitude of the weight, to check whether it fits half precision.
float weight_max_abs(const struct Weight *weight);

float half_to_float(uint16_t h);
uint16_t float_to_half(float f); // rounds to nearest even; past 65504 gives infinity, NaN stays NaN
float bfloat_to_float(uint16_t b);

#endif
