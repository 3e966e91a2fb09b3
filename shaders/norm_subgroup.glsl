// Layer norm (Ba et al. 2016) for GPUs; norm_workgroup.glsl is the form for software drivers. Every subgroup adds up
// the whole row. So the sums need no barrier and do not depend on the workgroup's size, and a row gets the same bits in
// every kernel. Then each lane of the workgroup writes its share. All loads are in flight together.

#ifndef NORM_SUBGROUP_GLSL
#define NORM_SUBGROUP_GLSL

#define QUADS (WIDTH / 4)
#define LANE_QUADS ((QUADS + SUBGROUP - 1) / SUBGROUP)
#define HELD (LANE_QUADS < MOST_HELD ? LANE_QUADS : MOST_HELD) // quads of a row in a lane's registers
#define AGAIN (HELD < LANE_QUADS ? 4 : 1) // other quads that are loaded together
#define SHARE ((QUADS + SIZE - 1) / SIZE)

// Loads the quads at, at + lanes, ... of the row that begins at `first`; past the end of the row, the last quad again.
#define LOAD_QUADS(count, quads, at) \
    [[unroll]] for (uint i = 0; i < count; i++) quads[i] = inputs[first + min((at) + i * lanes, QUADS - 1)];

float quad_sum(uint at, vec4 v) { return mix(0.0, sum4(v), at < QUADS); }

// The sums of the deviations, and of their squares, of the elements below dim.
vec2 deviations(uint at, vec4 v, float mean, uint dim)
{
    vec4 d = mix(vec4(0.0), v - mean, lessThan(4 * at + uvec4(0, 1, 2, 3), uvec4(dim)));
    return vec2(sum4(d), sum4(d * d));
}

#endif

void PHASE(norm_row)(uint first, uint dim, uint gain, uint bias, float eps)
{
    uint lane = gl_SubgroupInvocationID, lanes = subgroup_lanes();
    vec4 held[HELD]; // the quads that do not fit are loaded again for each sum
    vec4 own[SHARE], gains[SHARE], biases[SHARE];
    LOAD_QUADS(HELD, held, lane)
    [[unroll]] for (uint i = 0; i < SHARE; i++) {
        uint at = min(i * SIZE + gl_LocalInvocationID.x, QUADS - 1);
        own[i] = inputs[first + at];
        gains[i] = vectors[gain / 4 + at];
        biases[i] = vectors[bias / 4 + at];
    }

    float sum = 0.0;
    [[unroll]] for (uint i = 0; i < HELD; i++) sum += quad_sum(i * lanes + lane, held[i]);
    for (uint at = HELD * lanes + lane; at < QUADS; at += AGAIN * lanes) {
        vec4 more[AGAIN];
        LOAD_QUADS(AGAIN, more, at)
        [[unroll]] for (uint i = 0; i < AGAIN; i++) sum += quad_sum(at + i * lanes, more[i]);
    }
    float mean = subgroupAdd(sum) / float(dim);

    vec2 sums = vec2(0.0);
    [[unroll]] for (uint i = 0; i < HELD; i++) sums += deviations(i * lanes + lane, held[i], mean, dim);
    for (uint at = HELD * lanes + lane; at < QUADS; at += AGAIN * lanes) {
        vec4 more[AGAIN];
        LOAD_QUADS(AGAIN, more, at)
        [[unroll]] for (uint i = 0; i < AGAIN; i++) sums += deviations(at + i * lanes, more[i], mean, dim);
    }
    sums = subgroupAdd(sums) / float(dim);
    float scale = inversesqrt(sums.y - sums.x * sums.x + eps);

#ifdef IN_PLACE
    barrier(); // until every subgroup has read the row
#endif
    [[unroll]] for (uint i = 0; i < SHARE; i++) {
        uint at = i * SIZE + gl_LocalInvocationID.x;
        if ((i + 1) * SIZE <= QUADS || at < QUADS) normed(at) = (own[i] - mean - sums.x) * scale * gains[i] + biases[i];
    }
}
