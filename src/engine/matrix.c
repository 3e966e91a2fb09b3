#include "engine/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/small.h"

#define STEP 64 // rows that a worker takes at once; a transposition's tile

// Bytes of one weight while it is staged: the quantised formats are made from floats.
static uint32_t element_bytes(uint32_t format) { return format == WEIGHTS_F16 ? 2 : 4; }
static uint32_t axis_padded(struct Axis axis) { return axis.groups * axis.padded; }

// Bytes of a row on the device, without its scales.
static uint64_t row_bytes(uint32_t in, uint32_t format)
{
    return format_is_small(format) ? small_quant_bytes(format, in) : (uint64_t)in * element_bytes(format);
}

static uint64_t row_scale_bytes(uint32_t in, uint32_t format)
{
    return format_is_small(format) ? small_scale_bytes(format, in) : 0;
}

uint64_t matrix_bytes(uint32_t out, uint32_t in, uint32_t format)
{
    return out * (row_bytes(in, format) + row_scale_bytes(in, format));
}

uint32_t matrix_format_for(uint32_t format, uint32_t in)
{
    static const uint32_t wider[FORMATS] = {
        [WEIGHTS_Q4_K] = WEIGHTS_Q4_0, [WEIGHTS_Q4_0] = WEIGHTS_Q8_0, [WEIGHTS_Q8_0] = WEIGHTS_F16};
    while (format_is_small(format) && in % BLOCK_INFO[format_blocks(format)].weights) format = wider[format];
    return format;
}

bool matrix_keeps_blocks(const struct Weight *weight, uint32_t format)
{
    return format_is_small(format) && weight->tensor->dtype == DTYPE_BLOCKS &&
           weight->tensor->block == format_blocks(format);
}

static int make_chunks(vkgpt_device *device, struct Pool *pool, struct Matrix *matrix, const char *name,
                       vkgpt_error *err)
{
    uint64_t pitch = matrix_bytes(1, matrix->in, matrix->format);
    uint64_t most = memory_max_slice(device) / pitch / PAD * PAD; // rows
    if (!most)
        return fail(err, VKGPT_OUT_OF_MEMORY, "%s: rows of %llu bytes do not fit into a buffer of %s", name,
                    (unsigned long long)pitch, device->info.name);
    matrix->chunk_count = (uint32_t)((matrix->out + most - 1) / most);
    matrix->chunks = device_alloc(device, matrix->chunk_count, sizeof *matrix->chunks);
    if (!matrix->chunks) return fail_memory(err, name, matrix->chunk_count * sizeof *matrix->chunks);
    for (uint32_t i = 0; i < matrix->chunk_count; i++) {
        struct Chunk *chunk = &matrix->chunks[i];
        chunk->first = (uint32_t)(i * most);
        chunk->count = matrix->out - chunk->first < most ? matrix->out - chunk->first : (uint32_t)most;
        chunk->scales = (uint32_t)(chunk->count * row_bytes(matrix->in, matrix->format) / 4);
        int status = pool_slice(device, pool, chunk->count * pitch, name, &chunk->slice, err);
        if (status) return status;
    }
    return VKGPT_OK;
}

// ------------------------------------------------------------------------------- rows, as one worker makes them

struct RowSource {
    struct Stack stack;
    struct Axis out, in;
    uint32_t format;
    bool raw;          // the file holds the device's own blocks
    uint8_t *rooms;    // for each worker: rows as the file has them, padded rows as floats, blocks
    size_t room_bytes; // of each of the three
};

static uint8_t *room(const struct RowSource *source, uint32_t worker, uint32_t which)
{
    return source->rooms + (3 * (size_t)worker + which) * source->room_bytes;
}

// Reads rows of the stack as the files have them.
static void read_rows(const struct RowSource *source, uint32_t row, uint32_t rows, uint8_t *out)
{
    int64_t in = (int64_t)source->in.groups * source->in.size;
    uint32_t each = source->out.groups * source->out.size / source->stack.count;
    while (rows) {
        const struct Weight *weight = source->stack.weights[row / each];
        uint32_t within = row % each, some = each - within < rows ? each - within : rows;
        if (source->format == WEIGHTS_F16) weight_rows_half(weight, within, some, in, (uint16_t *)out);
        else weight_rows(weight, within, some, in, (float *)out);
        out += (size_t)some * in * element_bytes(source->format);
        row += some;
        rows -= some;
    }
}

// Copies rows of the file, all of one group, padded along the inner axis.
static void place_rows(const struct RowSource *source, uint32_t worker, uint32_t row, uint32_t rows, uint8_t *out)
{
    uint32_t size = element_bytes(source->format), pitch = axis_padded(source->in) * size;
    if (source->in.size == source->in.padded) {
        read_rows(source, row, rows, out);
        return;
    }
    memset(out, 0, (size_t)rows * pitch);
    const uint8_t *from = room(source, worker, 0);
    read_rows(source, row, rows, room(source, worker, 0));
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t g = 0; g < source->in.groups; g++, from += source->in.size * size)
            memcpy(out + (size_t)r * pitch + (size_t)g * source->in.padded * size, from, source->in.size * size);
}

// Fills padded rows [first, first + count) of the matrix, at most STEP: runs of rows of the file, and zeros.
static void fill_rows(const struct RowSource *source, uint32_t worker, uint32_t first, uint32_t count, uint8_t *out)
{
    size_t pitch = (size_t)axis_padded(source->in) * element_bytes(source->format);
    const struct Axis *axis = &source->out;
    for (uint32_t done = 0; done < count;) {
        uint32_t group = (first + done) / axis->padded, within = (first + done) % axis->padded;
        bool real = within < axis->size;
        uint32_t run = (real ? axis->size : axis->padded) - within;
        if (run > count - done) run = count - done;
        if (real) place_rows(source, worker, group * axis->size + within, run, out + done * pitch);
        else memset(out + done * pitch, 0, run * pitch);
        done += run;
    }
}

// A row of blocks as the file has it, for a device that keeps these blocks; NULL for a row of padding.
static const uint8_t *raw_row(const struct RowSource *source, uint32_t row)
{
    const struct Axis *out = &source->out;
    uint32_t each = out->groups * out->size / source->stack.count, within = row % out->padded;
    uint32_t at = row / out->padded * out->size + within;
    if (within >= out->size) return NULL;
    const struct Tensor *tensor = source->stack.weights[at / each]->tensor;
    const struct BlockInfo *info = &BLOCK_INFO[tensor->block];
    return tensor->data + (size_t)(at % each) * (axis_padded(source->in) / info->weights * info->bytes);
}

static void relay_rows(const struct RowSource *source, uint32_t first, uint32_t count, uint8_t *quants, uint8_t *scales)
{
    uint32_t in = axis_padded(source->in), format = source->format;
    size_t pitch = row_bytes(in, format), scale_pitch = row_scale_bytes(in, format);
    for (uint32_t r = 0; r < count; r++, quants += pitch, scales += scale_pitch) {
        const uint8_t *blocks = raw_row(source, first + r);
        if (blocks) small_relay(format, blocks, in, quants, scales);
        else memset(quants, 0, pitch), memset(scales, 0, scale_pitch);
    }
}

// ----------------------------------------------------------------------------------------- pieces, on all cores

struct Piece {
    const struct RowSource *source;
    uint32_t first; // row of the matrix
    uint8_t *rows, *scales;
};

static void fill_piece(void *user, uint32_t worker, uint32_t first, uint32_t count)
{
    const struct Piece *piece = user;
    const struct RowSource *source = piece->source;
    uint32_t in = axis_padded(source->in), format = source->format;
    uint8_t *rows = piece->rows + first * row_bytes(in, format);
    if (!format_is_small(format)) {
        fill_rows(source, worker, piece->first + first, count, rows);
        return;
    }
    uint8_t *floats = room(source, worker, 1), *blocks = room(source, worker, 2);
    uint8_t *scales = piece->scales + first * row_scale_bytes(in, format);
    if (source->raw) {
        relay_rows(source, piece->first + first, count, rows, scales);
        return;
    }
    fill_rows(source, worker, piece->first + first, count, floats);
    small_quantise(format, (float *)floats, (size_t)count * in, blocks, rows, scales);
}

static int upload_scales(struct Upload *upload, const struct Chunk *chunk, VkDeviceSize at, VkDeviceSize bytes,
                         const uint8_t *scales, vkgpt_error *err)
{
    uint8_t *write;
    at += (VkDeviceSize)chunk->scales * 4;
    int status = upload_reserve(upload, &chunk->slice, at, bytes, &write, err);
    if (status) return status;
    memcpy(write, scales, bytes);
    return upload_commit(upload, &chunk->slice, at, bytes, err);
}

static int upload_chunk(struct Upload *upload, const struct RowSource *source, const struct Chunk *chunk,
                        uint32_t piece_rows, uint8_t *scales, struct Progress *progress, vkgpt_error *err)
{
    uint32_t in = axis_padded(source->in);
    uint64_t pitch = row_bytes(in, source->format), scale_pitch = row_scale_bytes(in, source->format);
    for (uint32_t done = 0; done < chunk->count;) {
        uint32_t rows = chunk->count - done < piece_rows ? chunk->count - done : piece_rows;
        struct Piece piece = {source, chunk->first + done, NULL, scales};
        int status = upload_reserve(upload, &chunk->slice, done * pitch, rows * pitch, &piece.rows, err);
        if (status) return status;
        parallel_rows(rows, STEP, fill_piece, &piece);
        status = upload_commit(upload, &chunk->slice, done * pitch, rows * pitch, err);
        if (!status && scale_pitch)
            status = upload_scales(upload, chunk, done * scale_pitch, rows * scale_pitch, scales, err);
        if (status) return status;
        done += rows;
        progress->done += rows * (pitch + scale_pitch);
        if (progress->report) progress->report(progress->user, progress->done, progress->total);
    }
    return VKGPT_OK;
}

int matrix_upload(struct Upload *upload, struct Pool *pool, struct Stack stack, struct Axis out, struct Axis in,
                  uint32_t format, struct Progress *progress, struct Matrix *matrix, vkgpt_error *err)
{
    format = matrix_format_for(format, axis_padded(in));
    *matrix = (struct Matrix){.out = axis_padded(out), .in = axis_padded(in), .format = format};
    const char *name = stack.weights[0]->tensor->name;
    uint64_t pitch = row_bytes(matrix->in, format);
    // a multiple of STEP, which a worker takes, or of PAD: the scales of an even number of rows are whole words
    uint32_t piece_rows = (uint32_t)(UPLOAD_PIECE_BYTES / pitch), bulk = piece_rows < STEP ? PAD : STEP;
    piece_rows = piece_rows / bulk * bulk;
    if (!piece_rows)
        return fail(err, VKGPT_OUT_OF_MEMORY, "%s: rows of %llu bytes do not fit into the staging ring", name,
                    (unsigned long long)pitch);
    struct RowSource source = {.stack = stack, .out = out, .in = in, .format = format, .raw = in.size == in.padded};
    for (uint32_t i = 0; i < stack.count; i++) source.raw = source.raw && matrix_keeps_blocks(stack.weights[i], format);
    if (in.size != in.padded || format_is_small(format)) source.room_bytes = (size_t)STEP * matrix->in * 4;
    uint64_t rooms = 3ull * parallel_workers() * source.room_bytes,
             scale_bytes = piece_rows * row_scale_bytes(matrix->in, format);
    uint8_t *memory = device_alloc(upload->device, rooms + scale_bytes + 1, 1);
    if (!memory) return fail_memory(err, name, rooms + scale_bytes);
    source.rooms = memory;
    int status = make_chunks(upload->device, pool, matrix, name, err);
    for (uint32_t i = 0; !status && i < matrix->chunk_count; i++)
        status = upload_chunk(upload, &source, &matrix->chunks[i], piece_rows, memory + rooms, progress, err);
    free(memory);
    return status;
}

void matrix_free(struct Matrix *matrix)
{
    free(matrix->chunks);
    *matrix = (struct Matrix){0};
}

int vector_upload(struct Upload *upload, const struct Slice *slice, uint32_t offset, const struct Weight *weight,
                  struct Axis axis, float absent, vkgpt_error *err)
{
    uint8_t *write;
    VkDeviceSize bytes = (VkDeviceSize)axis_padded(axis) * 4, at = (VkDeviceSize)offset * 4;
    int status = upload_reserve(upload, slice, at, bytes, &write, err);
    if (status) return status;
    memset(write, 0, bytes);
    for (uint32_t g = 0; g < axis.groups; g++) {
        float *out = (float *)write + (size_t)g * axis.padded;
        if (weight->tensor) weight_row(weight, 0, (int64_t)g * axis.size, axis.size, out);
        for (uint32_t i = 0; !weight->tensor && i < axis.size; i++) out[i] = absent;
    }
    return upload_commit(upload, slice, at, bytes, err);
}
