// Converts weights to rows of (out, in), as float or half, from any type and order in the file. The loops run over
// blocks of fixed size, so that the compiler can vectorise them, and transpose through tiles that stay in the L1 cache.
// Nothing here can fail: shapes and types were checked when the checkpoint was opened.
#include "model/weight.h"

#include <string.h>

#include "model/half.h"
#include "model/table.h"

#define BLOCK 64
#define TILE 64

// ----------------------------------------------------------------------------- runs of contiguous elements

// src may be unaligned: each block is copied to `in` first. The inner loop has a known trip count.
#define DEFINE_RUN(name, from, to, convert)                                                                            \
    static void name(const uint8_t *src, int64_t count, to *out)                                                       \
    {                                                                                                                  \
        from in[BLOCK];                                                                                                \
        to wide[BLOCK];                                                                                                \
        for (; count >= BLOCK; count -= BLOCK, src += sizeof in, out += BLOCK) {                                       \
            memcpy(in, src, sizeof in);                                                                                \
            for (int i = 0; i < BLOCK; i++) wide[i] = convert(in[i]);                                                  \
            memcpy(out, wide, sizeof wide);                                                                            \
        }                                                                                                              \
        memcpy(in, src, (size_t)count * sizeof *in);                                                                   \
        for (int64_t i = 0; i < count; i++) out[i] = convert(in[i]);                                                   \
    }

#define HALF_OF_BFLOAT(b) float_to_half(bfloat_to_float(b))
#define HALF_OF_DOUBLE(d) float_to_half((float)(d))
DEFINE_RUN(floats_of_half, uint16_t, float, half_to_float)
DEFINE_RUN(floats_of_bfloat, uint16_t, float, bfloat_to_float)
DEFINE_RUN(halves_of_float, float, uint16_t, float_to_half)
DEFINE_RUN(halves_of_bfloat, uint16_t, uint16_t, HALF_OF_BFLOAT)
DEFINE_RUN(floats_of_double, double, float, (float))
DEFINE_RUN(halves_of_double, double, uint16_t, HALF_OF_DOUBLE)

typedef void RunFn(enum Dtype dtype, const uint8_t *src, int64_t count, void *out);

static void run_floats(enum Dtype dtype, const uint8_t *src, int64_t count, void *out)
{
    if (dtype == DTYPE_F16) floats_of_half(src, count, out);
    else if (dtype == DTYPE_BF16) floats_of_bfloat(src, count, out);
    else if (dtype == DTYPE_F64) floats_of_double(src, count, out);
    else memcpy(out, src, (size_t)count * sizeof(float));
}

static void run_halves(enum Dtype dtype, const uint8_t *src, int64_t count, void *out)
{
    if (dtype == DTYPE_F32) halves_of_float(src, count, out);
    else if (dtype == DTYPE_BF16) halves_of_bfloat(src, count, out);
    else if (dtype == DTYPE_F64) halves_of_double(src, count, out);
    else memcpy(out, src, (size_t)count * sizeof(uint16_t));
}

// ------------------------------------------------------------------------------------------- rows of a weight

struct View { // element (o, i) is at data + (o * out_stride + i * in_stride) * bytes
    const uint8_t *data;
    enum Dtype dtype;
    int64_t out_stride, in_stride, bytes;
};

static struct View view_of(const struct Weight *weight)
{
    const struct Tensor *t = weight->tensor;
    struct View view = {t->data, t->dtype, 0, 1, (int64_t)dtype_bytes(t->dtype)};
    if (t->rank == 1) view.in_stride = t->stride[0];
    if (t->rank == 2) {
        view.out_stride = t->stride[weight->in_out ? 1 : 0];
        view.in_stride = t->stride[weight->in_out ? 0 : 1];
    }
    return view;
}

static const uint8_t *view_at(const struct View *view, int64_t o, int64_t i)
{
    return view->data + (o * view->out_stride + i * view->in_stride) * view->bytes;
}

#define DEFINE_GATHER(name, type)                                                                                      \
    static void name(const struct View *view, int64_t o, int64_t i, int64_t rows, int64_t cols, type *tile)            \
    {                                                                                                                  \
        int64_t step = view->out_stride * view->bytes;                                                                 \
        for (int64_t c = 0; c < cols; c++) {                                                                           \
            const uint8_t *src = view_at(view, o, i + c);                                                              \
            for (int64_t r = 0; r < rows; r++, src += step) memcpy(&tile[r * TILE + c], src, sizeof *tile);            \
        }                                                                                                              \
    }

DEFINE_GATHER(gather_16, uint16_t)
DEFINE_GATHER(gather_32, uint32_t)
DEFINE_GATHER(gather_64, uint64_t)

// Reads a tile by whole columns, which are contiguous in the file for (in, out), and converts its rows as runs.
static void tile_run(const struct View *view, int64_t o, int64_t i, int64_t rows, int64_t cols, int64_t in, RunFn *run,
                     uint8_t *out, int64_t out_bytes)
{
    union {
        uint16_t halves[TILE * TILE];
        uint32_t words[TILE * TILE];
        uint64_t pairs[TILE * TILE];
    } tile;
    if (view->bytes == 2) gather_16(view, o, i, rows, cols, tile.halves);
    else if (view->bytes == 4) gather_32(view, o, i, rows, cols, tile.words);
    else gather_64(view, o, i, rows, cols, tile.pairs);
    for (int64_t r = 0; r < rows; r++)
        run(view->dtype, (const uint8_t *)&tile + r * TILE * view->bytes, cols, out + (r * in + i) * out_bytes);
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

// Elements [at, at + count) of a quantised tensor; `at` and `count` need not be multiples of the block size.
#define UNPACKED 256

static void blocks_floats(const struct Tensor *t, int64_t at, int64_t count, float *out)
{
    const struct BlockInfo *info = &BLOCK_INFO[t->block];
    int64_t into = at % info->weights;
    const uint8_t *blocks = t->data + at / info->weights * info->bytes;
    if (into == 0 && count >= info->weights) { // unpacks whole blocks directly into out
        int64_t whole = count - count % info->weights;
        block_unpack(t->block, blocks, (size_t)whole, out);
        blocks += whole / info->weights * info->bytes;
        out += whole;
        count -= whole;
    }
    for (float values[UNPACKED]; count > 0; into = 0, blocks += info->bytes) {
        int64_t taken = min64(info->weights - into, count);
        block_unpack(t->block, blocks, info->weights, values);
        memcpy(out, values + into, (size_t)taken * sizeof *out);
        out += taken;
        count -= taken;
    }
}

static void blocks_halves(const struct Tensor *t, int64_t at, int64_t count, uint16_t *out)
{
    float values[4 * UNPACKED];
    for (int64_t taken; count > 0; at += taken, out += taken, count -= taken) {
        taken = min64(4 * UNPACKED, count);
        blocks_floats(t, at, taken, values);
        halves_of_float((const uint8_t *)values, taken, out);
    }
}

static void rows_run(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, RunFn *run, uint8_t *out,
                     int64_t out_bytes)
{
    struct View view = view_of(weight);
    if (view.in_stride == 1 && view.out_stride == in) {
        run(view.dtype, view_at(&view, o, 0), rows * in, out);
    } else if (view.in_stride == 1) {
        for (int64_t r = 0; r < rows; r++) run(view.dtype, view_at(&view, o + r, 0), in, out + r * in * out_bytes);
    } else {
        for (int64_t r = 0; r < rows; r += TILE)
            for (int64_t i = 0; i < in; i += TILE)
                tile_run(&view, o + r, i, min64(TILE, rows - r), min64(TILE, in - i), in, run, out + r * in * out_bytes,
                         out_bytes);
    }
}

void weight_rows(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, float *out)
{
    if (weight->tensor->dtype == DTYPE_BLOCKS) blocks_floats(weight->tensor, o * in, rows * in, out);
    else rows_run(weight, o, rows, in, run_floats, (uint8_t *)out, sizeof *out);
}

void weight_rows_half(const struct Weight *weight, int64_t o, int64_t rows, int64_t in, uint16_t *out)
{
    if (weight->tensor->dtype == DTYPE_BLOCKS) blocks_halves(weight->tensor, o * in, rows * in, out);
    else rows_run(weight, o, rows, in, run_halves, (uint8_t *)out, sizeof *out);
}

void weight_row(const struct Weight *weight, int64_t o, int64_t first, int64_t count, float *out)
{
    const struct Tensor *t = weight->tensor;
    if (t->dtype == DTYPE_BLOCKS) {
        blocks_floats(t, (t->rank == 2 ? o * t->stride[0] : 0) + first, count, out);
        return;
    }
    struct View view = view_of(weight);
    if (view.in_stride == 1) {
        run_floats(view.dtype, view_at(&view, o, first), count, out);
        return;
    }
    for (int64_t i = 0; i < count; i++) run_floats(view.dtype, view_at(&view, o, first + i), 1, out + i);
}

// ------------------------------------------------------------------------------------------------- the range

// The bits of finite magnitudes, as integers, have the same order as the magnitudes.
static int32_t max_bits(const float *values, int64_t count)
{
    int32_t max = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t bits = (int32_t)(float_bits(values[i]) & 0x7fffffff);
        bits = bits < 0x7f800000 ? bits : 0;
        max = bits > max ? bits : max;
    }
    return max;
}

float weight_max_abs(const struct Weight *weight)
{
    const struct Tensor *t = weight->tensor;
    struct Weight as_stored = {t, t->rank == 2 && t->stride[0] < t->stride[1]}; // rows in the file's order
    int64_t rows = t->rank == 2 ? t->shape[as_stored.in_out ? 1 : 0] : 1;
    int64_t in = t->rank == 0 ? 1 : t->shape[t->rank == 2 && !as_stored.in_out ? 1 : 0];
    int32_t max = 0;
    float values[1024];
    for (int64_t o = 0; o < rows; o++) {
        for (int64_t i = 0; i < in; i += 1024) {
            int64_t count = min64(1024, in - i);
            weight_row(&as_stored, o, i, count, values);
            int32_t bits = max_bits(values, count);
            max = bits > max ? bits : max;
        }
    }
    return bits_float((uint32_t)max);
}
