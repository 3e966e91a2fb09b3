// Layer norm (Ba et al. 2016) of one row by one workgroup, from x into `normed`, which the includer defines as a
// writable place of vec4: n = (x - mean) / sqrt(variance + eps) * gain + bias.
//
// A second pass over the deviations: E[x*x] - mean*mean cancels in fp32. The same pass finds what rounding left in the
// mean (a sum of 768 numbers near 1000 is off by 0.03) and takes it out. The padding of a row holds zeros, and zero
// gains and biases, so it stays zero; only the second pass has to leave it out.

void norm_row(uint x_first, uint quads, uint dim, uint gain, uint bias, float eps)
{
    float sum = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < quads; i += SIZE) {
        vec4 v = x[x_first + i];
        normed(i) = v;
        sum += sum4(v);
    }
    float mean = workgroup_sum(sum) / float(dim);

    vec2 sums = vec2(0.0); // of the deviations, and of their squares
    for (uint i = gl_LocalInvocationID.x; i < quads; i += SIZE) {
        vec4 d = normed(i) - mean;
        uvec4 at = i * 4 + uvec4(0, 1, 2, 3);
        d = mix(vec4(0.0), d, lessThan(at, uvec4(dim)));
        sums += vec2(sum4(d), sum4(d * d));
    }
    sums = workgroup_sum(sums) / float(dim);
    float scale = inversesqrt(sums.y - sums.x * sums.x + eps);

    for (uint i = gl_LocalInvocationID.x; i < quads; i += SIZE)
        normed(i) = ((normed(i) - mean) - sums.x) * scale * vectors[gain / 4 + i] + vectors[bias / 4 + i];
}
