#include "engine/matrix.h"

#include <stdlib.h>
#include <string.h>

static uint32_t element_bytes(uint32_t format) { return format == WEIGHTS_F16 ? 2 : 4; }
static uint32_t axis_padded(struct Axis axis) { return axis.groups * axis.padded; }

uint64_t matrix_bytes(uint32_t out, uint32_t in, uint32_t format) { return (uint64_t)out * in * element_bytes(format); }

static int make_chunks(vkgpt_device *device, struct Pool *pool, struct Matrix *matrix, const char *name, vkgpt_error *err)
{
    uint64_t pitch = matrix_bytes(1, matrix->in, matrix->format);
    uint64_t most = memory_max_slice(device) / pitch / PAD * PAD; // rows
    if (!most) return fail(err, VKGPT_OUT_OF_MEMORY, "%s: rows of %llu bytes do not fit into a buffer of %s", name,
                           (unsigned long long)pitch, device->info.name);
    matrix->chunk_count = (uint32_t)((matrix->out + most - 1) / most);
    matrix->chunks = device_alloc(device, matrix->chunk_count, sizeof *matrix->chunks);
    if (!matrix->chunks) return fail_memory(err, name, matrix->chunk_count * sizeof *matrix->chunks);
    for (uint32_t i = 0; i < matrix->chunk_count; i++) {
        struct Chunk *chunk = &matrix->chunks[i];
        chunk->first = (uint32_t)(i * most);
        chunk->count = matrix->out - chunk->first < most ? matrix->out - chunk->first : (uint32_t)most;
        int status = pool_slice(device, pool, chunk->count * pitch, name, &chunk->slice, err);
        if (status) return status;
    }
    return VKGPT_OK;
}

struct RowSource {
    struct Stack stack;
    struct Axis out, in;
    uint32_t format;
    uint8_t *scratch; // rows as the file has them, when the inner axis has padding within
    uint32_t scratch_rows;
};

// Rows of the stack as the files have them.
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

// Rows of the file, all of one group, padded along the inner axis.
static void place_rows(const struct RowSource *source, uint32_t row, uint32_t rows, uint8_t *out)
{
    uint32_t size = element_bytes(source->format), pitch = axis_padded(source->in) * size;
    if (source->in.size == source->in.padded) {
        read_rows(source, row, rows, out);
        return;
    }
    memset(out, 0, (size_t)rows * pitch);
    for (uint32_t done = 0; done < rows;) {
        uint32_t some = rows - done < source->scratch_rows ? rows - done : source->scratch_rows;
        read_rows(source, row + done, some, source->scratch);
        const uint8_t *from = source->scratch;
        for (uint32_t r = 0; r < some; r++)
            for (uint32_t g = 0; g < source->in.groups; g++, from += source->in.size * size)
                memcpy(out + (size_t)(done + r) * pitch + (size_t)g * source->in.padded * size, from, source->in.size * size);
        done += some;
    }
}

// Padded rows [first, first + count) of the matrix: runs of rows that the file has, and zeros.
static void fill_rows(const struct RowSource *source, uint32_t first, uint32_t count, uint8_t *out)
{
    size_t pitch = (size_t)axis_padded(source->in) * element_bytes(source->format);
    const struct Axis *axis = &source->out;
    for (uint32_t done = 0; done < count;) {
        uint32_t group = (first + done) / axis->padded, within = (first + done) % axis->padded;
        bool real = within < axis->size;
        uint32_t run = (real ? axis->size : axis->padded) - within;
        if (run > count - done) run = count - done;
        if (real) place_rows(source, group * axis->size + within, run, out + done * pitch);
        else memset(out + done * pitch, 0, run * pitch);
        done += run;
    }
}

static int upload_chunk(struct Upload *upload, const struct RowSource *source, const struct Chunk *chunk, uint32_t piece_rows,
                        struct Progress *progress, vkgpt_error *err)
{
    uint64_t pitch = (uint64_t)axis_padded(source->in) * element_bytes(source->format);
    for (uint32_t done = 0; done < chunk->count;) {
        uint32_t rows = chunk->count - done < piece_rows ? chunk->count - done : piece_rows;
        uint8_t *write;
        int status = upload_reserve(upload, &chunk->slice, done * pitch, rows * pitch, &write, err);
        if (status) return status;
        fill_rows(source, chunk->first + done, rows, write);
        status = upload_commit(upload, &chunk->slice, done * pitch, rows * pitch, err);
        if (status) return status;
        done += rows;
        progress->done += rows * pitch;
        if (progress->report) progress->report(progress->user, progress->done, progress->total);
    }
    return VKGPT_OK;
}

int matrix_upload(struct Upload *upload, struct Pool *pool, struct Stack stack, struct Axis out, struct Axis in,
                  uint32_t format, struct Progress *progress, struct Matrix *matrix, vkgpt_error *err)
{
    *matrix = (struct Matrix){.out = axis_padded(out), .in = axis_padded(in), .format = format};
    const char *name = stack.weights[0]->tensor->name;
    uint64_t pitch = matrix_bytes(1, matrix->in, format);
    uint32_t piece_rows = (uint32_t)(UPLOAD_PIECE_BYTES / pitch);
    if (!piece_rows) return fail(err, VKGPT_OUT_OF_MEMORY, "%s: rows of %llu bytes do not fit into the staging ring",
                                 name, (unsigned long long)pitch);
    struct RowSource source = {stack, out, in, format, NULL, 64};
    if (in.size != in.padded) {
        source.scratch = device_alloc(upload->device, source.scratch_rows * (size_t)pitch, 1);
        if (!source.scratch) return fail_memory(err, name, source.scratch_rows * (size_t)pitch);
    }
    int status = make_chunks(upload->device, pool, matrix, name, err);
    for (uint32_t i = 0; !status && i < matrix->chunk_count; i++)
        status = upload_chunk(upload, &source, &matrix->chunks[i], piece_rows, progress, err);
    free(source.scratch);
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
