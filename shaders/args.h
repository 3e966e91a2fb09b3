// Included by the C compiler and by glslang: the push constants of every kernel and the state that lives on the
// device. Every member is a 32-bit scalar, so both sides lay it out alike. Offsets and strides are in elements
// (floats) unless a comment says otherwise.
#ifndef VKGPT_ARGS_H
#define VKGPT_ARGS_H

#ifdef VKGPT_C
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
typedef uint32_t uint;
#define ARGS_FIT(name) static_assert(sizeof(struct name) <= 128, "push constants: 128 bytes at most")
#else
#define ARGS_FIT(name)
#endif

#define MAX_BUFFERS 8 // of a kernel: its bindings; MAX_BUFFERS + n is n as texels (gpu/texels.h)

// Values of specialization constants and of fields.
#define WEIGHTS_F32 0
#define WEIGHTS_F16 1
#define WEIGHTS_Q8_0 2 // from here on the quantised formats: weights.glsl
#define WEIGHTS_Q4_0 3
#define WEIGHTS_Q4_K 4
#define FORMATS 5

#define KV_F32 0
#define KV_F16 1
#define KV_Q8_0 2 // cache.glsl

#define ACTIVATE_GELU_TANH 0
#define ACTIVATE_GELU_ERF 1
#define ACTIVATE_RELU 2
#define ACTIVATE_SILU 3
#define ACTIVATE_QUICK_GELU 4
#define ACTIVATE_NONE 5

// Specialization constants by id: a shader declares `layout(constant_id = CONSTANT_...)`, the host sets
// constants[CONSTANT_...]. The shader's declaration says what a constant means. Two kernels may use one id for
// different things, except the first three.
#define CONSTANT_SIZE 0    // lanes of a workgroup
#define CONSTANT_WEIGHTS 1 // WEIGHTS_...
#define CONSTANT_KV 2      // KV_...

// qkv, project, expand, contract and head: product.glsl and the files that it includes. norm has four of them.
#define CONSTANT_PRODUCT_WIDTH 3
#define CONSTANT_PRODUCT_ROWS 4
#define CONSTANT_PRODUCT_STAGED 5
#define CONSTANT_PRODUCT_SUBGROUP 6
#define CONSTANT_PRODUCT_TOKENS 7
#define CONSTANT_PRODUCT_ACTIVATION 8 // ACTIVATE_..., of expand
#define CONSTANT_PRODUCT_MATRIX_M 9
#define CONSTANT_PRODUCT_MATRIX_N 10
#define CONSTANT_PRODUCT_MATRIX_K 11
#define CONSTANT_PRODUCT_LOADS 12
#define CONSTANT_PRODUCT_EARLY 13
#define CONSTANT_PRODUCT_MOST_HELD 14
#define CONSTANT_PRODUCT_HALVES_IN 15
#define CONSTANT_PRODUCT_HALVES_OUT 16
#define CONSTANT_PRODUCT_TILE_ROWS 17
#define CONSTANT_PRODUCT_TILE_OUTPUTS 18
#define CONSTANT_PRODUCT_DEPTH 19
#define CONSTANT_PRODUCT_SUBGROUPS_DOWN 20
#define CONSTANT_PRODUCT_BUFFERED 21
#define CONSTANT_PRODUCT_SEGMENT 22
#define CONSTANT_PRODUCT_SPLIT 23
#define CONSTANT_PRODUCT_TEAM 9 // DETERMINISTIC
#define PRODUCT_CONSTANTS 24    // how many there are, with the first three

// attend, attend_block, attend_software and attend_block_coopmat
#define CONSTANT_ATTEND_HEAD_DIM 3
#define CONSTANT_ATTEND_SPAN 4
#define CONSTANT_ATTEND_AHEAD 5
#define CONSTANT_ATTEND_BLOCK_QUERIES 4
#define CONSTANT_ATTEND_BLOCK_SHARES 5
#define CONSTANT_ATTEND_BLOCK_HALVES_OUT 6
#define CONSTANT_ATTEND_ROW_SHARES 3
#define CONSTANT_ATTEND_COOPMAT_TILE 4
#define CONSTANT_ATTEND_COOPMAT_SUBGROUP 5
#define CONSTANT_ATTEND_COOPMAT_MATRIX_M 6
#define CONSTANT_ATTEND_COOPMAT_MATRIX_N 7
#define CONSTANT_ATTEND_COOPMAT_MATRIX_K 8
#define CONSTANT_ATTEND_COOPMAT_DOWN 9
#define CONSTANT_ATTEND_COOPMAT_DEPTH 10
#define CONSTANT_ATTEND_COOPMAT_SCRATCH 11
#define CONSTANT_ATTEND_COOPMAT_TURNED 12
#define CONSTANT_ATTEND_COOPMAT_LOCKSTEP 13
#define CONSTANT_ATTEND_COOPMAT_HALVES_OUT 14
#define ATTEND_COOPMAT_CONSTANTS 15 // how many there are, with the first three

#define CONSTANT_MERGE_AHEAD 3
#define CONSTANT_SAMPLE_AHEAD 3

#define CONSTANT_PERSISTENT_DIM 3
#define CONSTANT_PERSISTENT_HEADS_WIDTH 4
#define CONSTANT_PERSISTENT_INNER 5
#define CONSTANT_PERSISTENT_SUBGROUP 6
#define CONSTANT_PERSISTENT_TOKENS 7
#define CONSTANT_PERSISTENT_ACTIVATION 8
#define CONSTANT_PERSISTENT_HEAD_DIM 9
#define CONSTANT_PERSISTENT_SPAN 10
#define CONSTANT_PERSISTENT_ATTEND_AHEAD 11
#define CONSTANT_PERSISTENT_LOADS 12
#define CONSTANT_PERSISTENT_MERGED_AHEAD 13
#define CONSTANT_PERSISTENT_MOST_HELD 14
#define CONSTANT_PERSISTENT_TEAM 15
#define CONSTANT_PERSISTENT_PRE_NORM 16
#define CONSTANT_PERSISTENT_QKV_WEIGHTS 17
#define CONSTANT_PERSISTENT_PROJECT_WEIGHTS 18
#define CONSTANT_PERSISTENT_EXPAND_WEIGHTS 19
#define CONSTANT_PERSISTENT_CONTRACT_WEIGHTS 20
#define CONSTANT_PERSISTENT_HEAD_WEIGHTS 21
#define CONSTANT_PERSISTENT_EMBED_WEIGHTS 22
#define CONSTANT_PERSISTENT_QKV_ROWS 23
#define CONSTANT_PERSISTENT_PROJECT_ROWS 24
#define CONSTANT_PERSISTENT_EXPAND_ROWS 25
#define CONSTANT_PERSISTENT_CONTRACT_ROWS 26
#define CONSTANT_PERSISTENT_HEAD_ROWS 27
#define CONSTANT_PERSISTENT_FINAL_NORM 28

#define HALF_NAN 0x7e00u          // a NaN in half precision
#define TWO_HALF_NANS 0x7e007e00u // a word of two

// Why a sequence stopped: in its state, and in the ring in place of a token, with RING_STOP set.
#define STOP_NONE 0
#define STOP_EOS 1
#define STOP_BAD_LOGITS 2
#define STOP_FULL 3 // all tokens that were asked for, or the context is full: the host knows which
#define RING_STOP 0x80000000u
#define RING_EMPTY 0xffffffffu // nothing written yet

#define MAX_EOS 16

// One sequence. The kernels read it, `sample` advances it; the host sets it between runs.
struct Sequence {
    uint position;  // of the token that the next step reads, at tokens[position]
    uint stop;      // STOP_NONE while it runs
    uint rows;      // tokens that the next step reads: one, and the drafts behind it
    uint remaining; // tokens still to be made
    uint context;   // positions in the cache
    uint seed_low, seed_high;
    uint top_k;
    float temperature, top_p, min_p, repeat_penalty;
    uint repeat_last_n;
    uint eos_count;
    uint eos[MAX_EOS];
    float presence, frequency; // penalties
    uint biases;               // how many: the first ones of its changes
    uint counted;              // different tokens that it has generated: their counts are its changes from MAX_BIAS on
    uint reports;              // 0, or 1 more than the likeliest tokens that come with each
    uint padding;              // to 144 bytes
};

// What changes the logit of a token: a bias (the bits of a float), or how often it was generated.
#define MAX_BIAS 1024
struct LogitChange {
    uint id, value;
};

// The state buffer, which the host sets and the kernels read: the groups of a prefill block, then the sequences.
#define GROUP_ROWS 16 // rows of a block that are of one sequence, at positions in a row
#define MAX_GROUPS 128
struct Group {
    uint sequence;
    uint position; // of its first row
    uint rows;     // how many of the GROUP_ROWS rows run
    uint padding;
};

// What the host changes on the device before a submission comes in an inbox: the groups of a block, and an admission
// for each sequence that starts, stops or gets tokens. Nothing of the other sequences changes.
#ifdef VKGPT_C
typedef struct Group Group; // as GLSL names them
typedef struct Range Range;
typedef struct Sequence Sequence;
typedef struct TokenLogprob TokenLogprob;
#endif
struct Admission {
    uint sequence;
    uint first, count; // its tokens at positions first .. first + count - 1
    uint at;           // the index of its first token in the inbox; its biases are behind its tokens, as pairs of words
    Sequence state;
};
struct InboxHead { // then the admissions
    uint admissions;
    uint copies; // the first ones of the words that come with it are these: CacheCopy
    uint padding[2];
    Group groups[MAX_GROUPS];
};

// Takes an inbox, a workgroup for each admission.
struct AdmitArgs {
    uint sequences;
    uint token_stride; // of the tokens array and of the ring, per sequence
};
ARGS_FIT(AdmitArgs);

// Of the rows of positions first .. end - 1 in the cache, from one sequence to another.
struct CacheCopy {
    uint from, to;
    uint first, end;
};
struct ShareArgs {
    uint sequences, heads, context;
    uint words, scale_words; // of a row, and of its scales: 0 where there are none
    uint scales;             // word of the cache at which the scales begin
};
ARGS_FIT(ShareArgs);

#define STEP_TILE 8 // rows of a decode step that one workgroup of a product makes at most, in steps of several rows

// The sequences of a decode step, and the rows of each: common.glsl, row_at. A block of prefill has groups instead.
struct Range {
    uint first, sequences; // first .. first + sequences - 1
    uint rows;             // of each sequence: its next token, and drafts
};

// x = wte[token] + wpe[position], or one of the two; dispatched once per chunk of wte's rows.
struct EmbedArgs {
    Range range;
    uint dim;             // padded width
    uint parts;           // EMBED_TOKEN, EMBED_POSITION or both
    uint first, count;    // rows of wte in this chunk
    uint vocab;           // a token past it is clamped
    uint token_stride;    // of the tokens array, per sequence
    uint position_offset; // row of wpe that stands for position 0
    uint scales;          // word at which this chunk's scales begin
};
#define EMBED_TOKEN 1
#define EMBED_POSITION 2
ARGS_FIT(EmbedArgs);

// n = (x - mean) / sqrt(variance + eps) * gain + bias
struct NormArgs {
    Range range;
    uint dim, stride; // true width; padded width
    uint gain, bias;  // in the layer's vectors
    float eps;
};
ARGS_FIT(NormArgs);

// y = W x + b, for qkv, project, expand, contract and head: W (count, width) is a chunk of the matrix's rows.
struct ProductArgs {
    Range range;
    uint first, count; // rows of W in this chunk: outputs first .. first + count - 1
    uint x_stride;     // per row of the input
    uint y_stride;     // per row of the output
    uint bias;         // in the layer's vectors; NO_BIAS: none
    // the norm before it
    uint dim, norm_gain, norm_bias;
    float eps;
    // attention's shape
    uint heads, head_dim; // padded head_dim
    uint context;         // positions in the cache
    uint span;            // positions in one split of the cache
    uint splits;          // that parts has room for
    uint outputs;         // of the whole matrix, without padding: the vocabulary
    uint groups;          // head: workgroups over all chunks
    uint first_group;     // head: of this chunk
    uint scales;          // word at which this chunk's scales begin
};
ARGS_FIT(ProductArgs);
#define NO_BIAS 0xffffffffu

// Writes K and V of a row into a cache in KV_Q8_0; qkv itself writes the other formats.
struct CacheArgs {
    Range range;
    uint heads, head_dim; // padded head_dim
    uint context;
    uint stride; // per row of q, k and v
    uint scales; // word of the cache at which its scales begin
};
ARGS_FIT(CacheArgs);

// Attention of one query per head over the cache, one range of positions per workgroup.
struct AttendArgs {
    Range range;
    uint heads, head_dim; // padded head_dim
    uint context;
    uint span, splits;
    float scale;
    uint q_stride; // per row
    uint window;   // a query at i sees the keys j with 0 <= i - j < window; 0: all
    uint scales;   // KV_Q8_0: word of the cache at which its scales begin
};
ARGS_FIT(AttendArgs);

// Drafts after the next token, copied from the last place where the newest tokens occurred before.
struct LookupArgs {
    Range range; // rows: the largest number of drafts, plus 1
    uint token_stride;
};
ARGS_FIT(LookupArgs);

// The maximum of each part of the logits, where head has not written it.
struct BestArgs {
    Range range;
    uint vocab;
    uint logits_stride;
    uint groups; // of a row
};
ARGS_FIT(BestArgs);

// The log probability of the token after each row of a block.
struct ScoreArgs {
    Range range;
    uint vocab;
    uint logits_stride;
    uint token_stride;
};
ARGS_FIT(ScoreArgs);

// How likely a token was, and the likeliest ones in its place: log softmax of the model's logits.
#define MAX_TOP 20
struct TokenLogprob {
    uint id;
    float logprob;
};
struct TokenReport {
    TokenLogprob token; // id: REPORT_BAD where a logit is not finite
    TokenLogprob top[MAX_TOP];
};
#define REPORT_BAD 0xffffffffu
#define REPORTS_KEPT 64 // of a sequence, and for each row of its steps: by position, modulo this

struct SampleArgs {
    Range range;
    uint vocab;
    uint logits_stride;
    uint groups; // parts of a row, as head or best wrote them
    uint token_stride;
};
ARGS_FIT(SampleArgs);

// The reports of the tokens after the rows of a block.
struct ReportArgs {
    Range range;
    uint vocab;
    uint logits_stride;
    uint token_stride;
};
ARGS_FIT(ReportArgs);

// copy: `count` pieces of 16 bytes, COPY_EACH of them per invocation
struct CopyArgs {
    uint count;
};
#define COPY_EACH 8
ARGS_FIT(CopyArgs);

// persistent: a list of kernels, its phases, run for each of `steps` tokens in one dispatch.
#define PHASE_EMBED 0
#define PHASE_QKV 1
#define PHASE_ATTEND 2
#define PHASE_PROJECT 3
#define PHASE_EXPAND 4
#define PHASE_CONTRACT 5
#define PHASE_HEAD 6
#define PHASE_SAMPLE 7
#define PHASE_NORM 8
#define PHASE_MERGE 9
#define PHASE_BEST 10
#define NO_PHASE 0xffffffffu

// One phase: what a dispatch of its kernel would be.
struct Phase {
    uint kernel;      // PHASE_...
    uint x, y, z;     // workgroups
    uint buffers[16]; // the address of each buffer, low word first
    uint args[32];    // its argument struct
};
#define PHASE_ARGS_AT 80 // bytes before args
#define PHASE_BYTES 208
#ifdef VKGPT_C
static_assert(sizeof(struct Phase) == PHASE_BYTES && offsetof(struct Phase, args) == PHASE_ARGS_AT,
              "as the kernel reads it");
#endif

struct PersistentArgs {
    uint steps, phases;
    uint sequences;
    uint turns;                     // of its waiting loop, before a workgroup gives up
    uint stays_away;                // tests: the barrier at which the first workgroup is missing; 0: none
    uint program_low, program_high; // address of the phases
};
ARGS_FIT(PersistentArgs);
#define TRIAL_MEETINGS 64 // of a run without phases, which finds out whether the workgroups can wait for each other
#define TRIAL_TURNS 70000 // more than a driver allows that ends long loops by itself

// The result of score, for each row.
struct RowScore {
    float logprob;  // of the next token of the text, in nats
    uint likeliest; // id, the lowest on ties; SCORE_BAD where a logit is not finite
};
#define SCORE_BAD 0xffffffffu

// The result of a workgroup of head or best, for sample.
struct HeadPart {
    float maximum; // of its logits
    uint index;    // of the maximum, the lowest on ties
    uint bad;      // 1: a NaN or an infinity
    uint padding;
};

#endif
