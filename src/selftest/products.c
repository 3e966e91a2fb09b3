// What embed, norm and the five matrix products must give, in decode and in prefill.
#include <math.h>
#include <string.h>

#include "selftest/selftest.h"

// Rounding of a sum of `width` products, and of the norm before it: several times the errors that were seen on devices.
// Kernels that multiply halves round their input, and weights in a quantised format, to 11 bits.
static double product_bound(const struct Pipeline *pipeline, uint32_t width)
{
    return strstr(pipeline->kernel, "coopmat") ? 2e-3 : 2e-6 + 4e-7 * sqrt(width);
}

static void report_product(const struct Stage *stage, const struct Product *p, struct Measure m, uint32_t width)
{
    const struct Pipeline *pipeline = p->pipelines[stage->layer->size->weights];
    stage_report(stage, pipeline, m, product_bound(pipeline, width));
}

static uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// As in forward.c: one dispatch per chunk of W. Returns the number of workgroups along W.
static uint32_t product(const struct Stage *stage, struct Trial *trial, const struct Product *p, const struct Matrix *w,
                        struct Bindings bindings, struct ProductArgs args)
{
    args.first_group = 0;
    for (uint32_t i = 0; i < w->chunk_count && !trial->status; i++) {
        const struct Chunk *chunk = &w->chunks[i];
        bindings.slices[1] = &chunk->slice;
        args.first = chunk->first;
        args.count = chunk->count;
        args.scales = chunk->scales;
        struct Grid grid = {ceil_div(chunk->count, p->group_outputs[w->format]),
                            ceil_div(stage->rows, p->group_rows[w->format]), p->segments[w->format]};
        dispatch(&trial->rec, p->pipelines[w->format], grid, bindings, &args, sizeof args);
        args.first_group += grid.x;
    }
    return args.first_group;
}

// The input of the reference's product for each row: the norm of x, or x itself where `norm` has run before.
static void reference_input(const struct Stage *stage, const struct Product *p, double *x)
{
    const struct TestLayer *l = stage->layer;
    if (p->staged[l->size->weights])
        reference_norm(stage->rows, l->size->dim, x, l->gain, l->norm_bias, (double)SELFTEST_EPS, x);
}

static double row_offset(const struct Stage *stage, const struct Product *p)
{
    return p->staged[stage->layer->size->weights] ? stage->layer->size->mean : 0.0;
}

// ---------------------------------------------------------------------------------------- embed, norm

static void fill_tokens(const struct Stage *stage, struct Array *tokens, uint32_t stride)
{
    uint32_t sequence, position, *ids = (uint32_t *)tokens->before;
    for (uint32_t r = 0; r < stage->rows; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        // a wrong id, which only a bug could make, counts as the last one
        ids[sequence * stride + position] = r == 2 ? UINT32_MAX - 7 : trial_hash(21, r) % stage->layer->size->vocab;
    }
}

// One row of x: a row of one table, of the other, or their sum.
static void reference_embed(const struct TestLayer *l, uint32_t parts, uint32_t id, uint32_t position, uint32_t width,
                            double *row)
{
    if (id >= l->size->vocab) id = l->size->vocab - 1;
    const float *token = l->wte.values + (size_t)id * width,
                *place = l->wpe.values + ((size_t)position + l->size->position_offset) * width;
    for (uint32_t i = 0; i < width; i++)
        row[i] = (parts & EMBED_TOKEN ? (double)token[i] : 0.0) + (parts & EMBED_POSITION ? (double)place[i] : 0.0);
}

static void embed_run(const struct Stage *stage, struct Trial *t, uint32_t parts, uint32_t width,
                      const struct Slice *tokens, const struct Slice *state, const struct Slice *x)
{
    const struct TestLayer *l = stage->layer;
    uint32_t chunks = parts & EMBED_TOKEN ? l->wte.matrix.chunk_count : 1;
    trial_start(t);
    for (uint32_t i = 0; i < chunks && !t->status; i++) {
        const struct Chunk *chunk = &l->wte.matrix.chunks[i];
        dispatch(&t->rec, stage->kernels->embed[l->size->weights], (struct Grid){1, stage->rows, 1},
                 BUFFERS(state, tokens, &chunk->slice, &l->wpe.matrix.chunks[0].slice, x),
                 ARGS(EmbedArgs, .range = stage->range, .dim = padded(width), .parts = parts, .first = chunk->first,
                      .count = chunk->count, .vocab = l->size->vocab, .token_stride = l->size->context + 1,
                      .position_offset = l->size->position_offset, .scales = chunk->scales));
    }
    trial_finish(t);
}

static int embed_parts(const struct Stage *stage, uint32_t parts, uint32_t width)
{
    const struct TestLayer *l = stage->layer;
    uint32_t stride = l->size->context + 1, sequence, position;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *tokens = trial_array(&t, (size_t)SEQUENCES * stride * 4),
                 *x = stage_output(stage, &t, padded(width));
    double *want = trial_scratch(&t, (size_t)stage->rows * width, sizeof *want);
    if (t.status) return trial_end(&t);
    fill_tokens(stage, tokens, stride);
    for (uint32_t r = 0; r < stage->rows; r++)
        if (stage_row(stage, r, &sequence, &position))
            reference_embed(l, parts, ((const uint32_t *)tokens->before)[sequence * stride + position], position, width,
                            want + (size_t)r * width);
    embed_run(stage, &t, parts, width, &tokens->slice, &state->slice, &x->slice);

    struct Measure m = {0};
    if (!t.status) stage_measure(stage, &m, x, axis_of(width), want);
    if (!t.status) stage_report(stage, stage->kernels->embed[l->size->weights], m, 2e-7);
    return trial_end(&t);
}

int selftest_embed(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    if (!l->size->embed_dim) return embed_parts(stage, EMBED_TOKEN | EMBED_POSITION, l->size->dim);
    int status = embed_parts(stage, EMBED_TOKEN, l->embed_dim);
    return status ? status : embed_parts(stage, EMBED_POSITION, l->size->dim);
}

// Tests norm into another array, or in place; as floats, or as halves.
static int norm_to(const struct Stage *stage, bool in_place, bool halves)
{
    const struct Pipeline *pipeline = halves ? stage->kernels->norm_halves : stage->kernels->norm;
    const struct Stage out = stage_with(stage, halves);
    const struct TestLayer *l = stage->layer;
    uint32_t dim = l->size->dim;
    double *want;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *x = stage_input(stage, &t, axis_of(dim), 31, l->size->mean, &want);
    struct Array *n = in_place ? x : stage_output(stage, &t, l->dim);
    if (t.status) return trial_end(&t);
    reference_norm(stage->rows, dim, want, l->gain, l->norm_bias, (double)SELFTEST_EPS, want);

    trial_start(&t);
    if (!t.status)
        dispatch(&t.rec, pipeline, (struct Grid){1, stage->rows, 1},
                 BUFFERS(&state->slice, &l->vectors, &x->slice, &n->slice),
                 ARGS(NormArgs, .range = stage->range, .dim = dim, .stride = l->dim, .gain = l->at_gain,
                      .bias = l->at_norm_bias, .eps = SELFTEST_EPS));
    trial_finish(&t);

    struct Measure m = {0};
    if (!t.status) {
        stage_measure(&out, &m, n, axis_of(dim), want);
        measure_untouched(&m, x);
        stage_report(stage, pipeline, m, product_bound(pipeline, dim));
    }
    return trial_end(&t);
}

int selftest_norm(const struct Stage *stage)
{
    int status = norm_to(stage, false, false);
    if (!status && stage->layer->size->post_norm) status = norm_to(stage, true, false);
    return status || !stage->kernels->norm_halves ? status : norm_to(stage, false, true);
}

// ------------------------------------------------------------------------------------------------ qkv

// Rows of want hold q, k and v, each (heads, head_dim).
static void measure_qkv(const struct Stage *stage, struct Measure *m, struct Array *q, struct Array *k, struct Array *v,
                        const double *want)
{
    const struct TestLayer *l = stage->layer;
    uint32_t sequence, position, heads = l->size->heads, size = l->size->head_dim, width = heads * size;
    for (uint32_t r = 0; r < stage->rows; r++, want += 3 * width) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        uint32_t parts = l->size->kv == KV_Q8_0 ? 3 : 1; // that q holds
        struct Strip strip = {(size_t)r * parts * l->width, parts * heads, l->head_dim, size, l->head_dim, false};
        measure_row(m, q, strip, want);
        if (parts == 3) continue;
        strip.groups = heads;
        strip.at = ((size_t)sequence * heads * l->size->context + position) * l->head_dim;
        strip.stride = l->size->context * l->head_dim;
        strip.half = l->size->kv == KV_F16;
        measure_row(m, k, strip, want + width);
        measure_row(m, v, strip, want + 2 * width);
    }
    measure_untouched(m, q);
    measure_untouched(m, k);
    measure_untouched(m, v);
}

int selftest_qkv(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    const struct Product *p = &stage->kernels->qkv;
    const struct Stage read = stage_with(stage, p->halves);
    size_t width = (size_t)l->size->heads * l->size->head_dim;
    size_t cache = (size_t)SEQUENCES * l->width * l->size->context * (l->size->kv == KV_F16 ? 2 : 4);
    double *in;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t),
                 *x = stage_input(&read, &t, axis_of(l->size->dim), 41, row_offset(stage, p), &in);
    uint32_t q_stride = l->width * (l->size->kv == KV_Q8_0 ? 3 : 1);
    struct Array *q = stage_output(stage, &t, q_stride), *k = trial_array(&t, cache), *v = trial_array(&t, cache);
    double *want = trial_scratch(&t, stage->rows * 3 * width, sizeof *want);
    if (t.status) return trial_end(&t);
    reference_input(stage, p, in);
    reference_matmul(stage->rows, l->size->dim, 3 * width, in, l->c_attn.values, l->attn_bias, want);

    trial_start(&t);
    struct ProductArgs args = stage_product_args(stage);
    args.x_stride = l->dim, args.y_stride = q_stride, args.bias = l->at_attn;
    product(stage, &t, p, &l->c_attn.matrix,
            BUFFERS(&state->slice, NULL, &l->vectors, &x->slice, &q->slice, &k->slice, &v->slice), args);
    trial_finish(&t);

    struct Measure m = {0};
    if (!t.status) {
        measure_qkv(stage, &m, q, k, v, want);
        measure_untouched(&m, x);
        report_product(stage, p, m, l->size->dim);
    }
    return trial_end(&t);
}

// ------------------------------------------------------------------------- project, expand and contract

static void add_rows(size_t count, double *y, const double *x)
{
    for (size_t i = 0; i < count; i++) y[i] += x[i];
}

// y += x W + b, where `x` holds the rows `in`, or the parts that attend writes for them.
static int residual_product(const struct Stage *stage, const struct Product *p, const struct LayerMatrix *w,
                            struct Trial *t, struct Array *state, struct Array *x, const double *in, uint32_t x_stride,
                            const float *bias, uint32_t at_bias)
{
    const struct TestLayer *l = stage->layer;
    struct Axis dim = axis_of(l->size->dim);
    size_t numbers = (size_t)stage->rows * l->size->dim;
    double *residual;
    struct Array *y = stage_input(stage, t, dim, 51, 0.5, &residual);
    struct Array *arrived = trial_array(t, SPLIT_TILES * 4),
                 *sums = trial_array(t, tile_sum_bytes(stage->rows, l->dim));
    double *want = trial_scratch(t, numbers, sizeof *want);
    if (t->status) return trial_end(t);
    memset(arrived->before, 0, arrived->bytes);
    reference_matmul(stage->rows, w->in, w->out, in, w->values, bias, want);
    add_rows(numbers, want, residual);

    trial_start(t);
    struct ProductArgs args = stage_product_args(stage);
    args.x_stride = x_stride, args.y_stride = l->dim, args.bias = at_bias;
    product(stage, t, p, &w->matrix,
            BUFFERS(&state->slice, NULL, &l->vectors, &x->slice, &y->slice, &arrived->slice, &sums->slice), args);
    trial_finish(t);

    struct Measure m = {0};
    if (!t->status) {
        stage_measure(stage, &m, y, dim, want);
        measure_untouched(&m, x);
        measure_untouched(&m, arrived); // it is left as the next product must find it
        report_product(stage, p, m, w->in);
    }
    return trial_end(t);
}

int selftest_project(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    const struct Product *p = &stage->kernels->project;
    const struct Stage read = stage_with(stage, p->halves);
    double *in;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *x;
    if (p->staged[l->size->weights]) x = stage_parts(stage, &t, &in);
    else x = stage_input(&read, &t, axis_heads(l, 1), 61, 0.0, &in);
    return residual_product(stage, p, &l->c_proj, &t, state, x, in, l->width, l->proj_bias, l->at_proj);
}

int selftest_contract(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    const struct Stage read = stage_with(stage, stage->kernels->contract.halves);
    double *in;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *h = stage_input(&read, &t, axis_of(l->size->inner), 71, 0.0, &in);
    return residual_product(stage, &stage->kernels->contract, &l->c_out, &t, state, h, in, l->inner, l->out_bias,
                            l->at_out);
}

// y = activation(norm(x) W + b); without a bias there is no activation.
static int normed_product(const struct Stage *stage, const struct Product *p, const struct LayerMatrix *w,
                          const float *bias, uint32_t at_bias)
{
    const struct TestLayer *l = stage->layer;
    const struct Stage read = stage_with(stage, p->halves),
                       made = stage_with(stage, bias && stage->kernels->contract.halves);
    size_t numbers = (size_t)stage->rows * w->out;
    double *in;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t),
                 *x = stage_input(&read, &t, axis_of(w->in), 81, row_offset(stage, p), &in);
    struct Array *y = stage_output(stage, &t, padded(w->out));
    double *want = trial_scratch(&t, numbers, sizeof *want);
    if (t.status) return trial_end(&t);
    reference_input(stage, p, in);
    reference_matmul(stage->rows, w->in, w->out, in, w->values, bias, want);
    for (size_t i = 0; i < numbers && bias; i++) want[i] = reference_activation(l->size->activation, want[i]);

    trial_start(&t);
    struct ProductArgs args = stage_product_args(stage);
    args.x_stride = l->dim, args.y_stride = padded(w->out), args.bias = at_bias;
    product(stage, &t, p, &w->matrix, BUFFERS(&state->slice, NULL, &l->vectors, &x->slice, &y->slice), args);
    trial_finish(&t);

    struct Measure m = {0};
    if (!t.status) {
        stage_measure(&made, &m, y, axis_of(w->out), want);
        measure_untouched(&m, x);
        report_product(stage, p, m, w->in);
    }
    return trial_end(&t);
}

int selftest_expand(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    return normed_product(stage, &stage->kernels->expand, &l->c_fc, l->fc_bias, l->at_fc);
}

// The kernels contract and expand once more, as the engine uses them on an embedding of another width.
int selftest_project_embedding(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    double *in;
    struct Trial t;
    if (!l->size->embed_dim) return VKGPT_OK;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *e = stage_input(stage, &t, axis_of(l->embed_dim), 75, 0.0, &in);
    int status = residual_product(stage, &stage->kernels->embed_up, &l->embed_up, &t, state, e, in,
                                  padded(l->embed_dim), NULL, NO_BIAS);
    return status ? status : normed_product(stage, &stage->kernels->embed_down, &l->embed_down, NULL, NO_BIAS);
}

// ----------------------------------------------------------------------------------------------- head

// Checks what greedy sampling needs of the parts of one sequence: the maximum of all its logits, its lowest index, and
// whether any is bad. The maximum of each part must be the logit at its index.
static void measure_parts(struct Measure *m, const struct HeadPart *parts, uint32_t groups, const float *logits,
                          uint32_t vocab)
{
    float maximum = -INFINITY, claimed = -INFINITY;
    uint32_t index = UINT32_MAX, claimed_index = UINT32_MAX, bad = 0, claimed_bad = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        if (!isfinite(logits[i])) bad = 1;
        if (logits[i] > maximum) maximum = logits[i], index = i;
    }
    for (uint32_t g = 0; g < groups; g++) {
        claimed_bad |= parts[g].bad;
        if (parts[g].index < vocab) measure_true(m, logits[parts[g].index] == parts[g].maximum);
        if (parts[g].maximum > claimed) claimed = parts[g].maximum, claimed_index = parts[g].index;
        else if (parts[g].maximum == claimed && parts[g].index < claimed_index) claimed_index = parts[g].index;
    }
    measure_true(m, bad == claimed_bad);
    if (!bad) measure_true(m, maximum == claimed && index == claimed_index);
}

struct HeadTrial {
    struct Trial t;
    struct Array *state, *x, *logits, *parts;
    uint32_t groups;
};

static uint32_t head_groups(const struct Product *p, const struct Matrix *w)
{
    uint32_t groups = 0;
    for (uint32_t i = 0; i < w->chunk_count; i++) groups += ceil_div(w->chunks[i].count, p->group_outputs[w->format]);
    return groups;
}

static void head_run(const struct Stage *stage, const struct Matrix *w, struct HeadTrial *h)
{
    const struct TestLayer *l = stage->layer;
    struct ProductArgs args = stage_product_args(stage);
    args.x_stride = padded(l->embed_dim), args.y_stride = l->vocab, args.bias = NO_BIAS, args.outputs = l->size->vocab,
    args.groups = h->groups;
    trial_start(&h->t);
    product(stage, &h->t, &stage->kernels->head, w,
            BUFFERS(&h->state->slice, NULL, &l->vectors, &h->x->slice, &h->logits->slice, &h->parts->slice), args);
    trial_finish(&h->t);
}

static double *head_make(const struct Stage *stage, const struct Matrix *w, struct HeadTrial *h)
{
    const struct TestLayer *l = stage->layer;
    const struct Product *p = &stage->kernels->head;
    double *in;
    *h = (struct HeadTrial){.groups = head_groups(p, w)};
    trial_begin(&h->t, stage->test->device, stage->test->err);
    h->state = stage_state(stage, &h->t);
    h->x = stage_input(stage, &h->t, axis_of(l->embed_dim), 91, row_offset(stage, p), &in);
    h->logits = stage_output(stage, &h->t, l->vocab);
    h->parts = trial_array(&h->t, (size_t)stage->rows * h->groups * sizeof(struct HeadPart));
    if (!h->t.status) reference_input(stage, p, in);
    return in;
}

// Whether head leaves parts; else best finds them.
static bool leaves_parts(const struct Stage *stage) { return stage->range.rows == 1 && !stage->kernels->best; }

static void measure_all_parts(const struct Stage *stage, struct Measure *m, const struct HeadTrial *h)
{
    uint32_t sequence, position;
    size_t bytes = h->groups * sizeof(struct HeadPart);
    for (uint32_t r = 0; r < stage->rows && leaves_parts(stage); r++) {
        const float *logits = (const float *)h->logits->after + (size_t)r * stage->layer->vocab;
        if (stage_row(stage, r, &sequence, &position)) {
            measure_parts(m, (const struct HeadPart *)h->parts->after + r * h->groups, h->groups, logits,
                          stage->layer->size->vocab);
            memcpy(h->parts->after + r * bytes, h->parts->before + r * bytes, bytes);
        }
    }
    measure_untouched(m, h->parts);
}

// Rows of the logits are not padded with zeros: what is after the vocabulary must stay as it is.
static void measure_logits(const struct Stage *stage, struct Measure *m, struct HeadTrial *h, const double *want)
{
    uint32_t sequence, position, vocab = stage->layer->size->vocab;
    for (uint32_t r = 0; r < stage->rows; r++) {
        struct Strip strip = {(size_t)r * stage->layer->vocab, 1, vocab, vocab, vocab, false};
        if (stage_row(stage, r, &sequence, &position)) measure_row(m, h->logits, strip, want + (size_t)r * vocab);
    }
    measure_untouched(m, h->logits);
}

// One infinite weight makes one bad logit, which must be seen wherever it is.
static int bad_logit_is_seen(const struct Stage *stage, uint32_t id, struct Measure *m)
{
    const struct TestLayer *l = stage->layer;
    float *value = &l->wte.values[(size_t)id * l->embed_dim], kept = *value;
    struct Pool pool = {.kind = MEMORY_DEVICE, .block_bytes = (VkDeviceSize)1 << 16};
    struct Matrix w = {0};
    struct HeadTrial h;
    *value = INFINITY;
    int status = test_matrix_upload(stage->test, &pool, l->wte.values, axis_of(l->size->vocab), axis_of(l->embed_dim),
                                    l->size->weights, l->size->chunks, &w, NULL);
    *value = kept;
    if (!status) {
        head_make(stage, &w, &h);
        if (!h.t.status) head_run(stage, &w, &h);
        if (!h.t.status) measure_all_parts(stage, m, &h);
        status = trial_end(&h.t);
    }
    matrix_free(&w);
    pool_free(stage->test->device, &pool);
    return status;
}

int selftest_head(const struct Stage *stage)
{
    const struct TestLayer *l = stage->layer;
    const struct Product *p = &stage->kernels->head;
    struct HeadTrial h;
    double *in = head_make(stage, &l->wte.matrix, &h),
           *want = trial_scratch(&h.t, (size_t)stage->rows * l->size->vocab, sizeof *want);
    if (h.t.status) return trial_end(&h.t);
    reference_matmul(stage->rows, l->embed_dim, l->size->vocab, in, l->wte.values, NULL, want);
    head_run(stage, &l->wte.matrix, &h);
    struct Measure m = {0};
    if (!h.t.status) {
        measure_all_parts(stage, &m, &h);
        measure_logits(stage, &m, &h, want);
        measure_untouched(&m, h.x);
    }
    int status = trial_end(&h.t);
    if (!status && leaves_parts(stage) && l->size->vocab < 1000) {
        status = bad_logit_is_seen(stage, 0, &m);
        if (!status) status = bad_logit_is_seen(stage, l->size->vocab - 1, &m);
    }
    if (!status) report_product(stage, p, m, l->embed_dim);
    return status;
}

// ----------------------------------------------------------------------------------------------- best

#define BEST_GROUPS 3

int selftest_best(const struct Stage *stage)
{
    uint32_t vocab = stage->layer->size->vocab, sequence, position;
    size_t bytes = BEST_GROUPS * sizeof(struct HeadPart);
    double *values;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *logits = stage_input(stage, &t, axis_of(vocab), 171, 0.0, &values),
                 *parts = trial_array(&t, stage->rows * bytes);
    float *first = (float *)logits->before;
    if (!t.status) first[vocab - 1] = first[0] = 2.0f;                       // the lower of two maxima
    if (!t.status && vocab > 5) first[padded(vocab) + vocab - 2] = INFINITY; // of the second row, which may run or not
    trial_start(&t);
    if (!t.status)
        dispatch(&t.rec, stage->kernels->best, (struct Grid){BEST_GROUPS, stage->rows, 1},
                 BUFFERS(&state->slice, &logits->slice, &parts->slice),
                 ARGS(BestArgs, .range = stage->range, .vocab = vocab, .logits_stride = padded(vocab),
                      .groups = BEST_GROUPS));
    trial_finish(&t);
    struct Measure m = {0};
    for (uint32_t r = 0; r < stage->rows && !t.status; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        measure_parts(&m, (const struct HeadPart *)parts->after + r * BEST_GROUPS, BEST_GROUPS,
                      first + (size_t)r * padded(vocab), vocab);
        memcpy(parts->after + r * bytes, parts->before + r * bytes, bytes);
    }
    if (!t.status) {
        measure_untouched(&m, parts);
        stage_report(stage, stage->kernels->best, m, 0.0);
    }
    return trial_end(&t);
}

// ---------------------------------------------------------------------------------------------- score

static double reference_logprob(const double *logits, uint32_t vocab, uint32_t target)
{
    double most = -INFINITY, sum = 0.0;
    for (uint32_t i = 0; i < vocab; i++) most = fmax(most, logits[i]);
    for (uint32_t i = 0; i < vocab; i++) sum += exp(logits[i] - most);
    return logits[target] - most - log(sum);
}

// Compares a row of a block with float64. The first row has two maxima, the second a logit that is not finite.
static void measure_score(const struct Stage *stage, struct Measure *m, uint32_t row, const uint32_t *tokens,
                          const float *logits, double *values, const struct RowScore *score)
{
    uint32_t vocab = stage->layer->size->vocab, best = 0,
             target = tokens[stage->state[BLOCK_SEQUENCE].position + row + 1];
    for (uint32_t i = 0; i < vocab; i++) values[i] = (double)logits[i];
    for (uint32_t i = 1; i < vocab; i++)
        if (values[i] > values[best]) best = i;
    measure_true(m, score->likeliest == (row == 1 ? SCORE_BAD : best));
    if (row != 1) measure_number(m, fabs((double)score->logprob - reference_logprob(values, vocab, target)));
}

int selftest_score(const struct Stage *stage)
{
    uint32_t vocab = stage->layer->size->vocab, stride = stage->layer->size->context + 1, sequence, position;
    double *values;
    struct Trial t;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *tokens = trial_array(&t, (size_t)SEQUENCES * stride * 4),
                 *logits = stage_input(stage, &t, axis_of(vocab), 181, 3.0, &values),
                 *scores = trial_array(&t, stage->rows * sizeof(struct RowScore));
    float *first = (float *)logits->before;
    uint32_t *ids = (uint32_t *)tokens->before + BLOCK_SEQUENCE * stride;
    for (uint32_t i = 0; i < stride && !t.status; i++) ids[i] = trial_hash(182, i) % vocab;
    if (!t.status) first[vocab - 1] = first[0] = 9.0f;
    if (!t.status) first[padded(vocab) + vocab / 2] = NAN;
    trial_start(&t);
    if (!t.status)
        dispatch(&t.rec, stage->kernels->score, (struct Grid){1, stage->rows, 1},
                 BUFFERS(&state->slice, &tokens->slice, &logits->slice, &scores->slice),
                 ARGS(ScoreArgs, .vocab = vocab, .logits_stride = padded(vocab), .token_stride = stride));
    trial_finish(&t);
    struct Measure m = {0};
    for (uint32_t r = 0; r < stage->rows && !t.status; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        struct RowScore *score = (struct RowScore *)scores->after + r;
        measure_score(stage, &m, r, ids, first + (size_t)r * padded(vocab), values, score);
        memcpy(score, (struct RowScore *)scores->before + r, sizeof *score);
    }
    if (!t.status) {
        measure_untouched(&m, scores);
        stage_report(stage, stage->kernels->score, m, 1e-5);
    }
    return trial_end(&t);
}
