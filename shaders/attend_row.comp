// Attention of one query per head over the cache up to the query's own position (Vaswani et al. 2017, 3.2), in decode
// and in prefill. One workgroup per head and row takes TILE positions at a time, from a multiple of TILE on, with
// an online softmax (Milakov and Gimelshein 2018). Everything is added in the order of the positions, so that the bits
// depend on nothing else.
// variants: DETERMINISTIC PREFILL+DETERMINISTIC
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "cache.glsl"

// pairs of elements of a lane: ceil(head_dim / (2 SIZE))
layout(constant_id = CONSTANT_ATTEND_ROW_SHARES) const uint SHARES = 1;

layout(push_constant) uniform Push { AttendArgs a; };

layout(binding = 1) readonly buffer Q { vec4 q[]; };
layout(binding = 2) readonly buffer K { uvec4 k_cache[]; }; // [sequence][head][position][head_dim]
layout(binding = 3) readonly buffer V { uint v_cache[]; };
layout(binding = 4) writeonly buffer A { vec2 attention[]; }; // (rows, heads, head_dim)

#define HEAD_DIM a.head_dim
#define CHUNKS (HEAD_DIM / 8)
#define TILE SIZE

shared float weight[TILE];

// The score of the key in a row of the cache, with the query that begins at q[first].
float score(uint first, uint row)
{
    vec4 sums = vec4(0.0);
    for (uint c = 0; c < CHUNKS; c++) {
        vec4 low, high;
        CACHE8(k_cache, row, c, low, high)
        if (KV == KV_Q8_0) low = settled(low), high = settled(high);
        sums += q[first + 2 * c] * low;
        sums += q[first + 2 * c + 1] * high;
    }
    return settled(settled(sum4(sums)) * a.scale);
}

// The elements 2i and 2i + 1 of the value in a row of the cache.
vec2 value(uint row, uint i)
{
    uint at = row * (HEAD_DIM / 2) + i;
    if (KV == KV_F16) return unpackHalf2x16(v_cache[at]);
    if (KV == KV_F32) return uintBitsToFloat(uvec2(v_cache[2 * at], v_cache[2 * at + 1]));
    uint scales = v_cache[a.scales + row * SCALE_WORDS(HEAD_DIM) + i / 32], bytes = v_cache[at / 2] >> 16 * (at & 1);
    float scale = uintBitsToFloat((i & 16) == 0 ? scales << 16 : scales & 0xffff0000u);
    return settled(scale * bytes4(bytes).xy);
}

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    if (!row.runs) return;
    uint head = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x;
    uint query = (row.index * a.q_stride + head * HEAD_DIM) / 4;
    uint cache = (row.sequence * a.heads + head) * a.context; // row
    uint least = a.window > 0 && row.position >= a.window ? row.position + 1 - a.window : 0; // position that is seen

    float maximum = MINUS_INFINITY, sum = 0.0;
    vec2 values[SHARES];
    for (uint s = 0; s < SHARES; s++) values[s] = vec2(0.0);
    for (uint tile = least / TILE * TILE; tile <= row.position; tile += TILE) {
        uint p = tile + lane;
        bool seen = p >= least && p <= row.position;
        float own = MINUS_INFINITY;
        if (seen) own = score(query, cache + p);
        weight[lane] = own;
        barrier();
        float best = maximum;
        for (uint i = 0; i < TILE; i++) best = max(best, weight[i]);
        barrier();
        weight[lane] = seen ? exponential(settled(own - best)) : 0.0;
        barrier();

        float rescale = exponential(settled(maximum - best)), total = 0.0; // 0 for the first tile
        for (uint i = 0; i < TILE; i++) total += weight[i];
        sum = settled(sum * rescale) + total;
        maximum = best;
        uint first = max(tile, least), end = min(tile + TILE, row.position + 1);
        for (uint s = 0; s < SHARES; s++) {
            uint i = lane + s * SIZE;
            values[s] = settled(values[s] * rescale);
            if (i < HEAD_DIM / 2)
                for (uint j = first; j < end; j++) values[s] += weight[j - tile] * value(cache + j, i);
        }
        barrier();
    }

    float share = reciprocal(sum);
    for (uint s = 0; s < SHARES; s++) {
        uint i = lane + s * SIZE;
        if (i < HEAD_DIM / 2)
            attention[(row.index * a.heads + head) * (HEAD_DIM / 2) + i] = settled(settled(values[s]) * share);
    }
}
