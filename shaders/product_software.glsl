// SOFTWARE: y = W x + b for one row of x on a software driver. A lane computes ROWS outputs. Lanes exchange x by
// shuffles.

void add_weights(Row row, uint from, inout float sums[ROWS])
{
    for (uint k4 = 0; k4 < WIDTH / 4; k4 += SUBGROUP) {
        vec4 mine = input4(row, min(k4 + gl_SubgroupInvocationID, WIDTH / 4 - 1));
        uint end = min(SUBGROUP, WIDTH / 4 - k4);
        for (uint i = 0; i < end; i += 2) {
            vec4 x_low = subgroupShuffle(mine, i), x_high = subgroupShuffle(mine, i + 1);
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                vec4 low, high;
                weights8(from + r, (k4 + i) / 2, low, high);
                sums[r] += dot(x_low, low) + dot(x_high, high);
            }
        }
    }
}

#define SHARE min(SUBGROUP, 8) // quads of x that the lanes load together

void add_blocks(Row row, uint from, inout float sums[ROWS])
{
    for (uint b = 0; b < WIDTH / 32; b++) {
        uvec4 words[ROWS][2];
        float dots[ROWS], x_sum = 0.0;
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint at = (from + r) * (WIDTH / 32) + b;
            if (WEIGHTS == WEIGHTS_Q8_0) { words[r][0] = WORDS(weights, 2 * at); words[r][1] = WORDS(weights, 2 * at + 1); }
            else words[r][0] = WORDS(weights, at);
            dots[r] = 0.0;
        }
        [[unroll]] for (uint first = 0; first < 8; first += SHARE) {
            vec4 mine = input4(row, 8 * b + first + gl_SubgroupInvocationID % SHARE);
            [[unroll]] for (uint i = 0; i < SHARE; i++) {
                vec4 x4 = subgroupShuffle(mine, i);
                if (HAS_MINIMUM) x_sum += sum4(x4);
                uint j = first + i;
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    dots[r] += dot(x4, quants4(WEIGHTS, words[r][j / (UNIT / 4)], j % (UNIT / 4)));
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[r] += scaled(WEIGHTS, block_scale(WEIGHTS, a.scales, (from + r) * (WIDTH / 32) + b), dots[r], x_sum);
    }
}

void product()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    if (!row.runs) return;
    if (STAGED != 0) PHASE(stage)(row);

    uint o = gl_GlobalInvocationID.x * ROWS;
    uint from = min(o, a.count - ROWS); // lanes past the end take part in the shuffles, and store nothing
    float sums[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) sums[r] = 0.0;
    if (IS_QUANTISED) add_blocks(row, from, sums);
    else add_weights(row, from, sums);
    if (o < a.count)
        [[unroll]] for (uint r = 0; r < ROWS; r += 2)
            PHASE(store)(row, a.first + o + r, vec2(sums[r], sums[r + 1]) + bias2(a.first + o + r));
}
