// What attend, merge and attend_block must give.
#include <math.h>
#include <string.h>

#include "selftest/selftest.h"
#include "engine/cache.h"

#define ATTENTION_BOUND 2e-5 // Vulkan's exp() is accurate to 3 + 2 |x| units in the last place
#define HALVES_BOUND 2e-3    // kernels that multiply halves round queries, keys, weights and values to 11 bits

static bool multiplies_halves(const struct Stage *stage) { return strstr(stage->kernels->attend->kernel, "coopmat"); }

// The error of a weight is that of its score, whose rounding grows with the scale.
static double block_bound(const struct Stage *stage)
{
    return multiplies_halves(stage) ? HALVES_BOUND * fmax(1.0, (double)stage->layer->size->scale) : ATTENTION_BOUND;
}

static uint32_t splits_of(const struct LayerSize *size) { return (size->context + size->span - 1) / size->span; }

static float scale_of(const struct LayerSize *size)
{
    return size->scale != 0.0f ? size->scale : 1.0f / sqrtf((float)size->head_dim);
}

// ---------------------------------------------------------------------------------------------- cache

// Where a row of the cache is, and where its scales are.
static size_t cache_row(const struct TestLayer *l, uint32_t sequence, uint32_t head, uint32_t position)
{
    return ((size_t)sequence * l->size->heads + head) * l->size->context + position;
}

static struct Cache layout_of(const struct TestLayer *l)
{
    return (struct Cache){l->size->kv, SEQUENCES, l->size->heads, l->size->context, l->head_dim};
}

static size_t bytes_of(const struct TestLayer *l)
{
    const struct Cache layout = layout_of(l);
    return (size_t)cache_bytes(&layout);
}

static uint32_t scales_of(const struct TestLayer *l)
{
    const struct Cache layout = layout_of(l);
    return cache_scales(&layout);
}

static uint8_t *cache_scale(const struct TestLayer *l, uint8_t *cache, size_t row, uint32_t block)
{
    return cache + 4 * (scales_of(l) + row * ((l->head_dim + 63) / 64)) + 2 * block;
}

// A scale is the upper half of a float, rounded up.
static uint16_t scale_up(float scale)
{
    uint32_t bits;
    memcpy(&bits, &scale, 4);
    return (uint16_t)((bits + 0xffff) >> 16);
}

static double scale_held(uint16_t scale)
{
    uint32_t bits = (uint32_t)scale << 16;
    float held;
    memcpy(&held, &bits, 4);
    return (double)held;
}

// Writes a row as KV_Q8_0; the numbers become the values that it holds.
static void cache_put(const struct TestLayer *l, uint8_t *cache, size_t row, double *numbers)
{
    for (uint32_t first = 0; first < (l->head_dim + 63) / 64 * 64; first += 32) {
        double most = 0.0;
        for (uint32_t i = first; i < first + 32 && i < l->size->head_dim; i++) most = fmax(most, fabs(numbers[i]));
        uint16_t scale = scale_up((float)(most / 127.0));
        double held = scale_held(scale);
        memcpy(cache_scale(l, cache, row, first / 32), &scale, 2);
        for (uint32_t i = first; i < first + 32 && i < l->head_dim; i++) {
            double quant =
                i < l->size->head_dim && held > 0.0 ? fmin(fmax(rint(numbers[i] / held), -127.0), 127.0) : 0.0;
            cache[row * l->head_dim + i] = (uint8_t)(int8_t)quant;
            if (i < l->size->head_dim) numbers[i] = held * quant;
        }
    }
}

// Compares a row of KV_Q8_0 with the numbers that it should hold, relative to the largest; then takes it out.
static void measure_cache_row(const struct TestLayer *l, struct Measure *m, struct Array *cache, size_t row,
                              const double *want)
{
    double most = 1e-30;
    for (uint32_t i = 0; i < l->size->head_dim; i++) most = fmax(most, fabs(want[i]));
    for (uint32_t i = 0; i < l->head_dim; i++) {
        uint16_t scale;
        memcpy(&scale, cache_scale(l, cache->after, row, i / 32), 2);
        double held = scale_held(scale) * (int8_t)cache->after[row * l->head_dim + i];
        measure_number(m, fabs(held - (i < l->size->head_dim ? want[i] : 0.0)) / most);
    }
    size_t bytes = (l->head_dim + 63) / 64 * 4, at = (size_t)(cache_scale(l, cache->after, row, 0) - cache->after);
    memcpy(cache->after + row * l->head_dim, cache->before + row * l->head_dim, l->head_dim);
    memcpy(cache->after + at, cache->before + at, bytes);
}

static void measure_cache(const struct Stage *stage, struct Measure *m, struct Array *k, struct Array *v,
                          const double *qkv)
{
    const struct TestLayer *l = stage->layer;
    uint32_t sequence, position, heads = l->size->heads, size = l->size->head_dim;
    for (uint32_t r = 0; r < stage->rows; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        for (uint32_t h = 0; h < heads; h++) {
            const double *q = qkv + ((size_t)r * 3 * heads + h) * size;
            measure_cache_row(l, m, k, cache_row(l, sequence, h, position), q + (size_t)heads * size);
            measure_cache_row(l, m, v, cache_row(l, sequence, h, position), q + (size_t)2 * heads * size);
        }
    }
    measure_untouched(m, k);
    measure_untouched(m, v);
}

#define TINY 0x1p-30  // makes numbers whose scale is too small for a half, and not for a float
#define SMALL 0x1p-10 // makes numbers that halves hold

// Makes every third row tiny, if it runs.
static void make_tiny(const struct Stage *stage, struct Array *q, struct Axis axis, double *values)
{
    uint32_t sequence, position, count = axis.groups * axis.size;
    float *rows = (float *)q->before;
    size_t stride = (size_t)axis.groups * axis.padded;
    for (uint32_t r = 2; r < stage->rows; r += 3) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        for (size_t i = 0; i < count; i++) values[r * (size_t)count + i] *= TINY;
        for (size_t i = 0; i < stride; i++) rows[r * stride + i] *= (float)TINY;
    }
}

// Half a step of 127, and the rounding of the scale.
#define CACHE_BOUND 4.5e-3

int selftest_cache(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    if (l->size->kv != KV_Q8_0) return VKGPT_OK;
    double *qkv;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *q = stage_input(stage, &t, axis_heads(l, 3), 131, 0.0, &qkv),
                 *k = trial_array(&t, bytes_of(l)), *v = trial_array(&t, bytes_of(l));
    if (!t.status) make_tiny(stage, q, axis_heads(l, 3), qkv);
    trial_start(&t);
    uint32_t words = l->size->heads * ((l->head_dim + 63) / 64), lanes = stage->kernels->cache_lanes;
    if (!t.status)
        dispatch(&t.rec, stage->kernels->cache, (struct Grid){(words + lanes - 1) / lanes, stage->rows, 2},
                 BUFFERS(&state->slice, &q->slice, &k->slice, &v->slice),
                 ARGS(CacheArgs, .range = stage->range, .heads = l->size->heads, .head_dim = l->head_dim,
                      .context = l->size->context, .stride = 3 * l->width, .scales = scales_of(l)));
    trial_finish(&t);
    struct Measure m = {0};
    if (!t.status) {
        measure_cache(stage, &m, k, v, qkv);
        measure_untouched(&m, q);
        stage_report(stage, stage->kernels->cache, m, CACHE_BOUND);
    }
    return trial_end(&t);
}

// ------------------------------------------------------------------------------------------ attention

// Queries and a cache of random numbers, up to the positions that the rows see; all else stays poison.
struct Attention {
    struct Trial t;
    struct Array *state, *q, *k, *v, *out;
    double *queries, *keys, *values; // (rows, heads, head_dim); (context, heads, head_dim) of one sequence
    double *want;                    // (rows, heads, head_dim)
};

static double cache_number(const struct TestLayer *l, uint32_t seed, uint32_t i)
{
    return l->size->kv == KV_F16 ? trial_coarse(seed, i) : trial_fine(seed, i);
}

static void fill_cache(const struct TestLayer *l, struct Array *array, double *numbers, uint32_t sequence,
                       uint32_t count, uint32_t seed, double factor)
{
    uint32_t heads = l->size->heads, size = l->size->head_dim, width = heads * size;
    for (uint32_t p = 0; p < count; p++) {
        double *row = numbers + (size_t)p * width;
        for (uint32_t i = 0; i < width; i++)
            row[i] = (double)(float)(factor * cache_number(l, seed + sequence, p * width + i));
        if (l->size->kv == KV_Q8_0) {
            for (uint32_t h = 0; h < heads; h++)
                cache_put(l, array->before, cache_row(l, sequence, h, p), row + h * size);
            continue;
        }
        struct Strip strip = {((size_t)sequence * heads * l->size->context + p) * l->head_dim,
                              heads,
                              l->size->context * l->head_dim,
                              size,
                              l->head_dim,
                              l->size->kv == KV_F16};
        strip_fill(array->before, strip, row);
    }
}

// Fills the rows of one sequence: `rows` queries from row `first_row`, the first at `position`.
static void fill_sequence(const struct Stage *stage, struct Attention *a, uint32_t sequence, uint32_t first_row,
                          uint32_t position, uint32_t rows)
{
    const struct TestLayer *l = stage->layer;
    size_t at = (size_t)first_row * l->size->heads * l->size->head_dim;
    double factor = l->size->kv != KV_Q8_0 || sequence == FIRST ? 1.0 : multiplies_halves(stage) ? SMALL : TINY;
    fill_cache(l, a->k, a->keys, sequence, position + rows, 101, 1.0);
    fill_cache(l, a->v, a->values, sequence, position + rows, 111, factor);
    reference_attend(rows, position, l->size->heads, l->size->head_dim, a->queries + at, a->keys, a->values,
                     (double)scale_of(l->size), l->size->window, a->want + at);
}

static void fill_all(const struct Stage *stage, struct Attention *a)
{
    const struct LayerSize *size = stage->layer->size;
    if (stage->prefill) {
        fill_sequence(stage, a, BLOCK_SEQUENCE, 0, size->first, size->rows);
        uint32_t behind = (size->rows + GROUP_ROWS - 1) / GROUP_ROWS * GROUP_ROWS;
        if (size->more) fill_sequence(stage, a, MORE_SEQUENCE, behind, size->more_first, size->more);
        return;
    }
    for (uint32_t i = 0, s = FIRST; i < IN_RANGE; i++, s++)
        if (!stage->state[s].stop)
            fill_sequence(stage, a, s, i * stage->range.rows, stage->state[s].position, stage->state[s].rows);
}

static int attention_make(const struct Stage *stage, size_t out_bytes, struct Attention *a)
{
    const struct TestLayer *l = stage->layer;
    size_t width = (size_t)l->size->heads * l->size->head_dim;
    trial_begin(&a->t, stage->test->device, stage->test->err);
    a->state = stage_state(stage, &a->t);
    a->q = stage_input(stage, &a->t, axis_heads(l, 1), 121, 0.0, &a->queries);
    a->k = trial_array(&a->t, bytes_of(l));
    a->v = trial_array(&a->t, bytes_of(l));
    a->out = trial_array(&a->t, out_bytes);
    a->keys = trial_scratch(&a->t, l->size->context * width, sizeof *a->keys);
    a->values = trial_scratch(&a->t, l->size->context * width, sizeof *a->values);
    a->want = trial_scratch(&a->t, stage->rows * width, sizeof *a->want);
    if (!a->t.status) fill_all(stage, a);
    return a->t.status;
}

static struct AttendArgs attend_args(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    const struct LayerSize *size = l->size;
    return (struct AttendArgs){
        .range = stage->range,
        .heads = size->heads,
        .head_dim = l->head_dim,
        .context = size->context,
        .span = size->span,
        .splits = splits_of(size),
        .scale = scale_of(size),
        .window = size->window,
        .q_stride = l->width,
        .scales = scales_of(l),
    };
}

// ---------------------------------------------------------------------------------------------- whole

static void attend_block(const struct Stage *stage, struct Attention *a, uint32_t rows, const struct Array *state,
                         const struct Array *q, const struct Array *out)
{
    const struct Kernels *kernels = stage->kernels;
    struct AttendArgs args = attend_args(stage);
    struct Grid grid = {stage->layer->size->heads, (rows + kernels->block_queries - 1) / kernels->block_queries, 1};
    dispatch(&a->t.rec, kernels->attend, grid,
             BUFFERS(&state->slice, &q->slice, &a->k->slice, &a->v->slice, &out->slice), &args, sizeof args);
}

// Decode by a kernel whose queries read the whole cache.
static int attend_whole_at(const struct Stage *stage, struct Measure *m)
{
    const struct TestLayer *l = stage->layer;
    struct Attention a;
    attention_make(stage, (size_t)stage->rows * l->width * 4, &a);
    trial_start(&a.t);
    if (!a.t.status) attend_block(stage, &a, stage->rows, a.state, a.q, a.out);
    trial_finish(&a.t);
    if (!a.t.status) stage_measure(stage, m, a.out, axis_heads(l, 1), a.want);
    return trial_end(&a.t);
}

// ---------------------------------------------------------------------------------------------- parts

static size_t part_at(const struct TestLayer *l, uint32_t row, uint32_t head, uint32_t split)
{
    return (((size_t)row * l->size->heads + head) * splits_of(l->size) + split) * (l->head_dim + 4);
}

// Merges the splits of one head of one row into one softmax: values (head_dim padded).
static void merge_parts(const struct TestLayer *l, const float *parts, uint32_t row, uint32_t head, uint32_t splits,
                        double *values)
{
    double most = -INFINITY, sum = 0.0;
    for (uint32_t s = 0; s < splits; s++) most = fmax(most, (double)parts[part_at(l, row, head, s) + l->head_dim]);
    for (uint32_t d = 0; d < l->head_dim; d++) values[d] = 0.0;
    for (uint32_t s = 0; s < splits; s++) {
        const float *part = parts + part_at(l, row, head, s);
        double scale = exp((double)part[l->head_dim] - most);
        sum += scale * (double)part[l->head_dim + 1];
        for (uint32_t d = 0; d < l->head_dim; d++) values[d] += scale * (double)part[d];
    }
    for (uint32_t d = 0; d < l->head_dim; d++) values[d] /= sum;
}

// Merges the parts of each row that runs, in float64, and compares them with attention over the whole cache. Only the
// splits up to the row's position may be written.
static void measure_attend(const struct Stage *stage, struct Measure *m, struct Attention *a)
{
    const struct TestLayer *l = stage->layer;
    uint32_t sequence, position, heads = l->size->heads, size = l->size->head_dim;
    for (uint32_t r = 0; r < stage->rows; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        for (uint32_t h = 0; h < heads; h++) {
            double merged[1024];
            const double *want = a->want + ((size_t)r * heads + h) * size;
            uint32_t splits = position / l->size->span + 1;
            merge_parts(l, (const float *)a->out->after, r, h, splits, merged);
            for (uint32_t d = 0; d < l->head_dim; d++)
                measure_number(m, fabs(merged[d] - (d < size ? want[d] : 0.0))); // the values are near 1
            size_t at = part_at(l, r, h, 0) * 4, bytes = (part_at(l, r, h, splits) - part_at(l, r, h, 0)) * 4;
            memcpy(a->out->after + at, a->out->before + at, bytes);
        }
    }
    measure_untouched(m, a->out);
}

static int attend_parts_at(const struct Stage *stage, struct Measure *m)
{
    const struct TestLayer *l = stage->layer;
    struct Attention a;
    if (!attention_make(stage, part_at(l, stage->rows, 0, 0) * 4, &a)) trial_start(&a.t);
    struct AttendArgs args = attend_args(stage);
    if (!a.t.status)
        dispatch(&a.t.rec, stage->kernels->attend, (struct Grid){l->size->heads, stage->rows, args.splits},
                 BUFFERS(&a.state->slice, &a.q->slice, &a.k->slice, &a.v->slice, &a.out->slice), &args, sizeof args);
    trial_finish(&a.t);
    if (!a.t.status) measure_attend(stage, m, &a);
    return trial_end(&a.t);
}

// Tests positions around the boundaries of the splits, two at a time.
int selftest_attend(const struct Stage *stage)
{
    const struct LayerSize *size = stage->layer->size;
    uint32_t last = size->context - 1;
    bool whole = stage->kernels->block_queries;
    const uint32_t positions[][2] = {{0, size->span - 1}, {size->span, size->span + 1}, {2 * size->span - 1, last}};
    struct Measure m = {0};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        struct Stage here = *stage;
        stage_place(&here, FIRST, positions[i][0] < last ? positions[i][0] : last);
        stage_place(&here, FIRST + 2, positions[i][1] < last ? positions[i][1] : last);
        int status = whole ? attend_whole_at(&here, &m) : attend_parts_at(&here, &m);
        if (status) return status;
    }
    stage_report(stage, stage->kernels->attend, m, ATTENTION_BOUND);
    return VKGPT_OK;
}

// Makes up a part: some splits have almost no weight, like a far part of the cache.
static void make_part(const struct TestLayer *l, float *part, uint32_t seed)
{
    for (uint32_t d = 0; d < l->head_dim; d++) part[d] = d < l->size->head_dim ? (float)trial_fine(seed, d) : 0.0f;
    part[l->head_dim] = (float)(4.0 * trial_fine(seed, 1000)) - (seed % 5 == 3 ? 200.0f : 0.0f);
    part[l->head_dim + 1] = (float)(2.0 + trial_fine(seed, 1001));
    part[l->head_dim + 2] = part[l->head_dim + 3] = 0.0f;
}

struct Array *stage_parts(const struct Stage *stage, struct Trial *trial, double **merged)
{
    const struct TestLayer *l = stage->layer;
    uint32_t sequence, position, heads = l->size->heads, size = l->size->head_dim;
    struct Array *parts = trial_array(trial, part_at(l, stage->rows, 0, 0) * 4);
    *merged = trial_scratch(trial, (size_t)stage->rows * heads * size, sizeof **merged);
    for (uint32_t r = 0; r < stage->rows && !trial->status; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        for (uint32_t h = 0; h < heads; h++) {
            double values[1024];
            float *numbers = (float *)parts->before;
            uint32_t splits = position / l->size->span + 1;
            for (uint32_t s = 0; s < splits; s++)
                make_part(l, numbers + part_at(l, r, h, s), 1000 * (r * heads + h) + s);
            merge_parts(l, numbers, r, h, splits, values);
            memcpy(*merged + ((size_t)r * heads + h) * size, values, size * sizeof *values);
        }
    }
    return parts;
}

int selftest_merge(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    double *want;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *parts = stage_parts(stage, &t, &want),
                 *out = stage_output(stage, &t, l->width);
    trial_start(&t);
    struct ProductArgs args = stage_product_args(stage);
    args.y_stride = l->width;
    if (!t.status)
        dispatch(&t.rec, stage->kernels->merge, (struct Grid){1, stage->rows, 1},
                 BUFFERS(&state->slice, &parts->slice, &out->slice), &args, sizeof args);
    trial_finish(&t);
    struct Measure m = {0};
    if (!t.status) {
        stage_measure(stage, &m, out, axis_heads(l, 1), want);
        stage_report(stage, stage->kernels->merge, m, ATTENTION_BOUND);
    }
    return trial_end(&t);
}

// --------------------------------------------------------------------------------------------- a block

// The block shifted: a row must have the same bits wherever it is in a block, and whatever is beside it.
struct Shifted {
    struct Stage stage;
    struct Array *state, *q, *out;
};

// Finds the row of the block that is this row of the shifted one.
static bool shifted_row(const struct Shifted *shifted, uint32_t row, uint32_t *whole)
{
    const struct LayerSize *size = shifted->stage.layer->size;
    uint32_t sequence, position, behind = (size->rows + GROUP_ROWS - 1) / GROUP_ROWS * GROUP_ROWS;
    if (!stage_row(&shifted->stage, row, &sequence, &position)) return false;
    *whole = sequence == BLOCK_SEQUENCE ? position - size->first : behind + position - size->more_first;
    return true;
}

static void shifted_make(const struct Stage *stage, struct Attention *a, struct Shifted *shifted)
{
    size_t bytes = (size_t)stage->layer->width * 4;
    uint32_t whole;
    shifted->stage = stage_shifted(stage);
    shifted->state = stage_state(&shifted->stage, &a->t);
    shifted->q = trial_array(&a->t, shifted->stage.rows * bytes);
    shifted->out = trial_array(&a->t, shifted->stage.rows * bytes);
    for (uint32_t r = 0; r < shifted->stage.rows && !a->t.status; r++)
        if (shifted_row(shifted, r, &whole))
            memcpy(shifted->q->before + r * bytes, a->q->before + whole * bytes, bytes);
}

static void shifted_measure(const struct Stage *stage, struct Measure *m, const struct Attention *a,
                            const struct Shifted *shifted)
{
    size_t bytes = (size_t)stage->layer->width * (stage->kernels->project.halves ? 2 : 4);
    uint32_t whole;
    for (uint32_t r = 0; r < shifted->stage.rows; r++)
        if (shifted_row(shifted, r, &whole))
            measure_true(m, !memcmp(shifted->out->after + r * bytes, a->out->after + whole * bytes, bytes));
}

int selftest_attend_block(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    struct Attention a;
    struct Shifted shifted = {0};
    attention_make(stage, (size_t)stage->rows * l->width * 4, &a);
    if (!a.t.status) shifted_make(stage, &a, &shifted);
    trial_start(&a.t);
    if (!a.t.status) {
        attend_block(stage, &a, stage->rows, a.state, a.q, a.out);
        attend_block(stage, &a, shifted.stage.rows, shifted.state, shifted.q, shifted.out);
    }
    trial_finish(&a.t);
    struct Measure m = {0};
    if (!a.t.status) {
        const struct Stage out = stage_with(stage, stage->kernels->project.halves);
        shifted_measure(stage, &m, &a, &shifted);
        stage_measure(&out, &m, a.out, axis_heads(l, 1), a.want);
        stage_report(stage, stage->kernels->attend, m, block_bound(stage));
    }
    return trial_end(&a.t);
}

// ------------------------------------------------------------------------------------- what must come out

// A number of the last head that becomes a NaN or an infinity.
struct Spoil {
    enum { SPOIL_Q, SPOIL_K, SPOIL_V } what;
    float number;
};

// Writes it into the row of the cache, or for KV_Q8_0 as the scale of the number's block.
static void spoil_cache(const struct TestLayer *l, uint8_t *cache, size_t row, uint32_t at, float number)
{
    uint32_t bits;
    memcpy(&bits, &number, 4);
    uint16_t upper = (uint16_t)(bits >> 16);
    struct Strip strip = {row * l->head_dim + at, 1, 0, 1, 1, l->size->kv == KV_F16};
    if (l->size->kv == KV_Q8_0) memcpy(cache_scale(l, cache, row, at / 32), &upper, 2);
    else strip_fill(cache, strip, &(double){(double)number});
}

static bool all_finite(const float *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!isfinite(numbers[i])) return false;
    return true;
}

// Rows that see the spoilt number, at position `spoilt`, must not be finite, and the rows before it must be. The latter
// is not checked for a spoilt value, which a weight of 0 does not make finite.
static void measure_spoilt(const struct Stage *stage, struct Measure *m, const struct Array *out,
                           const struct Spoil *spoil, uint32_t spoilt)
{
    const struct TestLayer *l = stage->layer;
    uint32_t sequence, position, last = l->size->heads - 1;
    for (uint32_t r = 0; r < stage->rows; r++) {
        if (!stage_row(stage, r, &sequence, &position) || sequence != BLOCK_SEQUENCE) continue;
        const float *row = (const float *)out->after + (size_t)r * l->width;
        bool sees = spoil->what == SPOIL_Q ? position == spoilt : position >= spoilt;
        measure_true(m, all_finite(row, last * l->head_dim));
        if (sees) measure_true(m, !all_finite(row + last * l->head_dim, l->size->head_dim));
        else if (spoil->what != SPOIL_V) measure_true(m, all_finite(row + last * l->head_dim, l->size->head_dim));
    }
}

static int attend_spoilt(const struct Stage *stage, struct Measure *m, const struct Spoil *spoil)
{
    const struct TestLayer *l = stage->layer;
    uint32_t spoilt = l->size->first + l->size->rows / 2, head = l->size->heads - 1, at = l->size->head_dim / 2;
    struct Attention a;
    if (!attention_make(stage, (size_t)stage->rows * l->width * 4, &a)) {
        size_t row = cache_row(l, BLOCK_SEQUENCE, head, spoilt);
        if (spoil->what != SPOIL_Q)
            spoil_cache(l, (spoil->what == SPOIL_K ? a.k : a.v)->before, row, at, spoil->number);
        else ((float *)a.q->before)[(size_t)(l->size->rows / 2) * l->width + head * l->head_dim + at] = spoil->number;
    }
    trial_start(&a.t);
    if (!a.t.status) attend_block(stage, &a, stage->rows, a.state, a.q, a.out);
    trial_finish(&a.t);
    if (!a.t.status) measure_spoilt(stage, m, a.out, spoil, spoilt);
    return trial_end(&a.t);
}

// A NaN or an infinity must never be hidden.
int selftest_attend_block_spoiled(const struct Stage *stage)
{
    static const struct Spoil spoils[] = {
        {SPOIL_Q, NAN},       {SPOIL_Q, INFINITY}, {SPOIL_K, NAN},      {SPOIL_K, INFINITY},
        {SPOIL_K, -INFINITY}, {SPOIL_V, NAN},      {SPOIL_V, INFINITY},
    };
    struct Measure m = {0};
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        int status = attend_spoilt(stage, &m, &spoils[i]);
        if (status) return status;
    }
    stage_report(stage, stage->kernels->attend, m, 0.0);
    return VKGPT_OK;
}
