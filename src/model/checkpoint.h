// A checkpoint on disk: its tensors by name, mapped from the files that hold them, checked before anything is
// allocated from what they say. Knows files; knows no Vulkan and copies no weights.
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
    DTYPE_BLOCKS, // Tensor.block says which; row-major, every row a whole number of blocks
    DTYPE_OTHER,  // U8, BOOL, I64, ...: of tensors that are ignored
};

#define TENSOR_MAX_RANK 8

struct Tensor {
    const char *name; // as in the file
    const char *file; // path, for sentences
    enum Dtype dtype;
    enum BlockFormat block; // of DTYPE_BLOCKS
    const char *dtype_name; // as in the file: "F32", "torch.HalfStorage", "Q4_K"
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t stride[TENSOR_MAX_RANK]; // in elements; row-major unless a PyTorch file says otherwise
    const uint8_t *data;             // may be unaligned
    size_t bytes;                    // that the elements span
};

struct TensorTable { // tensors of one or several files
    struct Tensor *tensors;
    size_t count, capacity;
    struct Map by_name;    // name -> index
    struct Mapping *files; // mappings and names that tensors point into
    char **paths;
    size_t file_count;
    char **names; // owned strings
    size_t name_count, name_capacity;
    void **rooms; // owned values, of tensors that no file holds in one piece
    size_t room_count;
};

// A matrix or vector of the model, where the checkpoint keeps it. `in_out` says that the file holds (in, out)
// (GPT-2's Conv1D), so that element (o, i) of the product y = W x lies at data[i, o].
struct Weight {
    const struct Tensor *tensor; // NULL: absent. An absent gain is ones, an absent bias zeros
    bool in_out;
};

struct LayerWeights {
    struct Weight ln_1_gain, ln_1_bias; // (dim)
    struct Weight c_attn, c_attn_bias;  // (3 dim, dim): rows q, k, v; (3 dim). Absent where the file keeps them apart:
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
    bool no_head;                          // opened without its own head: `head` is wte, and nothing of the model's
    struct Weight project_in, project_out; // (dim, embed_dim), (embed_dim, dim); absent where embed_dim is dim
    struct Weight ln_f_gain, ln_f_bias;    // (dim); absent without a final norm
    struct LayerWeights *layers;
    char name[256]; // the directory's last component, or the file's, or that of the model in the hub's cache
    char note[512]; // "", or which folder of the one given is meant
};

// Opens what model_locate finds at a path: a GGUF file of architecture gpt2 (gguf.h); or a Hugging Face directory:
// config.json, then model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json or
// params_shapes.json (OpenAI's release of GPT-1, which has no config.json), the first that is there, or the only
// safetensors file. Every weight that the config asks for is found and its shape checked. Where the
// config ties the head but the file holds another lm_head.weight, of other values than wte, that one is the head
// and config.tied_head becomes false (as Hugging Face transformers 5 does; an equal copy stays tied).
// Errors: VKGPT_BAD_FILE, VKGPT_BAD_MODEL, VKGPT_OUT_OF_MEMORY; the checkpoint is then closed.
int checkpoint_open(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err);
// The same for whoever does not run the head: it is the token table and tied, whatever the config says and the file
// holds, since a class of another head may hold none.
int checkpoint_open_headless(const char *dir, struct Checkpoint *checkpoint, vkgpt_error *err);
void checkpoint_close(struct Checkpoint *checkpoint); // accepts a half-made or zeroed one
// The name of the file that a directory's weights are read from, an index of shards among them; false: there is none.
bool checkpoint_weights_in(const char *dir, char *name, size_t size);

// The weight that a name of Hugging Face's means ("transformer.h.0.attn.c_attn.weight", with the class's prefix or
// without), in a GGUF file too, or NULL. Its tensor is NULL where the config says that the model has none.
struct Weight *checkpoint_find(struct Checkpoint *checkpoint, const char *name);
// Which tensors of the table are weights of the language model, by their names: weights[i] (table.count of them)
// becomes the tensor that is used for table.tensors[i], itself or what took its place in memory, or NULL. The others
// are heads for tasks, mask buffers, a copy of the tied head, layers past the last.
void checkpoint_weights(const struct Checkpoint *checkpoint, const struct Tensor **weights);
// Whether a tensor that is no weight says nothing that the config does not: a mask buffer of gpt2's attention, or a
// copy of the tied head.
bool checkpoint_implied(const struct Checkpoint *checkpoint, const struct Tensor *tensor);

// Elements [first, first + count) of row o of a weight (a vector has one row), widened to float. For an (in, out)
// tensor this gathers a column: weight_rows is the fast way for many.
void weight_row(const struct Weight *weight, int64_t o, int64_t first, int64_t count, float *out);
// Doubles are rounded to float, as PyTorch does it, and from there on like others.
// Rows [o, o + rows) of width `in` as float into out (rows, in), cache-friendly for both orders.
void weight_rows(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, float *out);
// The same rows as half precision: f16 sources bit for bit, the others rounded as by float_to_half.
void weight_rows_half(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, uint16_t *out);
// The largest finite magnitude of the weight, to see whether it fits half precision.
float weight_max_abs(const struct Weight *weight);

float half_to_float(uint16_t h);
uint16_t float_to_half(float f); // round to nearest even; past 65504 to infinity, NaN stays NaN
float bfloat_to_float(uint16_t b);

#endif
