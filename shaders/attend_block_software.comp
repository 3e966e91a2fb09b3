// attend_block for software drivers: a workgroup is one subgroup, without barriers and shared memory, which are slow on
// such a driver. It takes as many queries as it has lanes; lanes exchange values by shuffles.
// variants: - TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define PREFILL
#include "common.glsl"
#include "cache.glsl"

layout(constant_id = CONSTANT_ATTEND_HEAD_DIM) const uint HEAD_DIM = 64; // padded
layout(constant_id = CONSTANT_ATTEND_BLOCK_QUERIES) const uint QUERIES = 8; // lanes of a subgroup
layout(constant_id = CONSTANT_ATTEND_BLOCK_SHARES) const uint SHARES = 1; // ceil(CHUNKS / QUERIES)

layout(push_constant) uniform Push { AttendArgs a; };

READ_QUADS(1, Q, q);
READ_WORDS(2, K, k_cache); // [sequence][head][position][head_dim]
READ_WORDS(3, V, v_cache);
layout(binding = 4) writeonly buffer A { vec4 attention[]; }; // (rows, heads, head_dim)

#define CHUNKS (HEAD_DIM / 8)
#define KEYS 4 // positions of a tile that one lane scores
#define TILE (KEYS * QUERIES)

uint cache;

// Scores of the tile: lane i computes positions tile + i, tile + i + QUERIES, ... for every query.
void score(Row row, uint q_first, uint tile, out float scores[QUERIES][KEYS])
{
    uint lane = gl_SubgroupInvocationID;
    [[unroll]] for (uint t = 0; t < QUERIES; t++)
        [[unroll]] for (uint m = 0; m < KEYS; m++) scores[t][m] = 0.0;
    for (uint c = 0; c < CHUNKS; c++) {
        vec4 q_low = QUAD(q, q_first + 2 * c), q_high = QUAD(q, q_first + 2 * c + 1); // of this lane's query
        vec4 low[KEYS], high[KEYS];
        [[unroll]] for (uint m = 0; m < KEYS; m++) {
            uint p = min(tile + m * QUERIES + lane, a.context - 1);
            CACHE8(k_cache, cache + p, c, low[m], high[m])
        }
        [[unroll]] for (uint t = 0; t < QUERIES; t++) {
            vec4 l = subgroupShuffle(q_low, t), h = subgroupShuffle(q_high, t);
            [[unroll]] for (uint m = 0; m < KEYS; m++) scores[t][m] += dot(l, low[m]) + dot(h, high[m]);
        }
    }
    [[unroll]] for (uint t = 0; t < QUERIES; t++)
        [[unroll]] for (uint m = 0; m < KEYS; m++) {
            uint p = tile + m * QUERIES + lane, position = row.position + t;
            bool seen = p <= position && (a.window == 0 || position - p < a.window);
            scores[t][m] = seen ? scores[t][m] * a.scale : MINUS_INFINITY;
        }
}

void main()
{
    uint head = gl_WorkGroupID.x, lane = gl_SubgroupInvocationID, first = gl_WorkGroupID.y * QUERIES;
    Row row = row_at(first, a.range);
    if (!row.runs) return;
    uint queries = min(QUERIES, groups[first / GROUP_ROWS].rows - first % GROUP_ROWS);
    cache = (row.sequence * a.heads + head) * a.context;
    uint q_first = ((first + min(lane, queries - 1)) * a.q_stride + head * HEAD_DIM) / 4;

    float maximum[QUERIES], sum[QUERIES];
    vec4 low_sums[QUERIES][SHARES], high_sums[QUERIES][SHARES];
    [[unroll]] for (uint t = 0; t < QUERIES; t++) {
        maximum[t] = MINUS_INFINITY;
        sum[t] = 0.0;
        [[unroll]] for (uint i = 0; i < SHARES; i++) { low_sums[t][i] = vec4(0.0); high_sums[t][i] = vec4(0.0); }
    }

    uint end = row.position + queries; // of the positions that the last query sees
    uint start = a.window > 0 && row.position >= a.window ? (row.position + 1 - a.window) / TILE * TILE : 0;
    for (uint tile = start; tile < end; tile += TILE) {
        float weights[QUERIES][KEYS];
        score(row, q_first, tile, weights);

        [[unroll]] for (uint t = 0; t < QUERIES; t++) {
            float best = maximum[t];
            [[unroll]] for (uint m = 0; m < KEYS; m++) best = max(best, weights[t][m]);
            best = subgroupMax(best);
            float base = best == MINUS_INFINITY ? 0.0 : best; // the whole tile may be outside the window
            float rescale = exp(maximum[t] - base), total = 0.0;
            [[unroll]] for (uint m = 0; m < KEYS; m++) {
                weights[t][m] = exp(weights[t][m] - base);
                total += weights[t][m];
            }
            sum[t] = sum[t] * rescale + subgroupAdd(total);
            maximum[t] = best;
            [[unroll]] for (uint i = 0; i < SHARES; i++) { low_sums[t][i] *= rescale; high_sums[t][i] *= rescale; }
        }

        // values: lane i holds the chunks i, i + QUERIES, ... of every query's sum
        for (uint i = 0; i < QUERIES; i++) {
            [[unroll]] for (uint m = 0; m < KEYS; m++) {
                uint p = min(tile + m * QUERIES + i, end - 1); // past the end every weight is 0
                vec4 low[SHARES], high[SHARES];
                [[unroll]] for (uint s = 0; s < SHARES; s++)
                    CACHE8(v_cache, cache + p, min(lane + s * QUERIES, CHUNKS - 1), low[s], high[s])
                [[unroll]] for (uint t = 0; t < QUERIES; t++) {
                    float w = subgroupShuffle(weights[t][m], i);
                    [[unroll]] for (uint s = 0; s < SHARES; s++) {
                        low_sums[t][s] += w * low[s];
                        high_sums[t][s] += w * high[s];
                    }
                }
            }
        }
    }

    [[unroll]] for (uint t = 0; t < QUERIES; t++)
        [[unroll]] for (uint s = 0; s < SHARES; s++)
            if (t < queries && lane + s * QUERIES < CHUNKS) {
                uint at = ((first + t) * a.heads + head) * (HEAD_DIM / 4) + 2 * (lane + s * QUERIES);
                attention[at] = low_sums[t][s] / sum[t];
                attention[at + 1] = high_sums[t][s] / sum[t];
            }
}
