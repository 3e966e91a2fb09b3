// Attention of a block of queries per workgroup over the cache up to each query's own position, with an online
// softmax over tiles of positions (Milakov and Gimelshein 2018, Dao et al. 2022).
// variants: - COOPMAT
#version 460
#extension GL_GOOGLE_include_directive : require
#define PREFILL
#include "common.glsl"
#include "cache.glsl"
#include "halves.glsl"

layout(constant_id = CONSTANT_ATTEND_HEAD_DIM) const uint HEAD_DIM = 64; // padded

layout(push_constant) uniform Push { AttendArgs a; };

layout(binding = 1) readonly buffer Q { vec4 q[]; };
layout(binding = 2) readonly buffer K { uvec4 k_cache[]; }; // [sequence][head][position][head_dim]
layout(binding = 3) readonly buffer V { uvec4 v_cache[]; };
layout(binding = 4) writeonly buffer A { vec4 attention[]; }; // (rows, heads, head_dim)

#define CHUNKS (HEAD_DIM / 8)

#ifdef COOPMAT
layout(binding = 4) writeonly buffer AHalves { uvec2 attention_halves[]; };
#include "attend_block_coopmat.glsl"
#else

layout(constant_id = CONSTANT_ATTEND_BLOCK_QUERIES) const uint QUERIES = 16; // of a workgroup
// queries whose sums one lane holds: ceil(QUERIES / (SIZE / CHUNKS))
layout(constant_id = CONSTANT_ATTEND_BLOCK_SHARES) const uint SHARES = 1;
layout(constant_id = CONSTANT_ATTEND_BLOCK_HALVES_OUT) const uint HALVES_OUT = 0; // 1: halves, for cooperative matrices

layout(binding = 4) writeonly buffer AHalves { uvec4 attention_halves[]; };

// Queries that are multiplied whether they run or not; the others only where one of them does.
const uint WHOLE = (QUERIES + 1) / 2;
#define SCORE(from, to) \
    [[unroll]] for (uint t = from; t < (to); t++) scores[t] += dot(query[t][2 * d], low) + dot(query[t][2 * d + 1], high);

#define AHEAD 4 // loads of values before the first is used
shared vec4 query[QUERIES][HEAD_DIM / 4];
shared float weight[QUERIES][SIZE];
shared float maximum[QUERIES], sum[QUERIES], rescale[QUERIES];

void main()
{
    uint head = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x, lanes = subgroup_lanes();
    uint first = gl_WorkGroupID.y * QUERIES;
    Row row = row_at(first, a.range);
    if (!row.runs) return;
    uint queries = min(QUERIES, groups[first / GROUP_ROWS].rows - first % GROUP_ROWS);
    uint cache = (row.sequence * a.heads + head) * a.context;

    for (uint i = lane; i < QUERIES * (HEAD_DIM / 4); i += SIZE) {
        uint t = i / (HEAD_DIM / 4), d = i % (HEAD_DIM / 4);
        query[t][d] = t < queries ? q[((first + t) * a.q_stride + head * HEAD_DIM) / 4 + d] : vec4(0.0);
    }
    for (uint t = lane; t < QUERIES; t += SIZE) { maximum[t] = MINUS_INFINITY; sum[t] = 0.0; }
    barrier();

    uint groups = SIZE / CHUNKS, group = lane / CHUNKS, c = lane % CHUNKS;
    vec4 low_sums[SHARES], high_sums[SHARES];
    [[unroll]] for (uint i = 0; i < SHARES; i++) { low_sums[i] = vec4(0.0); high_sums[i] = vec4(0.0); }

    uint end = row.position + queries; // of the positions that the last query sees
    uint start = a.window > 0 && row.position >= a.window ? (row.position + 1 - a.window) / SIZE * SIZE : 0;
    for (uint tile = start; tile < end; tile += SIZE) {
        uint count = min(SIZE, end - tile);

        // scores: one position per lane, with every query
        float scores[QUERIES];
        [[unroll]] for (uint t = 0; t < QUERIES; t++) scores[t] = 0.0;
        uint p = tile + min(lane, count - 1);
        if (lane < count) for (uint d = 0; d < CHUNKS; d++) {
            vec4 low, high;
            CACHE8(k_cache, cache + p, d, low, high)
            SCORE(0, WHOLE)
            if (queries > WHOLE) SCORE(WHOLE, QUERIES)
        }
        [[unroll]] for (uint t = 0; t < QUERIES; t++) {
            uint position = row.position + t;
            bool seen = lane < count && p <= position && (a.window == 0 || position - p < a.window);
            weight[t][lane] = seen ? scores[t] * a.scale : MINUS_INFINITY;
        }
        barrier();

        // softmax: one query per subgroup. If the whole tile is outside the window, the maximum is not finite yet.
        for (uint t = gl_SubgroupID; t < queries; t += gl_NumSubgroups) {
            float best = maximum[t];
            for (uint i = gl_SubgroupInvocationID; i < SIZE; i += lanes) best = max(best, weight[t][i]);
            best = subgroupMax(best);
            float base = best == MINUS_INFINITY ? 0.0 : best;
            float total = 0.0;
            for (uint i = gl_SubgroupInvocationID; i < SIZE; i += lanes) {
                float e = exp(weight[t][i] - base);
                weight[t][i] = e;
                total += e;
            }
            total = subgroupAdd(total);
            if (subgroupElect()) {
                rescale[t] = exp(maximum[t] - base);
                sum[t] = sum[t] * rescale[t] + total;
                maximum[t] = best;
            }
        }
        barrier();

        // values: each lane takes 8 neighbouring elements of the head; groups of lanes take queries in turn
        if (group < min(groups, queries)) {
            [[unroll]] for (uint i = 0; i < SHARES; i++) {
                uint t = min(group + i * groups, queries - 1);
                low_sums[i] *= rescale[t];
                high_sums[i] *= rescale[t];
            }
            for (uint first_j = 0; first_j < count; first_j += AHEAD) {
                Eight values[AHEAD];
                [[unroll]] for (uint n = 0; n < AHEAD; n++)
                    LOAD8(v_cache, cache + tile + min(first_j + n, count - 1), c, values[n])
                [[unroll]] for (uint n = 0; n < AHEAD; n++) {
                    uint j = first_j + n; // past the end every weight is 0
                    vec4 low, high;
                    unpack_eight(values[n], (cache + tile + min(j, count - 1)) * CHUNKS + c, c, low, high);
                    [[unroll]] for (uint i = 0; i < SHARES; i++) {
                        float w = weight[min(group + i * groups, queries - 1)][j];
                        low_sums[i] += w * low;
                        high_sums[i] += w * high;
                    }
                }
            }
        }
        barrier();
    }

    if (group >= groups) return;
    [[unroll]] for (uint i = 0; i < SHARES; i++) {
        uint t = group + i * groups;
        if (t < queries) {
            uint at = ((first + t) * a.heads + head) * CHUNKS + c;
            vec4 low = low_sums[i] / sum[t], high = high_sums[i] / sum[t];
            if (HALVES_OUT != 0) attention_halves[at] = pack8(low, high);
            else attention[2 * at] = low, attention[2 * at + 1] = high;
        }
    }
}

#endif
