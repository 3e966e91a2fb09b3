// The made-up layer that kernels are tested on, and the stage: which sequence runs at which position.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftest/selftest.h"
#include "engine/small.h"

struct Axis axis_of(uint32_t n) { return (struct Axis){1, n, padded(n)}; }

struct Axis axis_heads(const struct TestLayer *layer, uint32_t parts)
{
    return (struct Axis){parts * layer->size->heads, layer->size->head_dim, layer->head_dim};
}

// ------------------------------------------------------------------------------------------- the layer

static uint32_t whole(struct Axis axis) { return axis.groups * axis.padded; }

// A chunk's memory: rows, and the scales of rows in a quantised format.
struct Image {
    uint8_t *bytes;
    double *row; // padded
    size_t pitch, scale_pitch;
};

// Writes row `at` of the chunk (width) as it is on the device, padded with zeros; `held` gets its values there.
static void image_row(struct Image *image, const struct Chunk *chunk, uint32_t at, float *held, const float *values,
                      struct Axis in, uint32_t format)
{
    uint8_t *bytes = image->bytes + at * image->pitch;
    memset(image->row, 0, whole(in) * sizeof *image->row);
    for (uint32_t i = 0; i < in.groups * in.size; i++)
        image->row[i / in.size * in.padded + i % in.size] = (double)values[i];
    if (format_is_small(format))
        selftest_small_row(format, image->row, whole(in), bytes,
                           image->bytes + (size_t)chunk->scales * 4 + at * image->scale_pitch);
    else strip_fill(bytes, (struct Strip){0, 1, whole(in), whole(in), whole(in), format == WEIGHTS_F16}, image->row);
    for (uint32_t i = 0; held && i < in.groups * in.size; i++)
        held[i] = (float)image->row[i / in.size * in.padded + i % in.size];
}

// Uploads one chunk: the rows that the matrix has, and zeros.
static int upload_chunk(struct Selftest *test, struct Pool *pool, const float *values, struct Axis out, struct Axis in,
                        uint32_t format, struct Chunk *chunk, float *held)
{
    size_t width = (size_t)in.groups * in.size, bytes = matrix_bytes(chunk->count, whole(in), format);
    struct Image image = {.pitch = matrix_bytes(1, whole(in), format)};
    if (format_is_small(format)) {
        image.pitch = small_quant_bytes(format, whole(in));
        image.scale_pitch = small_scale_bytes(format, whole(in));
        chunk->scales = (uint32_t)(chunk->count * image.pitch / 4);
    }
    image.bytes = device_alloc(test->device, bytes, 1);
    image.row = device_alloc(test->device, whole(in), sizeof *image.row);
    bool made = image.bytes && image.row;
    for (uint32_t r = 0; r < chunk->count && made; r++) {
        uint32_t group = (chunk->first + r) / out.padded, within = (chunk->first + r) % out.padded;
        size_t at = ((size_t)group * out.size + within) * width;
        if (within < out.size) image_row(&image, chunk, r, held ? held + at : NULL, values + at, in, format);
    }
    int status = made ? pool_slice(test->device, pool, bytes, "the selftest's weights", &chunk->slice, test->err)
                      : fail_memory(test->err, "the selftest's weights", bytes);
    if (!status) status = trial_upload(test->device, &chunk->slice, image.bytes, bytes, test->err);
    free(image.bytes);
    free(image.row);
    return status;
}

int test_matrix_upload(struct Selftest *test, struct Pool *pool, const float *values, struct Axis out, struct Axis in,
                       uint32_t format, uint32_t chunks, struct Matrix *matrix, float *held)
{
    uint32_t rows = padded((whole(out) + chunks - 1) / chunks);
    *matrix = (struct Matrix){
        .out = whole(out), .in = whole(in), .format = format, .chunk_count = (whole(out) + rows - 1) / rows};
    matrix->chunks = device_alloc(test->device, matrix->chunk_count, sizeof *matrix->chunks);
    int status = matrix->chunks ? VKGPT_OK : fail_memory(test->err, "the selftest's weights", whole(out));
    for (uint32_t i = 0; i < matrix->chunk_count && !status; i++) {
        struct Chunk *chunk = &matrix->chunks[i];
        chunk->first = i * rows;
        chunk->count = matrix->out - chunk->first < rows ? matrix->out - chunk->first : rows;
        status = upload_chunk(test, pool, values, out, in, format, chunk, held);
    }
    return status;
}

// Numbers that halves hold exactly, of such a size that the product of a row with inputs near 1 is near 1.
static float *make_values(struct Selftest *test, size_t count, uint32_t fan_in, uint32_t seed)
{
    float *values = device_alloc(test->device, count, sizeof *values);
    int exponent = 0;
    while (fan_in > 3u << 2 * exponent) exponent++;
    for (size_t i = 0; values && i < count; i++) values[i] = (float)ldexp(trial_coarse(seed, (uint32_t)i), -exponent);
    return values;
}

static int make_matrix(struct Selftest *test, struct TestLayer *layer, struct Axis out, struct Axis in, uint32_t format,
                       uint32_t chunks, uint32_t seed, struct LayerMatrix *made)
{
    made->out = out.groups * out.size;
    made->in = in.groups * in.size;
    made->values = make_values(test, (size_t)made->out * made->in, made->in, seed);
    if (!made->values) return fail_memory(test->err, "the selftest's weights", (size_t)made->out * made->in * 4);
    return test_matrix_upload(test, &layer->pool, made->values, out, in, format, chunks, &made->matrix, made->values);
}

// The second half of the vocabulary repeats the first half, so that every logit has an equal one.
static int make_table(struct Selftest *test, struct TestLayer *layer, struct LayerMatrix *made)
{
    const struct LayerSize *size = layer->size;
    uint32_t half = (size->vocab + 1) / 2;
    made->out = size->vocab;
    made->in = layer->embed_dim;
    made->values = make_values(test, (size_t)made->out * made->in, made->in, 1);
    if (!made->values) return fail_memory(test->err, "the selftest's weights", (size_t)made->out * made->in * 4);
    memcpy(made->values + (size_t)half * made->in, made->values, (size_t)(size->vocab - half) * made->in * 4);
    return test_matrix_upload(test, &layer->pool, made->values, axis_of(made->out), axis_of(made->in), size->weights,
                              size->chunks, &made->matrix, made->values);
}

// Appends a vector to `image`, which begins where layer->vectors does.
static int make_vector(struct Selftest *test, uint8_t *image, struct Axis axis, uint32_t seed, uint32_t *next,
                       uint32_t *at, float **values)
{
    uint32_t count = axis.groups * axis.size;
    double *row = device_alloc(test->device, count, sizeof *row);
    *values = make_values(test, count, 1, seed);
    bool made = image && row && *values;
    for (uint32_t i = 0; i < count && made; i++) row[i] = (double)(*values)[i];
    if (made) strip_fill(image, (struct Strip){*next, axis.groups, axis.padded, axis.size, axis.padded, false}, row);
    free(row);
    *at = *next;
    *next += whole(axis);
    return made ? VKGPT_OK : fail_memory(test->err, "the selftest's vectors", count * sizeof *row);
}

static int make_vectors(struct Selftest *test, struct TestLayer *l)
{
    struct Axis dim = axis_of(l->size->dim), inner = axis_of(l->size->inner);
    size_t bytes = ((size_t)3 * l->width + 4 * l->dim + l->inner) * 4;
    uint8_t *image = device_alloc(test->device, bytes, 1);
    uint32_t next = 0;
    int status = pool_slice(test->device, &l->pool, bytes, "the selftest's vectors", &l->vectors, test->err);
    if (!status) status = make_vector(test, image, axis_heads(l, 3), 11, &next, &l->at_attn, &l->attn_bias);
    if (!status) status = make_vector(test, image, dim, 12, &next, &l->at_gain, &l->gain);
    if (!status) status = make_vector(test, image, dim, 13, &next, &l->at_norm_bias, &l->norm_bias);
    if (!status) status = make_vector(test, image, dim, 14, &next, &l->at_proj, &l->proj_bias);
    if (!status) status = make_vector(test, image, inner, 15, &next, &l->at_fc, &l->fc_bias);
    if (!status) status = make_vector(test, image, dim, 16, &next, &l->at_out, &l->out_bias);
    if (!status) status = trial_upload(test->device, &l->vectors, image, bytes, test->err);
    free(image);
    return status;
}

int test_layer_open(struct Selftest *test, const struct LayerSize *size, struct TestLayer *l)
{
    *l = (struct TestLayer){.size = size, .pool = {.kind = MEMORY_DEVICE, .block_bytes = (VkDeviceSize)4 << 20}};
    l->embed_dim = size->embed_dim ? size->embed_dim : size->dim;
    l->dim = padded(size->dim);
    l->head_dim = padded(size->head_dim);
    l->width = size->heads * l->head_dim;
    l->inner = padded(size->inner);
    l->vocab = padded(size->vocab);
    struct Axis dim = axis_of(size->dim), inner = axis_of(size->inner), embed = axis_of(l->embed_dim);
    struct Axis positions = axis_of(size->context + size->position_offset);
    uint32_t position_format = size->weights == WEIGHTS_F32 ? WEIGHTS_F32 : WEIGHTS_F16;
    int status = make_table(test, l, &l->wte);
    if (!status) status = make_matrix(test, l, positions, dim, position_format, 1, 2, &l->wpe);
    if (!status && size->embed_dim)
        status = make_matrix(test, l, dim, embed, size->weights, size->chunks, 7, &l->embed_up);
    if (!status && size->embed_dim)
        status = make_matrix(test, l, embed, dim, size->weights, size->chunks, 8, &l->embed_down);
    if (!status) status = make_matrix(test, l, axis_heads(l, 3), dim, size->weights, size->chunks, 3, &l->c_attn);
    if (!status) status = make_matrix(test, l, dim, axis_heads(l, 1), size->weights, size->chunks, 4, &l->c_proj);
    if (!status) status = make_matrix(test, l, inner, dim, size->weights, size->chunks, 5, &l->c_fc);
    if (!status) status = make_matrix(test, l, dim, inner, size->weights, size->chunks, 6, &l->c_out);
    if (!status) status = make_vectors(test, l);
    return status;
}

void test_layer_close(struct Selftest *test, struct TestLayer *l)
{
    struct LayerMatrix *matrices[] = {&l->wte,  &l->wpe,   &l->c_attn,   &l->c_proj,
                                      &l->c_fc, &l->c_out, &l->embed_up, &l->embed_down};
    float *vectors[] = {l->gain, l->norm_bias, l->attn_bias, l->proj_bias, l->fc_bias, l->out_bias};
    for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
        free(matrices[i]->values);
        matrix_free(&matrices[i]->matrix);
    }
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) free(vectors[i]);
    pool_free(test->device, &l->pool);
}

// ------------------------------------------------------------------------------------------- the stage

void stage_place(struct Stage *stage, uint32_t sequence, uint32_t position)
{
    struct Sequence *state = &stage->state[sequence];
    state->position = position;
    state->rows = state->context - position < stage->range.rows ? state->context - position : stage->range.rows;
}

static void add_groups(struct Stage *stage, uint32_t sequence, uint32_t first, uint32_t rows)
{
    for (uint32_t at = 0; at < rows && stage->group_count < MAX_GROUPS; at += GROUP_ROWS)
        stage->groups[stage->group_count++] =
            (struct Group){sequence, first + at, rows - at < GROUP_ROWS ? rows - at : GROUP_ROWS, 0};
}

struct Stage stage_make(struct Selftest *test, const struct TestLayer *layer, const struct Kernels *kernels,
                        uint32_t step_rows)
{
    const struct LayerSize *size = layer->size;
    bool prefill = !step_rows;
    struct Stage stage = {
        .test = test,
        .layer = layer,
        .kernels = kernels,
        .prefill = prefill,
        .range = {FIRST, IN_RANGE, step_rows},
        .rows = IN_RANGE * step_rows,
    };
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        stage.state[s].context = size->context;
        stage_place(&stage, s, 0);
    }
    stage_place(&stage, FIRST, size->span < size->context ? size->span : size->context - 1);
    stage_place(&stage, STOPPED, size->context / 3);
    stage_place(&stage, BLOCK_SEQUENCE, prefill ? size->first : size->context - 1);
    stage.state[STOPPED].stop = STOP_EOS;
    if (!prefill) return stage;
    add_groups(&stage, BLOCK_SEQUENCE, size->first, size->rows);
    if (size->more) add_groups(&stage, MORE_SEQUENCE, size->more_first, size->more);
    stage.rows = (stage.group_count - 1) * GROUP_ROWS + stage.groups[stage.group_count - 1].rows + SPARE_ROWS;
    return stage;
}

struct Stage stage_shifted(const struct Stage *stage)
{
    const struct LayerSize *size = stage->layer->size;
    struct Stage other = *stage;
    uint32_t by = size->rows > 1;
    other.group_count = 0;
    if (size->more > 1) add_groups(&other, MORE_SEQUENCE, size->more_first + 1, size->more - 1);
    add_groups(&other, BLOCK_SEQUENCE, size->first + by, size->rows - by);
    for (uint32_t g = other.group_count; g < MAX_GROUPS; g++) other.groups[g] = (struct Group){0};
    other.rows = other.group_count * GROUP_ROWS;
    return other;
}

bool stage_row(const struct Stage *stage, uint32_t row, uint32_t *sequence, uint32_t *position)
{
    if (stage->prefill) {
        const struct Group none = {0},
                           *group = row / GROUP_ROWS < stage->group_count ? &stage->groups[row / GROUP_ROWS] : &none;
        *sequence = group->sequence;
        *position = group->position + row % GROUP_ROWS;
        return row % GROUP_ROWS < group->rows;
    }
    *sequence = stage->range.first + row / stage->range.rows;
    const struct Sequence *state = &stage->state[*sequence];
    *position = state->position + row % stage->range.rows;
    return !state->stop && row % stage->range.rows < state->rows;
}

struct Sequence *selftest_sequences(uint8_t *state)
{
    return (struct Sequence *)(state + MAX_GROUPS * sizeof(struct Group));
}

struct Array *selftest_state(struct Trial *trial, const struct Sequence *sequences, uint32_t count)
{
    struct Array *state = trial_array(trial, MAX_GROUPS * sizeof(struct Group) + count * sizeof(struct Sequence));
    if (trial->status) return state;
    if (sequences) memcpy(selftest_sequences(state->before), sequences, count * sizeof *sequences);
    return state;
}

// The sequences, and in prefill the groups of a block: kernels of prefill read only those, kernels of decode never.
struct Array *stage_state(const struct Stage *stage, struct Trial *trial)
{
    struct Array *state = selftest_state(trial, stage->state, SEQUENCES);
    if (!trial->status && stage->prefill) memcpy(state->before, stage->groups, sizeof stage->groups);
    return state;
}

struct Stage stage_with(const struct Stage *stage, bool halves)
{
    struct Stage with = *stage;
    with.halves = halves;
    return with;
}

static struct Strip row_strip(const struct Stage *stage, struct Axis axis, uint32_t row)
{
    return (struct Strip){
        (size_t)row * axis.groups * axis.padded, axis.groups, axis.padded, axis.size, axis.padded, stage->halves};
}

struct Array *stage_input(const struct Stage *stage, struct Trial *trial, struct Axis axis, uint32_t seed,
                          double offset, double **values)
{
    uint32_t count = axis.groups * axis.size, sequence, position;
    struct Array *array = stage_output(stage, trial, axis.groups * axis.padded);
    *values = trial_scratch(trial, (size_t)stage->rows * count, sizeof **values);
    if (trial->status) return array;
    for (uint32_t r = 0; r < stage->rows; r++) {
        double *row = *values + (size_t)r * count;
        for (uint32_t i = 0; i < count; i++) row[i] = (double)(float)(offset + trial_fine(seed + r, i));
        if (stage_row(stage, r, &sequence, &position)) strip_fill(array->before, row_strip(stage, axis, r), row);
    }
    return array;
}

struct Array *stage_output(const struct Stage *stage, struct Trial *trial, uint32_t stride)
{
    uint32_t rows = (stage->rows + 31) / 32 * 32; // a product may read more rows than run
    return trial_array(trial, (size_t)rows * stride * 4);
}

void stage_measure(const struct Stage *stage, struct Measure *measure, struct Array *array, struct Axis axis,
                   const double *want)
{
    uint32_t sequence, position;
    for (uint32_t r = 0; r < stage->rows; r++)
        if (stage_row(stage, r, &sequence, &position))
            measure_row(measure, array, row_strip(stage, axis, r), want + (size_t)r * axis.groups * axis.size);
    measure_untouched(measure, array);
}

struct ProductArgs stage_product_args(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    return (struct ProductArgs){
        .range = stage->range,
        .dim = l->size->dim,
        .norm_gain = l->at_gain,
        .norm_bias = l->at_norm_bias,
        .eps = SELFTEST_EPS,
        .heads = l->size->heads,
        .head_dim = l->head_dim,
        .context = l->size->context,
        .span = l->size->span,
        .splits = (l->size->context + l->size->span - 1) / l->size->span,
    };
}

void stage_report(const struct Stage *stage, const struct Pipeline *pipeline, struct Measure measure, double bound)
{
    const struct TestLayer *l = stage->layer;
    const struct LayerSize *s = l->size;
    char block[32] = "";
    if (stage->range.rows > 1) snprintf(block, sizeof block, ", %u rows", stage->rows);
    if (stage->prefill) snprintf(block, sizeof block, ", %u from %u", s->rows, s->first);
    selftest_report(stage->test, pipeline->kernel, measure.error, bound, "C %u, H %u of %u, F %u, V %u, %s/%s%s%s",
                    s->dim, s->heads, s->head_dim, s->inner, s->vocab, format_name(s->weights), format_name(s->kv),
                    block, s->small_shared ? ", unstaged" : "");
}
