// A matrix on the device: (out, in), both padded to 8 with zeros, cut into chunks of rows where one buffer cannot hold
// all of it. The upload adds the padding, so no kernel has a tail along a row. In a quantised format a chunk holds the
// quants of all its rows and then their scales, as weights.glsl says; there a row is a multiple of the block size.
#ifndef VKGPT_ENGINE_MATRIX_H
#define VKGPT_ENGINE_MATRIX_H

#include "gpu/upload.h"
#include "model/checkpoint.h"

#define PAD 8
static inline uint32_t padded(uint32_t n) { return (n + PAD - 1) / PAD * PAD; }

struct Chunk {
    struct Slice slice;
    uint32_t first, count; // rows
    uint32_t scales;       // quantised formats: the word of the slice at which they begin
};

struct Matrix {
    uint32_t out, in; // padded
    uint32_t format;  // WEIGHTS_F32, WEIGHTS_F16, ...
    struct Chunk *chunks;
    uint32_t chunk_count;
};

// One side of a matrix: `groups` runs of `size` elements, each padded to `padded`. Each head is such a run; any other
// side is one run.
struct Axis {
    uint32_t groups, size, padded;
};

// Called as bytes of the checkpoint are read.
struct Progress {
    void (*report)(void *user, uint64_t done, uint64_t total);
    void *user;
    uint64_t done, total;
};

uint64_t matrix_bytes(uint32_t out, uint32_t in, uint32_t format);
// The format itself, or the next wider one whose block size divides rows of `in` (padded).
uint32_t matrix_format_for(uint32_t format, uint32_t in);

// Whether the file holds a weight in the blocks of this format, so that its values are uploaded unchanged.
bool matrix_keeps_blocks(const struct Weight *weight, uint32_t format);

// Weights of one width that are stacked in a matrix, each with the same number of rows: q, k and v.
struct Stack {
    const struct Weight *weights[3];
    uint32_t count;
};

// Makes the chunks and uploads the weights, on all cores, in a format that fits. Errors: VKGPT_OUT_OF_MEMORY,
// VKGPT_DEVICE_LOST.
int matrix_upload(struct Upload *upload, struct Pool *pool, struct Stack stack, struct Axis out, struct Axis in,
                  uint32_t format, struct Progress *progress, struct Matrix *matrix, vkgpt_error *err);
void matrix_free(struct Matrix *matrix);

// Uploads a vector, padded, as floats at `offset` (in floats) of a slice. One that is missing is filled with `absent`.
int vector_upload(struct Upload *upload, const struct Slice *slice, uint32_t offset, const struct Weight *weight,
                  struct Axis axis, float absent, vkgpt_error *err);

#endif
