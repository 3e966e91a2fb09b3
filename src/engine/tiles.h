// The tiles that prefill's products of matrices are made in (shaders/product_coopmat.glsl): which there are, which of
// them a device can run, and which one suits a product.
#ifndef VKGPT_ENGINE_TILES_H
#define VKGPT_ENGINE_TILES_H

#include "gpu/device.h"

struct Tile {
    uint32_t rows, outputs; // that a workgroup makes
    uint32_t depth;         // of the width that it has in shared memory
    uint32_t size;          // lanes of the workgroup
    uint32_t buffered;      // 2: that much twice
    uint32_t down;          // subgroups that share the rows; tile_get sets it
};

#define TILES 5

// Tile n, from 0 on, the smallest first, as the device runs it. False where it cannot: its subgroups cannot share the tile
// out in whole matrices, or it needs more shared memory than there is.
bool tile_get(const vkgpt_device *device, uint32_t n, struct Tile *tile);

bool tiles_exist(const vkgpt_device *device);

// The largest tile that the rows fill by more than half, and of which there are enough for most of the device's
// processors; else the smallest. There must be one.
struct Tile tile_for(const vkgpt_device *device, uint32_t rows, uint32_t outputs);

#endif
