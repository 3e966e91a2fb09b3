// What all kernels share: the workgroup, reductions, the formats of weights and cache, rows and sequences.

#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_EXT_control_flow_attributes : require

#include "args.h"

// Lanes of a workgroup. The specialization constant is named a second time, because some drivers compile arrays sized
// by gl_WorkGroupSize wrongly.
layout(local_size_x_id = CONSTANT_SIZE) in;
layout(constant_id = CONSTANT_SIZE) const uint SIZE = 128;

#ifndef PERSISTENT // it has a format for each product
layout(constant_id = CONSTANT_WEIGHTS) const uint WEIGHTS = WEIGHTS_F16;
#endif
layout(constant_id = CONSTANT_KV) const uint KV = KV_F16;

// ---- buffers that a kernel reads in 128 bits, as `uvec4 name[]` or `vec4 name[]`
//
// lavapipe makes a loop over the lanes of a load from a storage buffer, but loads a texel for all lanes together. So the
// variants TEXELS read such a buffer as texels, as which it is bound a second time (gpu/texels.h).

#ifdef TEXELS
#define READ_WORDS(number, Block, name) layout(binding = MAX_BUFFERS + number, rgba32ui) uniform readonly uimageBuffer name
#define READ_QUADS READ_WORDS
#define WORDS(name, i) imageLoad(name, int(i))
#define QUAD(name, i) uintBitsToFloat(imageLoad(name, int(i)))
#else
#define READ_WORDS(number, Block, name) layout(binding = number) readonly buffer Block { uvec4 name[]; }
#define READ_QUADS(number, Block, name) layout(binding = number) readonly buffer Block { vec4 name[]; }
#define WORDS(name, i) name[i]
#define QUAD(name, i) name[i]
#endif

// ---- reductions: the one place that adds across lanes, in an order that depends on the device alone

shared vec2 reduce_scratch[SIZE]; // by subgroup

// Lanes in this subgroup, where all of them call it. Not gl_SubgroupSize, which may be larger than what the driver
// runs.
uint subgroup_lanes() { return subgroupAdd(1u); }

#ifdef DETERMINISTIC
#include "deterministic.glsl"
#else
#define DIVIDED(x, y) ((x) / (y))
#define SETTLED(x) (x)

vec2 workgroup_sum(vec2 value)
{
    value = subgroupAdd(value);
    if (subgroupElect()) reduce_scratch[gl_SubgroupID] = value;
    barrier();
    vec2 total = vec2(0.0);
    for (uint i = 0; i < gl_NumSubgroups; i++) total += reduce_scratch[i];
    barrier();
    return total;
}
#endif

float workgroup_sum(float value) { return workgroup_sum(vec2(value, 0.0)).x; }

float workgroup_max(float value)
{
    value = subgroupMax(value);
    if (subgroupElect()) reduce_scratch[gl_SubgroupID].x = value;
    barrier();
    float best = reduce_scratch[0].x;
    for (uint i = 1; i < gl_NumSubgroups; i++) best = max(best, reduce_scratch[i].x);
    barrier();
    return best;
}

// ---- numbers

#define MINUS_INFINITY uintBitsToFloat(0xff800000u)

float sum4(vec4 v) { return (v.x + v.y) + (v.z + v.w); }

// 8 halves in 16 bytes
void unpack8(uvec4 q, out vec4 low, out vec4 high)
{
    low = vec4(unpackHalf2x16(q.x), unpackHalf2x16(q.y));
    high = vec4(unpackHalf2x16(q.z), unpackHalf2x16(q.w));
}

// Four bytes, signed.
vec4 bytes4(uint word) { return vec4(ivec4(uvec4(word << 24, word << 16, word << 8, word)) >> 24); }

// NaN or infinity, by the bits: compilers may take isnan() for false
bool is_bad(float x) { return (floatBitsToUint(x) & 0x7f800000u) == 0x7f800000u; }

// ---- rows: in a prefill block, tokens of any sequences, in groups; in a decode step, the next tokens of each
// sequence of its range

#ifndef STATE_ACCESS
#define STATE_ACCESS readonly
#endif
layout(binding = 0) STATE_ACCESS buffer State { Group groups[MAX_GROUPS]; Sequence state[]; };

struct Row {
    uint index;    // in the activations
    uint sequence; // in the state and the cache
    uint position; // of its token
    bool runs;
};

#ifdef PREFILL
#define NEIGHBOURS GROUP_ROWS // of these rows the first one runs if any does
Row row_at(uint index, Range range)
{
    Group group = groups[min(index / GROUP_ROWS, MAX_GROUPS - 1)];
    uint offset = index - min(index / GROUP_ROWS, MAX_GROUPS - 1) * GROUP_ROWS;
    return Row(index, group.sequence, group.position + offset, offset < group.rows);
}
#else
#define NEIGHBOURS 1
#ifdef PERSISTENT // it runs all sequences, with a row of each: what it need not read takes no register
uint first_of(Range range) { return 0; }
uint rows_of(Range range) { return 1; }
#else
uint first_of(Range range) { return range.first; }
uint rows_of(Range range) { return range.rows; }
#endif

Row row_at(uint index, Range range) // past the range: one that does not run
{
    uint number = index / rows_of(range), offset = index % rows_of(range);
    uint sequence = first_of(range) + min(number, range.sequences - 1);
    uint position = state[sequence].position, stop = state[sequence].stop, rows = state[sequence].rows;
    // no branch, so that the loads go out together
    bvec3 runs = bvec3(number < range.sequences, stop == STOP_NONE, offset < rows);
    return Row(index, sequence, position + offset, all(runs));
}
#endif

bool any_runs(uint first, uint count, Range range)
{
    bool runs = false;
    for (uint i = 0; i < count; i += NEIGHBOURS) runs = runs || row_at(first + i, range).runs;
    return runs;
}
