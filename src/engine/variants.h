// The variants of the products in decode, and of prefill's on a GPU: specialization constants that change the
// speed of a product and no bit of its result. Without tuning, a table by vendor chooses, and for prefill tile_for
// (engine/tiles.h); engine/tuning.h has the choices that were measured.
#ifndef VKGPT_ENGINE_VARIANTS_H
#define VKGPT_ENGINE_VARIANTS_H

#include "engine/products.h"
#include "engine/tiles.h"

// What a choice is made for.
struct ProductKey {
    enum ProductKernel product;
    bool software;           // the kernels of software drivers
    uint32_t format;         // WEIGHTS_F32, WEIGHTS_F16, ...
    uint32_t width, outputs; // of the matrix, padded
    uint32_t tokens;         // rows of x of a workgroup: 1, or 2, 4, 8 in steps of several rows; PREFILL_TOKENS
    uint32_t block;          // prefill on a GPU: rows of a block, 16, 32, 64, ...; else 0
    enum TileKind kind;      // prefill on a GPU too
};

struct Variant {
    uint32_t rows;  // of W, per subgroup (GPU) or lane (software)
    uint32_t size;  // lanes of a workgroup
    uint32_t loads; // of 128 bits of W that a lane has in flight, about; GPU
    bool staged;    // the kernel computes its input, where it fits; else another dispatch does
    // prefill on a GPU has these instead (struct TileChoice):
    uint32_t tile; // its number, from 1 on
    bool split;
};

#define PREFILL_TOKENS 32
#define MAX_VARIANTS 64

// What the tile of a product of a block is chosen for.
struct TileAsk variant_ask(const struct ProductKey *key);
bool variant_same(struct Variant a, struct Variant b);
struct Variant variant_built_in(const vkgpt_device *device, const struct ProductKey *key);
// Outputs of a workgroup, as in product.glsl.
uint32_t variant_outputs(const vkgpt_device *device, struct Variant variant);
// Lanes of a workgroup without tuning. Norms are added up by such a workgroup: tuning must leave it as it is.
uint32_t built_in_size(const vkgpt_device *device);
// The most rows of x of a workgroup, in steps of several rows.
uint32_t built_in_step_tokens(const vkgpt_device *device);
// The registers of a lane that hold loads: in products, in loads of 128 bits (LOADS); of a row to be normed, in quads
// (MOST_HELD).
uint32_t built_in_loads(const vkgpt_device *device);
uint32_t built_in_held(const vkgpt_device *device);
// Loads of 128 bits that a lane has in flight in attend and merge, and in sample, which keep more values than a
// product. A software driver does not wait for loads, and compiles code for each: with 8, sample takes nearly twice as
// long to compile.
uint32_t built_in_ahead(const vkgpt_device *device);
uint32_t built_in_sample_ahead(const vkgpt_device *device);
// Whether decode as one kernel fits into the registers of a lane, as the compilers report: Intel's spills a thousand.
bool built_in_persistent(const vkgpt_device *device);
// Every variant that may replace the built-in one, which comes first. Returns their number.
uint32_t variants_of(const vkgpt_device *device, const struct ProductKey *key, struct Variant variants[MAX_VARIANTS]);
bool variant_exists(const vkgpt_device *device, const struct ProductKey *key, struct Variant variant); // among them

#endif
