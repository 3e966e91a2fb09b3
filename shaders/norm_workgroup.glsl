// Layer norm (Ba et al. 2016) of one row by one workgroup: n = (x - mean) / sqrt(variance + eps) * gain + bias. The
// result goes into `normed`, an array of vec4 that the includer declares, or through the includer's macro PUT_NORMED.
// The includer defines the padded width, WIDTH.
//
// The row is held in registers, with all its loads in flight together. The variance takes a second pass over the
// deviations, because E[x*x] - mean*mean cancels in fp32. The same pass finds the rounding error of the mean (a sum of
// 768 numbers near 1000 is off by 0.03) and corrects it. The padding of a row holds zeros, with zero gains and biases,
// so it stays zero; only the second pass has to skip it.

#ifndef PUT_NORMED
#define PUT_NORMED(i, value) normed(i) = value;
#endif
#define QUADS (WIDTH / 4)
#define LANE_QUADS ((QUADS + SIZE - 1) / SIZE)

void PHASE(norm_row)(uint x_first, uint dim, uint gain, uint bias, float eps)
{
    uint lane = gl_LocalInvocationID.x;
    vec4 row[LANE_QUADS];
    [[unroll]] for (uint i = 0; i < LANE_QUADS; i++) row[i] = QUAD(inputs, x_first + min(i * SIZE + lane, QUADS - 1));
    float sum = 0.0;
    [[unroll]] for (uint i = 0; i < LANE_QUADS; i++) sum += mix(0.0, sum4(row[i]), i * SIZE + lane < QUADS);
    float mean = workgroup_sum(sum) / float(dim);

    vec2 sums = vec2(0.0); // the deviations, and their squares
    [[unroll]] for (uint i = 0; i < LANE_QUADS; i++) {
        row[i] -= mean;
        uvec4 at = (i * SIZE + lane) * 4 + uvec4(0, 1, 2, 3);
        vec4 d = mix(vec4(0.0), row[i], lessThan(at, uvec4(dim)));
        sums += vec2(sum4(d), sum4(d * d));
    }
    sums = workgroup_sum(sums) / float(dim);
    float scale = inversesqrt(sums.y - sums.x * sums.x + eps);

    [[unroll]] for (uint i = 0; i < LANE_QUADS; i++) {
        uint at = i * SIZE + lane;
        if ((i + 1) * SIZE <= QUADS || at < QUADS)
            PUT_NORMED(at, (row[i] - sums.x) * scale * QUAD(vectors, gain / 4 + at) + QUAD(vectors, bias / 4 + at))
    }
}
