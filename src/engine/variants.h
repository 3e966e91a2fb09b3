// The variants of the products in decode, and of prefill's by matrices: specialization constants that change how fast a
// product is and no bit of what it makes. Which one runs without tuning is a table here, by vendor, for prefill
// tile_for (engine/tiles.h); engine/tuning.h has what was measured instead.
#ifndef VKGPT_ENGINE_VARIANTS_H
#define VKGPT_ENGINE_VARIANTS_H

#include "engine/products.h"
#include "engine/tiles.h"

// What a choice is made for.
struct ProductKey {
    enum ProductKernel product;
    bool lanes;              // the kernels of software drivers
    uint32_t format;         // WEIGHTS_F32, WEIGHTS_F16, ...
    uint32_t width, outputs; // of the matrix, padded
    uint32_t tokens;         // rows of x that a workgroup makes: 1, or 2, 4, 8 in steps of several rows; PREFILL_TOKENS
    uint32_t block;          // prefill by matrices: rows of a block, 16, 32, 64, ...; else 0
};

struct Variant {
    uint32_t rows;  // of W, per subgroup (GPU) or lane (software)
    uint32_t size;  // lanes of a workgroup
    uint32_t loads; // of 128 bits of W that a lane has in flight, about; GPU
    bool staged;    // the input is made inside, where it fits; else by a dispatch of its own
    // in place of all these, prefill by matrices (struct TileChoice):
    uint32_t tile; // its number, from 1 on
    bool split;
};

#define PREFILL_TOKENS 32
#define MAX_VARIANTS 64

// What the tile of a product of a block is chosen for.
struct TileAsk variant_ask(const struct ProductKey *key);
bool variant_same(struct Variant a, struct Variant b);
struct Variant variant_built_in(const vkgpt_device *device, const struct ProductKey *key);
// Outputs that a workgroup makes: product.glsl has the same.
uint32_t variant_outputs(const vkgpt_device *device, struct Variant variant);
// Of a workgroup without tuning, which is the one that adds up a norm: tuning must leave it as it is.
uint32_t built_in_size(const vkgpt_device *device, uint32_t tokens);
// Rows of x that a workgroup makes at most, in steps of several rows.
uint32_t built_in_step_tokens(const vkgpt_device *device);
// What a lane keeps of its registers for loads: in products, of 128 bits each (LOADS), and of a row to be normed, in
// quads (MOST_HELD).
uint32_t built_in_loads(const vkgpt_device *device);
uint32_t built_in_held(const vkgpt_device *device);
// Loads of 128 bits that a lane has in flight in attend and merge, and in sample, which have more to keep than a
// product. A software driver waits for none, and compiles the code for each: sample takes nearly twice as long to
// compile with 8.
uint32_t built_in_ahead(const vkgpt_device *device);
uint32_t built_in_sample_ahead(const vkgpt_device *device);
// Whether decode as one kernel fits into the registers of a lane. By the compilers: Intel's spills a thousand.
bool built_in_persistent(const vkgpt_device *device);
// Every variant that may take the built-in one's place; that one comes first. Returns how many.
uint32_t variants_of(const vkgpt_device *device, const struct ProductKey *key, struct Variant variants[MAX_VARIANTS]);
bool variant_exists(const vkgpt_device *device, const struct ProductKey *key, struct Variant variant); // among them

#endif
