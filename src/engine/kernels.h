// Which variant of each kernel a device runs, with which specialization constants, for the shapes of one model. Only
// this file, and engine/variants.h with the choices for the products, know that a software driver needs other kernels
// than a GPU.
#ifndef VKGPT_ENGINE_KERNELS_H
#define VKGPT_ENGINE_KERNELS_H

#include "engine/variants.h"
#include "engine/work.h"
#include "gpu/recording.h"
#include "model/config.h"

// qkv, project, expand, contract or head: y = W x + b.
struct Product {
    const struct Pipeline *pipelines[FORMATS];
    uint32_t group_outputs[FORMATS], group_rows[FORMATS]; // of one workgroup
    uint32_t segments[FORMATS]; // of the width, each computed by workgroups of its own: engine/tiles.h
    uint32_t whole_rows[FORMATS], whole_outputs[FORMATS]; // multiplied together, even if not all of them exist
    bool staged[FORMATS]; // it computes its own input from x: the norm, or the merged attention
    bool halves;          // its input is in halves: prefill with cooperative matrices
};

struct Kernels {
    const struct Pipeline *embed[FORMATS], *norm, *attend, *merge, *sample; // attend: attend_block in prefill
    const struct Pipeline *norm_input;    // before a product that does not compute it; norm: all others
    const struct Pipeline *norm_halves;   // before a product that reads halves; NULL: none does
    const struct Pipeline *cache;         // with KV_Q8_0
    const struct Pipeline *score;         // prefill
    const struct Pipeline *admit;         // decode: it takes the inbox, in prefill too
    const struct Pipeline *share;         // decode: it copies beginnings in the cache
    const struct Pipeline *lookup, *best; // steps of several rows; best: where head writes no parts, else NULL
    union {
        struct {
            struct Product qkv, project, expand, contract, head;
        };
        struct Product products[PRODUCT_KERNELS]; // the same
    };
    struct Product embed_up, embed_down; // of the embedding, where it has its own width
    bool splits;                         // a product has segments
    uint32_t cache_lanes;                // of a workgroup of cache
    uint32_t head_groups;                // decode: parts of a row that head or best writes
    uint32_t span;                       // decode: positions in a split of the cache
    uint32_t block_queries;              // prefill: queries in a workgroup of attend_block; 0: decode
    struct AttendTile attend_tile;       // prefill
};

// Sizes that the kernels are made for; enough to test one without a model.
struct Shape {
    uint32_t dim, head_dim, width, inner; // padded
    uint32_t embed_dim;                   // padded, where the embedding has its own width; else 0
    uint32_t vocab;                       // padded, part of the key of the head's tuning; 0: no choice is for the head
    bool state_first;                     // decode on a GPU: products load the row's state before the weights
    bool post_norm, no_final_norm;        // there is no norm before qkv and expand, or before the head
    uint32_t span;
    uint32_t kv; // KV_F32, KV_F16, KV_Q8_0
    enum Activation activation;
    bool formats[FORMATS]; // that occur
    struct Variant tile; // of prefill's products on a GPU: one that the device has, split where it can be; .tile 0: any
};

// For steps of `rows` rows, over all sequences.
int kernels_for_decode(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *kernels,
                       vkgpt_error *err);
// For blocks of up to `rows` rows.
int kernels_for_prefill(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *kernels,
                        vkgpt_error *err);
// Only report, for prefill.
int kernel_for_reports(vkgpt_device *device, bool deterministic, const struct Pipeline **report, vkgpt_error *err);
// Only attend, which writes floats.
int kernel_for_blocks(vkgpt_device *device, const struct Shape *shape, struct Kernels *kernels, vkgpt_error *err);

// Only the kernels around the model in steps of `rows` rows: admit, lookup, best and `sample`, the kernel that chooses
// the next tokens. `leaves_parts` says whether head, for one row, finds the maxima that it reads.
int kernels_around(vkgpt_device *device, const char *sample, uint32_t rows, bool leaves_parts, struct Kernels *kernels,
                   vkgpt_error *err);

uint32_t activation_constant(enum Activation activation); // ACTIVATE_...

// The kind of tiles for the products of blocks. Cooperative matrices multiply halves, which is not enough for a model
// that has weights in fp32 (`fp32`); and the next product reads the halves that one writes.
enum TileKind products_kind(const vkgpt_device *device, bool fp32);
// The key of a choice for a product of blocks of up to `rows` rows, on a GPU.
struct ProductKey block_key(enum TileKind kind, enum ProductKernel product, uint32_t format, uint32_t width,
                            uint32_t outputs, uint32_t rows);
// The key of a choice for a product of steps of `rows` rows; the width and the outputs are those of the matrix.
struct ProductKey product_key(const vkgpt_device *device, enum ProductKernel product, uint32_t format, uint32_t width,
                              uint32_t outputs, uint32_t rows);

#endif
