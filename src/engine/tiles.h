// The tiles that prefill's products of matrices are made in (shaders/product_coopmat.glsl): which there are, which of
// them a device can run, and which one suits a product.
//
// A product of few outputs and a wide input has too few tiles for a device: its width is cut into segments, each of
// which is added up by itself. How many there are depends on the matrix and the device alone, so that a row is the same
// bits in blocks of any size; whether one workgroup makes all segments of a tile or each makes one (split), on the rows
// as well.
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

#define TILES 6
#define MOST_SEGMENTS 4
#define SEGMENT_STEP 64 // a segment is a multiple of it, and it one of each tile's depth, buffers included
#define SUM_BYTES ((uint64_t)8 << 20) // of the sums of segments of a product at most: they are written and read as well
#define SPLIT_TILES 2048              // of a product that is split at most

// What a tile is chosen for.
struct TileAsk {
    uint32_t rows;           // of a block
    uint32_t width, outputs; // of the matrix, padded
    bool segments;           // its kernel can make the width in segments
};

struct TileChoice {
    uint32_t number; // of a tile
    bool split;      // a workgroup makes one segment
};

// Tile n, from 0 on, the smallest first, as the device runs it. False where it cannot: its subgroups cannot share the
// tile out in whole matrices, or it needs more shared memory than there is.
bool tile_get(const vkgpt_device *device, uint32_t n, struct Tile *tile);

// The tile with the number `n`, from 1 on, as it is in the list; the number of the one that has such rows, outputs and
// size, which no two have alike: 0: none.
struct Tile tile_listed(uint32_t n);
uint32_t tile_find(const struct Tile *like);

bool tiles_exist(const vkgpt_device *device);

// Of the width, in a segment: all of it where there is one. `rows` does not count.
uint32_t tile_segment(const vkgpt_device *device, const struct TileAsk *ask);
uint32_t tile_segments(const vkgpt_device *device, const struct TileAsk *ask); // of the width
// Whether tiles can be split: there are segments, and their sums have room.
bool tile_splits(const vkgpt_device *device, const struct TileAsk *ask, const struct Tile *tile);
// Bytes that the sums of segments of a product of so many rows and outputs take at most.
uint64_t tile_sum_bytes(uint32_t rows, uint32_t outputs);

// Whether the rows fill a tile by more than half; the smallest will do for any.
bool tile_suits(const vkgpt_device *device, const struct TileAsk *ask, uint32_t n);
// The largest tile that suits and of which there are enough for most of the device's processors; split, where that
// takes tiles of twice the size, or where there are not enough else. There must be a tile.
struct TileChoice tile_for(const vkgpt_device *device, const struct TileAsk *ask);
// Workgroups of a product.
uint32_t tile_groups(const vkgpt_device *device, const struct TileAsk *ask, struct TileChoice choice);

#endif
