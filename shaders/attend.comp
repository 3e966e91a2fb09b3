// Attention of one query per head over the cache (Vaswani et al. 2017, 3.2), split into ranges of positions that are
// fixed by absolute position: one workgroup per head, range and row. It leaves the weighted sum of the values,
// not yet divided, with the maximum and the sum of the exponentials; `project` merges.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "cache.glsl"

layout(constant_id = 3) const uint HEAD_DIM = 64; // padded
layout(constant_id = 4) const uint SPAN = 64;     // positions in a range
layout(constant_id = 5) const uint AHEAD = 8;     // loads of keys or values under way before the first is used

layout(push_constant) uniform Push { AttendArgs a; };

layout(binding = 1) readonly buffer Q { vec4 q[]; };
layout(binding = 2) readonly buffer K { uvec4 k_cache[]; }; // [sequence][head][position][head_dim]
layout(binding = 3) readonly buffer V { uvec4 v_cache[]; };
layout(binding = 4) writeonly buffer Parts { vec4 parts[]; };

const uint CHUNKS = HEAD_DIM / 8;
const uint KEY_ROUNDS = (CHUNKS + AHEAD - 1) / AHEAD;
const uint KEYS_AHEAD = (CHUNKS + KEY_ROUNDS - 1) / KEY_ROUNDS; // dealt evenly
shared vec4 query[HEAD_DIM / 4];
shared float weight[SPAN];
shared vec4 partial[2 * SIZE];

void main()
{
    uint head = gl_WorkGroupID.x, split = gl_WorkGroupID.z, lane = gl_LocalInvocationID.x;
    Row row = row_at(gl_WorkGroupID.y, a.step_rows);
    uint first = split * SPAN;
    if (!row.runs || first > row.position) return;
    uint count = min(SPAN, row.position + 1 - first);
    uint least = a.window > 0 && row.position >= a.window ? row.position + 1 - a.window : 0; // that the window shows
    uint hidden = least > first ? min(least - first, count) : 0;                              // of this range
    uint cache = (row.sequence * a.heads + head) * a.context + first; // row

    for (uint i = lane; i < HEAD_DIM / 4; i += SIZE) query[i] = q[(row.index * a.q_stride + head * HEAD_DIM) / 4 + i];
    barrier();

    // scores: a position per lane
    float maximum = uintBitsToFloat(0xff800000u);
    for (uint p = hidden + lane; p < count; p += SIZE) {
        float score = 0.0;
        for (uint first = 0; first < CHUNKS; first += KEYS_AHEAD) {
            Eight keys[KEYS_AHEAD];
            [[unroll]] for (uint i = 0; i < KEYS_AHEAD; i++) LOAD8(k_cache, cache + p, min(first + i, CHUNKS - 1), keys[i])
            [[unroll]] for (uint i = 0; i < KEYS_AHEAD; i++) {
                uint c = first + i;
                if (c >= CHUNKS) break;
                vec4 low, high;
                unpack_eight(keys[i], (cache + p) * CHUNKS + c, c, low, high);
                score += dot(query[2 * c], low) + dot(query[2 * c + 1], high);
            }
        }
        score *= a.scale;
        weight[p] = score;
        maximum = max(maximum, score);
    }
    maximum = workgroup_max(maximum);
    float sum = 0.0;
    for (uint p = hidden + lane; p < count; p += SIZE) {
        float e = exp(weight[p] - maximum);
        weight[p] = e;
        sum += e;
    }
    sum = workgroup_sum(sum); // its barriers also show every weight to every lane

    // values: 8 neighbours of the head per lane, positions dealt out over the groups of lanes
    uint groups = SIZE / CHUNKS, group = lane / CHUNKS, c = lane % CHUNKS;
    vec4 low_sum = vec4(0.0), high_sum = vec4(0.0);
    if (group < groups) {
        for (uint first = hidden + group; first < count; first += AHEAD * groups) {
            Eight values[AHEAD];
            [[unroll]] for (uint i = 0; i < AHEAD; i++)
                LOAD8(v_cache, cache + min(first + i * groups, count - 1), c, values[i])
            [[unroll]] for (uint i = 0; i < AHEAD; i++) {
                uint p = min(first + i * groups, count - 1);
                float w = mix(0.0, weight[p], first + i * groups < count);
                vec4 low, high;
                unpack_eight(values[i], (cache + p) * CHUNKS + c, c, low, high);
                low_sum += w * low;
                high_sum += w * high;
            }
        }
        partial[2 * lane] = low_sum;
        partial[2 * lane + 1] = high_sum;
    }
    barrier();

    uint part = ((row.index * a.heads + head) * a.splits + split) * (HEAD_DIM / 4 + 1);
    for (uint i = lane; i < HEAD_DIM / 4; i += SIZE) {
        vec4 total = vec4(0.0);
        for (uint g = 0; g < groups; g++) total += partial[2 * g * CHUNKS + i];
        parts[part + i] = total;
    }
    if (lane == 0) parts[part + HEAD_DIM / 4] = vec4(maximum, sum, 0.0, 0.0);
}
