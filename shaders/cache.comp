// Quantises the K and V of qkv into a cache of bytes: each 32 elements of a head share a scale, w = scale * q, like
// GGML's Q8_0. The scale has the range of a float: it is the upper half of one (bfloat16), because the smallest normal
// half is 6e-5, and some devices make smaller ones zero. One lane per 64 elements of a head, whose two scales share a
// word; z = 0 writes K, z = 1 writes V.
#version 460
#extension GL_GOOGLE_include_directive : require
// variants: - PREFILL DETERMINISTIC PREFILL+DETERMINISTIC
#include "common.glsl"
#include "cache.glsl"

layout(push_constant) uniform Push { CacheArgs a; };

layout(binding = 1) readonly buffer Q { vec4 q[]; };        // (rows, 3 heads head_dim): q, k, v
layout(binding = 2) writeonly buffer K { uint k_cache[]; }; // cache.glsl
layout(binding = 3) writeonly buffer V { uint v_cache[]; };

void put(uint word, uint value)
{
    if (gl_WorkGroupID.z == 0) k_cache[word] = value;
    else v_cache[word] = value;
}

uint pack4(vec4 v)
{
    uvec4 bytes = uvec4(ivec4(roundEven(v))) & 255u;
    return bytes.x | bytes.y << 8 | bytes.z << 16 | bytes.w << 24;
}

// Writes `quads` times four numbers, from q[from] on, to the words of the cache from `to` on. Returns their scale,
// rounded up so that the largest quant is at most 127.
uint quantise(uint from, uint quads, uint to)
{
    float most = 0.0;
    for (uint i = 0; i < quads; i++) {
        vec4 v = abs(q[from + i]);
        most = max(most, max(max(v.x, v.y), max(v.z, v.w)));
    }
    uint scale = (floatBitsToUint(DIVIDED(most, 127.0)) + 0xffffu) >> 16;
    float held = uintBitsToFloat(scale << 16), inverse = held > 0.0 ? DIVIDED(1.0, held) : 0.0; // of the scale as it is stored
    for (uint i = 0; i < quads; i++) put(to + i, pack4(clamp(q[from + i] * inverse, -127.0, 127.0)));
    return scale;
}

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    uint words = SCALE_WORDS(a.head_dim), lane = gl_GlobalInvocationID.x;
    if (!row.runs || lane >= a.heads * words) return;
    uint head = lane / words, word = lane % words, quads = a.head_dim / 4;
    uint part = gl_WorkGroupID.z + 1; // part 0 is q
    uint from = (row.index * a.stride + (part * a.heads + head) * a.head_dim) / 4 + word * 16;
    uint line = (row.sequence * a.heads + head) * a.context + row.position, to = line * quads + word * 16;
    uint first = min(8, quads - word * 16), second = min(8, quads - word * 16 - first);
    uint scales = quantise(from, first, to) | quantise(from + first, second, to + first) << 16;
    put(a.scales + line * words + word, scales);
}
