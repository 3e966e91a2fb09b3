// The selftest's own parts: a made-up layer of awkward sizes, the stage that kernels are tested on, and the report.
// selftest.c has the list of sizes; products.c, attention.c, report.c, lookup.c, admit.c, share.c and sample.c have
// what each kernel must give.
#ifndef VKGPT_SELFTEST_H
#define VKGPT_SELFTEST_H

#include "engine/kernels.h"
#include "selftest/reference.h"
#include "selftest/trial.h"

#define SEQUENCES 5      // in every trial
#define FIRST 1          // decode: the first of the range; those before and after the range run, but not in its steps
#define IN_RANGE 3       // decode: sequences of the range
#define STOPPED 2        // decode: this one of them has stopped, and nothing of it may change
#define BLOCK_SEQUENCE 3 // prefill: the one whose tokens run
#define MORE_SEQUENCE 1  // prefill: the one whose tokens run after them
#define SPARE_ROWS 3     // prefill: rows that the grid covers after the block, which must not change
#define DRAFT_ROWS 3     // decode of several rows: of each sequence
#define SELFTEST_EPS 1e-5f

struct Selftest {
    vkgpt_device *device;
    void (*on_result)(void *user, const vkgpt_selftest_result *result);
    void *user;
    size_t failures;
    vkgpt_error *err;
    bool deterministic; // the kernels of a deterministic session
    bool rest_only;     // what software drivers leave out: GPUs' kernels on the sizes that are not foreign
};

int selftest_run(struct Selftest *test); // all of it; `failures` counts

__attribute__((format(printf, 5, 6))) void selftest_report(struct Selftest *test, const char *kernel, double error,
                                                           double bound, const char *size, ...);

// Sizes of a layer and its surroundings, without padding.
struct LayerSize {
    uint32_t dim, heads, head_dim, inner, vocab;
    uint32_t context, span;
    uint32_t rows, first;      // prefill: tokens of the block, and the position of its first
    uint32_t more, more_first; // the same of another sequence, in the groups after it
    uint32_t chunks;           // that a matrix is cut into, about
    uint32_t weights, kv;      // formats
    enum Activation activation;
    double mean;        // of the rows that a norm gets
    float scale;        // of attention; 0: 1 / sqrt(head_dim)
    uint32_t window;    // positions that a query looks back on; 0: all
    uint32_t embed_dim; // of the embedding; 0: dim
    uint32_t position_offset;
    bool post_norm;    // no product computes its own norm
    bool small_shared; // as if the device had too little shared memory to stage an input
    bool foreign;      // tried with several rows of a sequence, and with the GPUs' variants on software drivers, too
};

// A matrix (out, in) as the reference reads it, and as the kernels do.
struct LayerMatrix {
    uint32_t out, in;
    float *values;
    struct Matrix matrix;
};

struct TestLayer {
    const struct LayerSize *size;
    uint32_t embed_dim;                          // without padding
    uint32_t dim, head_dim, width, inner, vocab; // padded
    struct LayerMatrix wte, wpe, c_attn, c_proj, c_fc, c_out;
    struct LayerMatrix embed_up, embed_down; // where the embedding has a width of its own
    float *gain, *norm_bias, *attn_bias, *proj_bias, *fc_bias, *out_bias;
    uint32_t at_gain, at_norm_bias, at_attn, at_proj, at_fc, at_out; // in vectors, in floats
    struct Slice vectors;
    struct Pool pool;
};

int test_layer_open(struct Selftest *test, const struct LayerSize *size, struct TestLayer *layer);
void test_layer_close(struct Selftest *test, struct TestLayer *layer);
// Uploads values (out, in), padded along both axes, in about `chunks` chunks. `held` (out, in) gets the values on the
// device, which a quantised format rounds; it may be `values` or NULL.
int test_matrix_upload(struct Selftest *test, struct Pool *pool, const float *values, struct Axis out, struct Axis in,
                       uint32_t format, uint32_t chunks, struct Matrix *matrix, float *held);
// Writes a padded row in a quantised format, as weights.glsl reads it, into zeroed memory; `row` gets the values there.
void selftest_small_row(uint32_t format, double *row, uint32_t in, uint8_t *quants, uint8_t *scales);

// What a kernel is tested with: a layer, the variant of the kernels, and which sequence runs at which position.
struct Stage {
    struct Selftest *test;
    const struct TestLayer *layer;
    const struct Kernels *kernels;
    bool prefill;
    struct Range range; // decode: what a step runs
    uint32_t rows;      // that the grid covers
    bool halves;        // stage_input writes halves, and stage_measure reads halves
    struct Sequence state[SEQUENCES];
    struct Group groups[MAX_GROUPS]; // prefill: of the block
    uint32_t group_count;
};

// step_rows 0: prefill.
struct Stage stage_make(struct Selftest *test, const struct TestLayer *layer, const struct Kernels *kernels,
                        uint32_t step_rows);
// The same with arrays of halves, or of floats.
struct Stage stage_with(const struct Stage *stage, bool halves);
// Prefill: the same block from the second row of each sequence on, if there is one, and the sequences in the opposite
// order.
struct Stage stage_shifted(const struct Stage *stage);
// Puts a sequence at a position, with as many rows of a step as the context has room for.
void stage_place(struct Stage *stage, uint32_t sequence, uint32_t position);
// Whether a row runs, and which sequence and position it has.
bool stage_row(const struct Stage *stage, uint32_t row, uint32_t *sequence, uint32_t *position);
// The contents of State in common.glsl, sequences or the groups of a block, as an array of a trial.
struct Array *stage_state(const struct Stage *stage, struct Trial *trial);
// Rows of the grid as an array. Those that run are filled with random numbers, which `values` (rows, size) gets too.
struct Array *stage_input(const struct Stage *stage, struct Trial *trial, struct Axis axis, uint32_t seed,
                          double offset, double **values);
struct Array *stage_output(const struct Stage *stage, struct Trial *trial, uint32_t stride);
// Made-up parts, as attend writes them for rows of decode; `merged` (rows, heads, head_dim) gets the merged values.
struct Array *stage_parts(const struct Stage *stage, struct Trial *trial, double **merged);
// Compares the rows that run with `want` (rows, axis without padding); the other rows must be untouched.
void stage_measure(const struct Stage *stage, struct Measure *measure, struct Array *array, struct Axis axis,
                   const double *want);
void stage_report(const struct Stage *stage, const struct Pipeline *pipeline, struct Measure measure, double bound);
struct ProductArgs stage_product_args(const struct Stage *stage);
struct Axis axis_of(uint32_t n); // one run
struct Axis axis_heads(const struct TestLayer *layer, uint32_t parts);

// Each runs its kernel in the stage's variant and reports; returns a failure of the device, not of the kernel.
int selftest_embed(const struct Stage *stage);
int selftest_norm(const struct Stage *stage);
int selftest_qkv(const struct Stage *stage);
int selftest_project(const struct Stage *stage);
int selftest_expand(const struct Stage *stage);
int selftest_contract(const struct Stage *stage);
int selftest_head(const struct Stage *stage);
int selftest_project_embedding(const struct Stage *stage);
int selftest_cache(const struct Stage *stage);
int selftest_attend(const struct Stage *stage);
int selftest_merge(const struct Stage *stage);
int selftest_attend_block(const struct Stage *stage);
int selftest_attend_block_spoiled(const struct Stage *stage);
int selftest_best(const struct Stage *stage);
int selftest_score(const struct Stage *stage);
int selftest_reports(const struct Stage *stage);
// Whether a report is that of a token and of the `top` likeliest ones, by its row of logits.
bool selftest_report_holds(const struct TokenReport *report, const float *logits, uint32_t vocab, uint32_t token,
                           uint32_t top);
int selftest_sample(struct Selftest *test, const struct Pipeline *sample);
int selftest_lookup(struct Selftest *test, const struct Pipeline *lookup);
int selftest_admit(struct Selftest *test, const struct Pipeline *admit);
int selftest_share(struct Selftest *test, const struct Pipeline *share);
// A state for a trial: groups, which no decode kernel reads, then `count` sequences and the spare ones.
struct Array *selftest_state(struct Trial *trial, const struct Sequence *sequences, uint32_t count);
struct Sequence *selftest_sequences(uint8_t *state);

#endif
