// Attention of one query of one head over one range of the cache, by TEAM lanes: a whole workgroup, or a part of one in
// the persistent kernel. The includer declares q, k_cache and v_cache, [sequence][head][position][head_dim], parts, and
// the constants HEAD_DIM, SPAN, AHEAD, TEAM.
#include "cache.glsl"

#define TEAMS (SIZE / TEAM)
const uint CHUNKS = HEAD_DIM / 8;
const uint KEY_ROUNDS = (CHUNKS + AHEAD - 1) / AHEAD;
const uint KEYS_AHEAD = (CHUNKS + KEY_ROUNDS - 1) / KEY_ROUNDS; // as even as possible
shared vec4 query[TEAMS][HEAD_DIM / 4];
shared float weight[TEAMS][SPAN];
#ifndef partial // 2 * SIZE quads; the includer may give it memory that it uses for something else too
shared vec4 partial[2 * SIZE];
#endif

// The team of this lane, and its index in the team. A team is made of neighbouring subgroups.
uint team() { return gl_SubgroupID / (gl_NumSubgroups / TEAMS); }
uint team_lane() { return TEAMS == 1 ? gl_LocalInvocationID.x : gl_LocalInvocationID.x % TEAM; }

float team_max(float value)
{
    value = subgroupMax(value);
    if (subgroupElect()) reduce_scratch[gl_SubgroupID].x = value;
    barrier();
    uint count = gl_NumSubgroups / TEAMS, first = team() * count;
    float best = reduce_scratch[first].x;
    for (uint i = 1; i < count; i++) best = max(best, reduce_scratch[first + i].x);
    barrier();
    return best;
}

float team_sum(float value)
{
    value = subgroupAdd(value);
    if (subgroupElect()) reduce_scratch[gl_SubgroupID].x = value;
    barrier();
    uint count = gl_NumSubgroups / TEAMS, first = team() * count;
    float total = 0.0;
    for (uint i = 0; i < count; i++) total += reduce_scratch[first + i].x;
    barrier();
    return total;
}

// Writes the weighted sum of the values, not yet divided, the maximum of the scores and the sum of the exponentials.
// All teams of a workgroup call it together; a team without work passes `works` false.
void attend(uint head, uint row_index, uint split, bool works)
{
    Row row = row_at(row_index, a.range);
    uint lane = team_lane(), mine = team(), first = split * SPAN;
    works = works && row.runs && first <= row.position;
    uint count = works ? min(SPAN, row.position + 1 - first) : 0;
    // the first position inside the window, and how many of this range are before it
    uint least = a.window > 0 && row.position >= a.window ? row.position + 1 - a.window : 0;
    uint hidden = least > first ? min(least - first, count) : 0;
    uint cache = (row.sequence * a.heads + head) * a.context + first; // row

    for (uint i = lane; works && i < HEAD_DIM / 4; i += TEAM)
        query[mine][i] = q[(row.index * a.q_stride + head * HEAD_DIM) / 4 + i];
    barrier();

    // scores: a position per lane
    float maximum = MINUS_INFINITY;
    for (uint p = hidden + lane; p < count; p += TEAM) {
        float score = 0.0;
        for (uint first = 0; first < CHUNKS; first += KEYS_AHEAD) {
            Eight keys[KEYS_AHEAD];
            [[unroll]] for (uint i = 0; i < KEYS_AHEAD; i++)
                LOAD8(k_cache, cache + p, min(first + i, CHUNKS - 1), keys[i])
            [[unroll]] for (uint i = 0; i < KEYS_AHEAD; i++) {
                uint c = first + i;
                if (c >= CHUNKS) break;
                vec4 low, high;
                unpack_eight(keys[i], (cache + p) * CHUNKS + c, c, low, high);
                score += dot(query[mine][2 * c], low) + dot(query[mine][2 * c + 1], high);
            }
        }
        score *= a.scale;
        weight[mine][p] = score;
        maximum = max(maximum, score);
    }
    maximum = team_max(maximum);
    float sum = 0.0;
    for (uint p = hidden + lane; p < count; p += TEAM) {
        float e = exp(weight[mine][p] - maximum);
        weight[mine][p] = e;
        sum += e;
    }
    sum = team_sum(sum); // its barriers also make every weight visible to every lane

    // values: each lane takes 8 neighbouring elements of the head; groups of lanes take positions in turn
    uint groups = TEAM / CHUNKS, group = lane / CHUNKS, c = lane % CHUNKS;
    vec4 low_sum = vec4(0.0), high_sum = vec4(0.0);
    if (group < groups) {
        for (uint first = hidden + group; first < count; first += AHEAD * groups) {
            Eight values[AHEAD];
            [[unroll]] for (uint i = 0; i < AHEAD; i++)
                LOAD8(v_cache, cache + min(first + i * groups, count - 1), c, values[i])
            [[unroll]] for (uint i = 0; i < AHEAD; i++) {
                uint p = min(first + i * groups, count - 1);
                float w = mix(0.0, weight[mine][p], first + i * groups < count);
                vec4 low, high;
                unpack_eight(values[i], (cache + p) * CHUNKS + c, c, low, high);
                low_sum += w * low;
                high_sum += w * high;
            }
        }
        partial[2 * (mine * TEAM + lane)] = low_sum;
        partial[2 * (mine * TEAM + lane) + 1] = high_sum;
    }
    barrier();

    if (!works) return;
    uint part = ((row.index * a.heads + head) * a.splits + split) * (HEAD_DIM / 4 + 1);
    for (uint i = lane; i < HEAD_DIM / 4; i += TEAM) {
        vec4 total = vec4(0.0);
        for (uint g = 0; g < groups; g++) total += partial[2 * (mine * TEAM + g * CHUNKS) + i];
        parts[part + i] = total;
    }
    if (lane == 0) parts[part + HEAD_DIM / 4] = vec4(maximum, sum, 0.0, 0.0);
}
