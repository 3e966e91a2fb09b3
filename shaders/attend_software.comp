// attend and, with PREFILL, attend_block for software drivers: a workgroup is one subgroup, without barriers and shared
// memory, which are slow on such a driver. It takes one query, or in a block as many as it has lanes, over all positions
// that they see. Lanes exchange values by shuffles.
// variants: - PREFILL TEXELS PREFILL+TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"
#include "cache.glsl"

layout(constant_id = CONSTANT_ATTEND_HEAD_DIM) const uint HEAD_DIM = 64; // padded

layout(push_constant) uniform Push { AttendArgs a; };

READ_QUADS(1, Q, q);
READ_WORDS(2, K, k_cache); // [sequence][head][position][head_dim]
READ_WORDS(3, V, v_cache);
layout(binding = 4) writeonly buffer A { vec4 attention[]; }; // (rows, heads, head_dim)

#define LANES SIZE
#define CHUNKS (HEAD_DIM / 8)
#define TILE (KEYS * LANES)
const uint SHARES = (HEAD_DIM / 8 + SIZE - 1) / SIZE; // chunks of a lane

#ifdef PREFILL
#define QUERIES LANES
#define KEYS 4 // positions of a tile that one lane scores
#else
#define QUERIES 1
#define KEYS 1
#endif

uint lane, cache;
// of each query: the maximum of its scores and the sum of their exponentials; the sums of the values that they weigh,
// whose chunks lane, lane + LANES, ... are in this lane
float maximum[QUERIES], sum[QUERIES];
vec4 low_sums[QUERIES][SHARES], high_sums[QUERIES][SHARES];

// Scores of the tile: a lane computes positions tile + lane, tile + lane + LANES, ... for every query.
void score(Row row, uint q_first, uint tile, out float scores[QUERIES][KEYS])
{
    [[unroll]] for (uint t = 0; t < QUERIES; t++)
        [[unroll]] for (uint m = 0; m < KEYS; m++) scores[t][m] = 0.0;
    for (uint c = 0; c < CHUNKS; c++) {
        vec4 q_low = QUAD(q, q_first + 2 * c), q_high = QUAD(q, q_first + 2 * c + 1); // of this lane's query
        vec4 low[KEYS], high[KEYS];
        [[unroll]] for (uint m = 0; m < KEYS; m++) {
            uint p = min(tile + m * LANES + lane, a.context - 1);
            CACHE8(k_cache, cache + p, c, low[m], high[m])
        }
        [[unroll]] for (uint t = 0; t < QUERIES; t++) {
            vec4 l = subgroupShuffle(q_low, t), h = subgroupShuffle(q_high, t);
            [[unroll]] for (uint m = 0; m < KEYS; m++) scores[t][m] += dot(l, low[m]) + dot(h, high[m]);
        }
    }
    [[unroll]] for (uint t = 0; t < QUERIES; t++)
        [[unroll]] for (uint m = 0; m < KEYS; m++) {
            uint p = tile + m * LANES + lane, position = row.position + t;
            bool seen = p <= position && (a.window == 0 || position - p < a.window);
            scores[t][m] = seen ? scores[t][m] * a.scale : MINUS_INFINITY;
        }
}

// Makes weights of the scores: exponentials over a maximum that may grow, which scales the sums so far (Milakov and
// Gimelshein 2018).
void weigh(inout float scores[QUERIES][KEYS])
{
    [[unroll]] for (uint t = 0; t < QUERIES; t++) {
        float best = maximum[t];
        [[unroll]] for (uint m = 0; m < KEYS; m++) best = max(best, scores[t][m]);
        best = subgroupMax(best);
        float base = best == MINUS_INFINITY ? 0.0 : best; // the whole tile may be outside the window
        float rescale = exp(maximum[t] - base), total = 0.0;
        [[unroll]] for (uint m = 0; m < KEYS; m++) {
            scores[t][m] = exp(scores[t][m] - base);
            total += scores[t][m];
        }
        sum[t] = sum[t] * rescale + subgroupAdd(total);
        maximum[t] = best;
        [[unroll]] for (uint s = 0; s < SHARES; s++) { low_sums[t][s] *= rescale; high_sums[t][s] *= rescale; }
    }
}

// Adds the values of the positions tile + i, tile + i + LANES, ... to the sums.
void add_values(uint tile, uint i, uint end, float weights[QUERIES][KEYS])
{
    [[unroll]] for (uint m = 0; m < KEYS; m++) {
        uint p = min(tile + m * LANES + i, end - 1); // past the end every weight is 0
        vec4 low[SHARES], high[SHARES];
        [[unroll]] for (uint s = 0; s < SHARES; s++)
            CACHE8(v_cache, cache + p, min(lane + s * LANES, CHUNKS - 1), low[s], high[s])
        [[unroll]] for (uint t = 0; t < QUERIES; t++) {
            float w = subgroupShuffle(weights[t][m], i);
            [[unroll]] for (uint s = 0; s < SHARES; s++) {
                low_sums[t][s] += w * low[s];
                high_sums[t][s] += w * high[s];
            }
        }
    }
}

// Attention of this subgroup's queries, the first of which is `row`'s, to the positions before `end`.
void attend(Row row, uint q_first, uint end)
{
    [[unroll]] for (uint t = 0; t < QUERIES; t++) {
        maximum[t] = MINUS_INFINITY;
        sum[t] = 0.0;
        [[unroll]] for (uint s = 0; s < SHARES; s++) { low_sums[t][s] = vec4(0.0); high_sums[t][s] = vec4(0.0); }
    }
    uint start = a.window > 0 && row.position >= a.window ? (row.position + 1 - a.window) / TILE * TILE : 0;
    for (uint tile = start; tile < end; tile += TILE) {
        float weights[QUERIES][KEYS];
        score(row, q_first, tile, weights);
        weigh(weights);
#ifdef PREFILL
        for (uint i = 0; i < LANES; i++) add_values(tile, i, end, weights); // unrolled it takes longer to compile
#else
        [[unroll]] for (uint i = 0; i < LANES; i++) add_values(tile, i, end, weights);
#endif
    }
}

void main()
{
    uint head = gl_WorkGroupID.x, first = gl_WorkGroupID.y * QUERIES;
    Row row = row_at(first, a.range);
    if (!row.runs) return;
    lane = gl_SubgroupInvocationID;
    cache = (row.sequence * a.heads + head) * a.context;
#ifdef PREFILL
    uint queries = min(QUERIES, groups[first / GROUP_ROWS].rows - first % GROUP_ROWS);
#else
    const uint queries = 1;
#endif
    attend(row, ((first + min(lane, queries - 1)) * a.q_stride + head * HEAD_DIM) / 4, row.position + queries);

    [[unroll]] for (uint t = 0; t < QUERIES; t++)
        [[unroll]] for (uint s = 0; s < SHARES; s++)
            if (t < queries && lane + s * LANES < CHUNKS) {
                uint at = ((first + t) * a.heads + head) * (HEAD_DIM / 4) + 2 * (lane + s * LANES);
                attention[at] = low_sums[t][s] / sum[t];
                attention[at + 1] = high_sums[t][s] / sum[t];
            }
}
