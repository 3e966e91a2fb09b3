// Four neighbouring elements of attention's output, merged from the splits of the cache into one softmax (Milakov and
// Gimelshein 2018). Each split has a maximum, a sum of exponentials and a weighted sum of values. The splits, bound as
// the inputs, are [row][head][split] of head_dim + 4 floats: the values, then maximum, sum, 0, 0. MERGED_AHEAD splits
// are loaded before the first is used; loads past the last split read the last one, with weight 0.

vec4 merged(Row row, uint i)
{
    uint part_quads = a.head_dim / 4 + 1;
    uint head = i / (a.head_dim / 4), d = i % (a.head_dim / 4);
    uint splits = min(row.position / a.span + 1, a.splits);
    uint part = (row.index * a.heads + head) * a.splits * part_quads;
    float maximum = MINUS_INFINITY;
    for (uint first = 0; first < splits; first += MERGED_AHEAD) {
        float some[MERGED_AHEAD];
        [[unroll]] for (uint s = 0; s < MERGED_AHEAD; s++)
            some[s] = inputs[part + min(first + s, splits - 1) * part_quads + part_quads - 1].x;
        [[unroll]] for (uint s = 0; s < MERGED_AHEAD; s++) maximum = max(maximum, some[s]);
    }
    vec4 values = vec4(0.0);
    float sum = 0.0;
    for (uint first = 0; first < splits; first += MERGED_AHEAD) {
        vec4 stats[MERGED_AHEAD], some[MERGED_AHEAD];
        [[unroll]] for (uint s = 0; s < MERGED_AHEAD; s++) {
            uint at = part + min(first + s, splits - 1) * part_quads;
            stats[s] = inputs[at + part_quads - 1];
            some[s] = inputs[at + d];
        }
        [[unroll]] for (uint s = 0; s < MERGED_AHEAD; s++) {
            float scale = mix(0.0, exp(stats[s].x - maximum), first + s < splits);
            values += scale * some[s];
            sum += scale * stats[s].y;
        }
    }
    return values / sum;
}
