// The tiles of prefill's products on a GPU (shaders/product_tiles.glsl): which there are, which of them a device can
// run, and which one suits a product.
//
// A product with few outputs and a wide input has too few tiles for a device: its width is cut into segments, each of
// which is added up by itself. Their number depends only on the matrix and the device, so that a row has the same bits
// in blocks of any size. Whether one workgroup computes all segments of a tile, or each workgroup one (split), depends
// on the rows too. Only products with cooperative matrices have segments.
#ifndef VKGPT_ENGINE_TILES_H
#define VKGPT_ENGINE_TILES_H

#include "gpu/device.h"

// What multiplies: lanes, in fp32, or cooperative matrices, in halves.
enum TileKind { IN_FP32, BY_MATRICES, TILE_KINDS };

struct Tile {
    uint32_t rows, outputs;             // of a workgroup
    uint32_t depth;                     // the part of the width that is in shared memory
    uint32_t size;                      // lanes of the workgroup
    uint32_t buffered;                  // 2: twice that much
    uint32_t down;                      // BY_MATRICES: subgroups that share the rows; tile_get sets it
    uint32_t whole_rows, whole_outputs; // multiplied together, even if not all of them exist; tile_get sets them
};

#define TILES 7 // of each kind at most
#define MOST_SEGMENTS 4
#define SEGMENT_STEP 64 // a segment is a multiple of it, and it is a multiple of each tile's depth times its buffers
#define SUM_BYTES ((uint64_t)8 << 20) // of a product's sums of segments at most: they are written and read too
#define SPLIT_TILES 2048              // at most, of a product that is split

// What a tile is chosen for.
struct TileAsk {
    enum TileKind kind;
    uint32_t rows;           // of a block
    uint32_t width, outputs; // of the matrix, padded
    bool segments;           // its kernel can cut the width into segments
};

struct TileChoice {
    uint32_t number; // of a tile
    bool split;      // a workgroup computes one segment
};

// Tile n of a kind, from 0 on, the smallest first, as the device runs it. False if it cannot: the tile needs more
// shared memory or registers than there are, or subgroups cannot divide it into whole matrices. Every device runs tile
// 0 of IN_FP32.
bool tile_get(const vkgpt_device *device, enum TileKind kind, uint32_t n, struct Tile *tile);

// Tile number `n` of the list, from 1 on; and the number of the tile with these rows, outputs and size, which no two
// tiles of a kind share. 0: none.
struct Tile tile_listed(enum TileKind kind, uint32_t n);
uint32_t tile_find(enum TileKind kind, const struct Tile *like);

bool tiles_exist(const vkgpt_device *device, enum TileKind kind);

// The width of a segment: all of it if there is only one. It does not depend on `rows`.
uint32_t tile_segment(const vkgpt_device *device, const struct TileAsk *ask);
uint32_t tile_segments(const vkgpt_device *device, const struct TileAsk *ask); // their number
// Whether tiles can be split: there are segments, and their sums have room.
bool tile_splits(const vkgpt_device *device, const struct TileAsk *ask, const struct Tile *tile);
// The most bytes that the sums of segments of a product of these rows and outputs take.
uint64_t tile_sum_bytes(uint32_t rows, uint32_t outputs);

// Whether the rows fill a tile by more than half; the smallest suits any rows.
bool tile_suits(const vkgpt_device *device, const struct TileAsk *ask, uint32_t n);
// The largest tile that suits and has enough workgroups for most of the device's processors. It is split if that allows
// tiles of twice the size, or if there are not enough otherwise. There must be a tile.
struct TileChoice tile_for(const vkgpt_device *device, const struct TileAsk *ask);
// Workgroups of a product.
uint32_t tile_groups(const vkgpt_device *device, const struct TileAsk *ask, struct TileChoice choice);

#endif
