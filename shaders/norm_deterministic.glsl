// DETERMINISTIC: layer norm as in norm_workgroup.glsl. Each lane adds every SIZE-th quad of the row, so the bits depend
// on the size of the workgroup, which is the same on every device.

// A quad of the row minus the mean; 0 past the end of the row.
vec4 deviation(uint first, uint quad, float mean, uint dim)
{
    return mix(vec4(0.0), settled(inputs[first + quad] - mean), lessThan(4 * quad + uvec4(0, 1, 2, 3), uvec4(dim)));
}

void PHASE(norm_row)(uint first, uint dim, uint gain, uint bias, float eps)
{
    uint lane = gl_LocalInvocationID.x, quads = a.stride / 4;
    float share = reciprocal(float(dim)), sum = 0.0;
    for (uint i = lane; i < quads; i += SIZE) sum += sum4(inputs[first + i]);
    float mean = settled(workgroup_sum(sum) * share);

    vec2 sums = vec2(0.0); // the deviations, and their squares
    for (uint i = lane; i < quads; i += SIZE) {
        vec4 d = deviation(first, i, mean, dim);
        sums += vec2(sum4(d), sum4(d * d));
    }
    sums = settled(workgroup_sum(sums) * share);
    float scale = inverse_root(settled(sums.y - sums.x * sums.x) + settled(eps));

    for (uint i = lane; i < quads; i += SIZE) {
        vec4 d = settled(deviation(first, i, mean, dim) - sums.x);
        normed(i) = settled(settled(d * scale) * settled(vectors[gain / 4 + i]) + settled(vectors[bias / 4 + i]));
    }
}
