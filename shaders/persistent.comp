// Many decode steps as one dispatch. The workgroups stay resident and run the kernels of a step, its phases, one after
// the other; between two phases all workgroups wait for each other. A phase includes the same files as its kernel, and
// the list of phases is the list of dispatches that the host would have made.
//
// Buffers are addresses, since each phase has its own. Memory that one workgroup writes and another reads is coherent.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#define PERSISTENT
#define STATE_ACCESS coherent
#include "common.glsl"

layout(constant_id = CONSTANT_PERSISTENT_DIM) const uint DIM = 768; // padded
layout(constant_id = CONSTANT_PERSISTENT_HEADS_WIDTH) const uint HEADS_WIDTH = 768;
layout(constant_id = CONSTANT_PERSISTENT_INNER) const uint INNER = 3072;
layout(constant_id = CONSTANT_PERSISTENT_SUBGROUP) const uint SUBGROUP = 32;
layout(constant_id = CONSTANT_PERSISTENT_TOKENS) const uint TOKENS = 1; // rows of a step
layout(constant_id = CONSTANT_PERSISTENT_ACTIVATION) const uint ACTIVATION = ACTIVATE_GELU_TANH;
layout(constant_id = CONSTANT_PERSISTENT_HEAD_DIM) const uint HEAD_DIM = 64;
layout(constant_id = CONSTANT_PERSISTENT_SPAN) const uint SPAN = 64;
layout(constant_id = CONSTANT_PERSISTENT_ATTEND_AHEAD) const uint ATTEND_AHEAD = 8;
layout(constant_id = CONSTANT_PERSISTENT_LOADS) const uint LOADS = 12;
layout(constant_id = CONSTANT_PERSISTENT_MERGED_AHEAD) const uint MERGED_AHEAD = 8;
layout(constant_id = CONSTANT_PERSISTENT_MOST_HELD) const uint MOST_HELD = 16;
layout(constant_id = CONSTANT_PERSISTENT_TEAM) const uint TEAM = 128;
layout(constant_id = CONSTANT_PERSISTENT_PRE_NORM) const uint PRE_NORM = 1; // 0: qkv and expand read x as it is
layout(constant_id = CONSTANT_PERSISTENT_QKV_WEIGHTS) const uint QKV_WEIGHTS = WEIGHTS_F16;
layout(constant_id = CONSTANT_PERSISTENT_PROJECT_WEIGHTS) const uint PROJECT_WEIGHTS = WEIGHTS_F16;
layout(constant_id = CONSTANT_PERSISTENT_EXPAND_WEIGHTS) const uint EXPAND_WEIGHTS = WEIGHTS_F16;
layout(constant_id = CONSTANT_PERSISTENT_CONTRACT_WEIGHTS) const uint CONTRACT_WEIGHTS = WEIGHTS_F16;
layout(constant_id = CONSTANT_PERSISTENT_HEAD_WEIGHTS) const uint HEAD_WEIGHTS = WEIGHTS_F16;
layout(constant_id = CONSTANT_PERSISTENT_EMBED_WEIGHTS) const uint EMBED_WEIGHTS = WEIGHTS_F16;
layout(constant_id = CONSTANT_PERSISTENT_QKV_ROWS) const uint QKV_ROWS = 2;
layout(constant_id = CONSTANT_PERSISTENT_PROJECT_ROWS) const uint PROJECT_ROWS = 2;
layout(constant_id = CONSTANT_PERSISTENT_EXPAND_ROWS) const uint EXPAND_ROWS = 2;
layout(constant_id = CONSTANT_PERSISTENT_CONTRACT_ROWS) const uint CONTRACT_ROWS = 2;
layout(constant_id = CONSTANT_PERSISTENT_HEAD_ROWS) const uint HEAD_ROWS = 2;
layout(constant_id = CONSTANT_PERSISTENT_FINAL_NORM) const uint FINAL_NORM = 1;
#define EARLY 1

layout(push_constant) uniform Push { PersistentArgs run; };

layout(binding = 1) readonly buffer Program { Phase phases[]; };
layout(binding = 2) volatile buffer Meeting { uint arrived, gave_up; };
layout(binding = 3) writeonly buffer Outcome { uint outcome; }; // the host reads it

#define WRITTEN layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer
#define CONSTANT layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer
CONSTANT Weights { uvec4 at[]; };
CONSTANT Vectors { vec4 at[]; };
WRITTEN Quads { vec4 at[]; };
WRITTEN Pairs { vec2 at[]; };
WRITTEN Floats { float at[]; };
WRITTEN Words { uint at[]; };
WRITTEN Eights { uvec4 at[]; }; // of the cache
WRITTEN HeadParts { HeadPart at[]; };
WRITTEN Changes { LogitChange at[]; };
WRITTEN Reports { TokenReport at[]; };
CONSTANT EmbedArgsAt { EmbedArgs args; };
CONSTANT ProductArgsAt { ProductArgs args; };
CONSTANT AttendArgsAt { AttendArgs args; };
CONSTANT NormArgsAt { NormArgs args; };
CONSTANT BestArgsAt { BestArgs args; };
CONSTANT SampleArgsAt { SampleArgs args; };

#define GROUP gl_WorkGroupID.x
#define GROUPS gl_NumWorkGroups.x
#define ONE_ROW (TOKENS == 1)
#define LARGER(x, y) ((x) > (y) ? (x) : (y))

// ---- the running phase: its buffers, by type and binding, and its arguments. They are variables, because glslang 12
// crashes on stores through a reference that is not a variable.

Weights weights_at, weights_3;
Vectors vectors_2;
Quads quads_1, quads_2, quads_3, quads_4;
Pairs pairs_4;
Floats floats_1, floats_4;
Words words_1, words_4, words_5, words_6;
Eights eights_2, eights_3;
HeadParts parts_2, parts_3, parts_5;
uvec2 args_at;

uvec2 buffer_at(uint i, uint b) { return uvec2(phases[i].buffers[2 * b], phases[i].buffers[2 * b + 1]); }

void phase_load(uint i)
{
    uvec2 at[7];
    [[unroll]] for (uint b = 1; b < 7; b++) at[b] = buffer_at(i, b);
    weights_at = Weights(at[1]), weights_3 = Weights(at[3]);
    vectors_2 = Vectors(at[2]);
    quads_1 = Quads(at[1]), quads_2 = Quads(at[2]), quads_3 = Quads(at[3]), quads_4 = Quads(at[4]);
    pairs_4 = Pairs(at[4]);
    floats_1 = Floats(at[1]), floats_4 = Floats(at[4]);
    words_1 = Words(at[1]), words_4 = Words(at[4]), words_5 = Words(at[5]), words_6 = Words(at[6]);
    eights_2 = Eights(at[2]), eights_3 = Eights(at[3]);
    parts_2 = HeadParts(at[2]), parts_3 = HeadParts(at[3]), parts_5 = HeadParts(at[5]);
    uint low = run.program_low + i * PHASE_BYTES + PHASE_ARGS_AT;
    args_at = uvec2(low, run.program_high + (low < run.program_low ? 1 : 0));
}

// ---- products: all subgroups of the device take outputs in turn

ProductArgs product_args;
#define a product_args
#define weights weights_at.at
#define vectors vectors_2.at
#define inputs quads_3.at
#define normed(i) staged(i)
#define OUTPUTS(rows) 0, (gl_SubgroupID * GROUPS + GROUP) * (rows), gl_NumSubgroups * GROUPS * (rows), a.count

#include "product_common.glsl"
#include "weights.glsl"
#include "activation.glsl"
#include "merged.glsl"
const uint MOST_STAGED = ONE_ROW ? STAGED_QUADS(LARGER(INNER, LARGER(DIM, HEADS_WIDTH))) : 1;
shared vec4 staged_x[LARGER(MOST_STAGED, 2 * SIZE)];
#define partial staged_x

#define PHASE(name) qkv_##name
#define WIDTH DIM
#define ROWS QKV_ROWS
#define WEIGHTS QKV_WEIGHTS
#define STAGED (ONE_ROW ? PRE_NORM : 0)
#define q pairs_4.at
#define k_cache words_5.at
#define v_cache words_6.at
#include "qkv.glsl"
#include "staged_norm.glsl"
#include "product_rows.glsl"
#undef PHASE
#undef ROWS
#undef WEIGHTS
#undef q
#undef k_cache
#undef v_cache

#define PHASE(name) expand_##name
#define ROWS EXPAND_ROWS
#define WEIGHTS EXPAND_WEIGHTS
#define h pairs_4.at
#include "expand.glsl"
#include "staged_norm.glsl"
#include "product_rows.glsl"
#undef PHASE
#undef ROWS
#undef WEIGHTS
#undef STAGED
#undef h

#define PHASE(name) head_##name
#define ROWS HEAD_ROWS
#define WEIGHTS HEAD_WEIGHTS
#define STAGED (ONE_ROW ? FINAL_NORM : 0)
#define LEAVES_PARTS ONE_ROW
#define logits floats_4.at
#define parts parts_5.at
#include "head.glsl"
#include "staged_norm.glsl"
#include "product_rows.glsl"
#undef PHASE
#undef WIDTH
#undef ROWS
#undef WEIGHTS
#undef STAGED
#undef logits
#undef parts

#define RESIDUAL
#define STAGED (ONE_ROW ? 1 : 0)
#define y_rows pairs_4.at

#define PHASE(name) project_##name
#define WIDTH HEADS_WIDTH
#define ROWS PROJECT_ROWS
#define WEIGHTS PROJECT_WEIGHTS
#include "project.glsl"
#include "residual.glsl"
#include "product_rows.glsl"
#undef PHASE
#undef WIDTH
#undef ROWS
#undef WEIGHTS

#define PHASE(name) contract_##name
#define WIDTH INNER
#define ROWS CONTRACT_ROWS
#define WEIGHTS CONTRACT_WEIGHTS
void PHASE(stage)(Row row) // all subgroups read it, and not from the multiprocessor's own cache
{
    for (uint i = gl_LocalInvocationID.x; i < WIDTH / 4; i += SIZE)
        staged(i) = inputs[row.index * (a.x_stride / 4) + i];
    barrier();
}
#include "residual.glsl"
#include "product_rows.glsl"
#undef PHASE
#undef WIDTH
#undef ROWS
#undef WEIGHTS
#undef STAGED
#undef normed
#undef AHEAD

void product(uint i, uint kernel)
{
    phase_load(i);
    product_args = ProductArgsAt(args_at).args;
    if (kernel == PHASE_QKV) qkv_outputs(OUTPUTS(QKV_ROWS));
    else if (kernel == PHASE_PROJECT) project_outputs(OUTPUTS(PROJECT_ROWS));
    else if (kernel == PHASE_EXPAND) expand_outputs(OUTPUTS(EXPAND_ROWS));
    else if (kernel == PHASE_CONTRACT) contract_outputs(OUTPUTS(CONTRACT_ROWS));
    else {
        parts_begin();
        head_outputs(OUTPUTS(HEAD_ROWS));
        parts_end(0, GROUP);
    }
}

// One row for each workgroup.

void merge(uint i, uint rows)
{
    phase_load(i);
    product_args = ProductArgsAt(args_at).args;
    quads_3 = quads_1;
    for (uint row = GROUP; row < rows; row += GROUPS) {
        Row r = row_at(row, a.range);
        for (uint i = gl_LocalInvocationID.x; r.runs && i < HEADS_WIDTH / 4; i += SIZE)
            quads_2.at[row * (a.y_stride / 4) + i] = merged(r, i);
    }
}
#undef a

uint normed_first;
#define PHASE(name) norm_##name
#define WIDTH DIM
#define normed(i) quads_4.at[normed_first + (i)]
#define IN_PLACE
#include "norm_subgroup.glsl"
#undef PHASE
#undef WIDTH
#undef normed

void norm(uint i, uint rows)
{
    phase_load(i);
    NormArgs a = NormArgsAt(args_at).args;
    vectors_2 = Vectors(buffer_at(i, 1)), quads_4 = quads_3, quads_3 = quads_2;
    for (uint row = GROUP; row < rows; row += GROUPS) {
        normed_first = row * (a.stride / 4);
        if (row_at(row, a.range).runs) norm_norm_row(normed_first, a.dim, a.gain, a.bias, a.eps);
        barrier();
    }
}

// ---- the other phases

EmbedArgs embed_args;
#define a embed_args
#define WEIGHTS EMBED_WEIGHTS
#define tokens words_1.at
#define wpe weights_3.at
#define embedded quads_4.at
#include "embed.glsl"
#undef a
#undef WEIGHTS
#undef tokens
#undef wpe
#undef embedded

AttendArgs attend_args;
#define a attend_args
#define AHEAD ATTEND_AHEAD
#define q quads_1.at
#define k_cache eights_2.at
#define v_cache eights_3.at
#define parts quads_4.at
#include "attend.glsl"
#undef a
#undef AHEAD
#undef q
#undef k_cache
#undef v_cache
#undef parts

BestArgs best_args;
#define a best_args
#define logits floats_1.at
#define parts parts_2.at
#include "best.glsl"
#undef a
#undef logits
#undef parts

SampleArgs sample_args;
uint sample_phase; // addresses that are rarely used are read where they are: else they take scalar registers
#define a sample_args
#define tokens words_1.at
#define logits4 quads_2.at
#define ring Words(buffer_at(sample_phase, 4)).at
#define parts parts_3.at
#define changes Changes(buffer_at(sample_phase, 5)).at
#define kept4 Quads(buffer_at(sample_phase, 6)).at
#define token_reports Reports(buffer_at(sample_phase, 7)).at
#define SAMPLE_AHEAD 8
#include "sample.glsl"
#undef a

// All teams of the device take heads, rows and ranges of the cache in turn; neighbours go to different workgroups.
void attend_all(uint i, uint rows)
{
    phase_load(i);
    attend_args = AttendArgsAt(args_at).args;
    uint splits = 1;
    for (uint row = 0; row < rows; row++) splits = max(splits, row_at(row, attend_args.range).position / SPAN + 1);
    uint each = attend_args.heads * min(splits, attend_args.splits), jobs = each * rows;
    for (uint first = GROUP; first < jobs; first += GROUPS * TEAMS) {
        uint job = first + team() * GROUPS, within = job % each;
        attend(within % attend_args.heads, min(job / each, rows - 1), within / attend_args.heads, job < jobs);
        barrier();
    }
}

void embed_all(uint i, uint rows)
{
    phase_load(i);
    embed_args = EmbedArgsAt(args_at).args;
    weights_at = Weights(buffer_at(i, 2));
    for (uint row = GROUP; row < rows; row += GROUPS) embed(row);
}

void best_all(uint i, uint rows)
{
    phase_load(i);
    best_args = BestArgsAt(args_at).args;
    for (uint job = GROUP; job < best_args.groups * rows; job += GROUPS) {
        best(job / best_args.groups, job % best_args.groups);
        barrier();
    }
}

void sample_all(uint i, uint sequences)
{
    phase_load(i);
    sample_args = SampleArgsAt(args_at).args;
    sample_phase = i;
    for (uint number = GROUP; number < sequences; number += GROUPS) {
        sample_sequence(number);
        barrier();
    }
}

// ---- the barrier across all workgroups

uint meetings = 0;
shared bool all_here;

// After a barrier in the workgroup one lane makes the workgroup's stores visible, counts the workgroup in, and waits
// for the others. False: the others did not arrive in time, and the kernel must end.
bool meet()
{
    meetings++;
    groupMemoryBarrier();
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        memoryBarrierBuffer();
        if (GROUP != 0 || meetings != run.stays_away) atomicAdd(arrived, 1);
        uint target = meetings * GROUPS, turns = 0;
        while (arrived < target && turns < run.turns) turns++;
        all_here = arrived >= target; // also false where the driver has ended the loop
        // nobody reads the number of turns; it keeps optimisers from removing the loop
        if (!all_here) { gave_up = 1 + turns; outcome = 1 + turns; }
        memoryBarrierBuffer();
    }
    barrier();
    return all_here;
}

// With no phases, a trial: whether loops run to their end on this driver, and whether all workgroups can wait for each
// other.
void trial()
{
    if (GROUPS == 1 && gl_LocalInvocationIndex == 0) {
        uint turns = 0, x = run.turns; // x has its first value again after 2^32 turns
        do x = 1664525 * x + 1013904223; while (++turns < TRIAL_TURNS && x != run.turns);
        if (turns < TRIAL_TURNS) { gave_up = 1; outcome = 1; }
    }
    for (uint i = 0; i < TRIAL_MEETINGS; i++)
        if (!meet()) return;
}

bool any_sequence_runs()
{
    for (uint i = 0; i < run.sequences; i++)
        if (state[i].stop == STOP_NONE) return true;
    return false;
}

void phase(uint i)
{
    uint kernel = phases[i].kernel, rows = phases[i].y;
    switch (kernel) {
    case PHASE_EMBED: embed_all(i, rows); break;
    case PHASE_ATTEND: attend_all(i, rows); break;
    case PHASE_SAMPLE: sample_all(i, phases[i].x); break;
    case PHASE_NORM: norm(i, rows); break;
    case PHASE_MERGE: merge(i, rows); break;
    case PHASE_BEST: best_all(i, rows); break;
    default: product(i, kernel); break;
    }
}

void main()
{
    if (gl_LocalInvocationIndex == 0) all_here = gave_up == 0; // all lanes see the same value, even if it changes
    barrier();
    if (!all_here) return; // an earlier submission gave up: the host goes on with dispatches
    if (run.phases == 0) trial();
    for (uint step = 0; step < run.steps && any_sequence_runs(); step++)
        for (uint i = 0; i < run.phases; i++) {
            phase(i);
            if (!meet()) return;
        }
}
