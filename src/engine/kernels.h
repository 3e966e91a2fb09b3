// Which variant of each kernel a device runs, with which specialization constants, for the shapes of one model. With
// engine/variants.h, which has the choices for the products, the only place that knows that a software driver wants
// other kernels than a GPU.
#ifndef VKGPT_ENGINE_KERNELS_H
#define VKGPT_ENGINE_KERNELS_H

#include "engine/variants.h"
#include "gpu/recording.h"
#include "model/config.h"

// qkv, project, expand, contract or head: y = W x + b.
struct Product {
    const struct Pipeline *pipelines[FORMATS];
    uint32_t group_outputs[FORMATS], group_rows[FORMATS]; // that one workgroup makes
    uint32_t segments[FORMATS]; // of the width, each made by workgroups of its own: engine/tiles.h
    uint32_t whole_rows[FORMATS], whole_outputs[FORMATS]; // multiplied together, whether all of them are there or not
    bool staged[FORMATS]; // it makes its own input from x: the norm, or the merged attention
    bool halves;          // its input is in halves: prefill by the device's products of matrices
};

struct Kernels {
    const struct Pipeline *embed[FORMATS], *norm, *attend, *merge, *sample; // attend: attend_block in prefill
    const struct Pipeline *norm_input;    // of a product that does not make its own; norm: all other
    const struct Pipeline *norm_halves;   // of a product that wants halves; NULL: none does
    const struct Pipeline *cache;         // with KV_Q8_0
    const struct Pipeline *score;         // prefill
    const struct Pipeline *lookup, *best; // steps of several rows: best, where head leaves no parts
    struct Product qkv, project, expand, contract, head;
    struct Product project_in, project_out; // of the embedding, where it has its own width
    bool splits;                            // a product has segments
    uint32_t cache_lanes;                   // of a workgroup of cache
    uint32_t head_groups;                   // decode: parts of a row that head or best leaves
    uint32_t span;                          // decode: positions in a split of the cache
    uint32_t block_queries;                 // prefill: queries in a workgroup of attend_block; 0: decode
    uint32_t block_keys;                    // prefill: positions in one of its tiles
};

// Sizes that the kernels are made for; enough to test one without a model.
struct Shape {
    uint32_t dim, head_dim, width, inner; // padded
    uint32_t embed_dim;                   // padded, where the embedding has its own width; else 0
    uint32_t vocab;                       // padded: tuning looks for it; 0: none is for the head
    bool state_first;                     // decode on a GPU: products ask for the row's state before the weights
    bool post_norm, no_final_norm;        // qkv and expand, or the head, are not fed by a norm
    uint32_t span;
    uint32_t kv; // KV_F32, KV_F16, KV_Q8_0
    enum Activation activation;
    bool formats[FORMATS]; // that occur
    struct Variant
        tile; // of prefill's products of matrices: one that the device has, split where it can be; .tile 0: any
};

// For steps of so many rows, over all sequences.
int kernels_for_decode(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *kernels,
                       vkgpt_error *err);
// For blocks of up to so many rows.
int kernels_for_prefill(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *kernels,
                        vkgpt_error *err);
// attend alone, which leaves floats
int kernel_for_blocks(vkgpt_device *device, const struct Shape *shape, struct Kernels *kernels, vkgpt_error *err);

uint32_t activation_constant(enum Activation activation); // ACTIVATE_...

// Whether products of blocks may be made of the device's own products of matrices: weights in fp32 are not.
bool products_by_matrices(const vkgpt_device *device);
// What a choice for a product of blocks of up to so many rows is made for, by matrices.
struct ProductKey block_key(enum ProductKernel product, uint32_t format, uint32_t width, uint32_t outputs,
                            uint32_t rows);
// What a choice for a product of steps of so many rows is made for; the width and the outputs are those of the matrix.
struct ProductKey product_key(const vkgpt_device *device, enum ProductKernel product, uint32_t format, uint32_t width,
                              uint32_t outputs, uint32_t rows);

#endif
