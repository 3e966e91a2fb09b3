// Four neighbours of attention's output from the splits of the cache, each a maximum, a sum of exponentials and a
// weighted sum of values, merged into one softmax (Milakov and Gimelshein 2018). parts, bound as x, is
// [row][head][split] of head_dim + 4 floats: the values, then maximum, sum, 0, 0.

vec4 merged(Row row, uint i)
{
    uint part_quads = a.head_dim / 4 + 1;
    uint head = i / (a.head_dim / 4), d = i % (a.head_dim / 4);
    uint splits = min(row.position / a.span + 1, a.splits);
    uint part = (row.index * a.heads + head) * a.splits * part_quads;
    float maximum = x[part + part_quads - 1].x;
    for (uint s = 1; s < splits; s++) maximum = max(maximum, x[part + s * part_quads + part_quads - 1].x);
    vec4 values = vec4(0.0);
    float sum = 0.0;
    for (uint s = 0; s < splits; s++) {
        vec4 stats = x[part + s * part_quads + part_quads - 1];
        float scale = exp(stats.x - maximum);
        values += scale * x[part + s * part_quads + d];
        sum += scale * stats.y;
    }
    return values / sum;
}
