// PREFILL SOFTWARE, BATCH SOFTWARE: y = W x + b for several rows of x on a software driver. A lane computes ROWS
// outputs of TOKENS rows of x. BATCH adds up in the order of decode.

// The results of a lane. They go through memory, so that one loop stores them all: unrolled, the 32 stores take a
// software driver longer to compile than everything else.
shared vec2 made[TOKENS * ROWS / 2][SIZE];

// Rows of x that the lanes exchange at a time. No step of the loops over rows is larger than TOKENS: lavapipe does not
// unroll such a loop, and keeps `sums` in memory then.
#define SHARED_ROWS min(SUBGROUP, TOKENS)

// Multiplies eight weights of each row of W by eight numbers of each row of x. A lane loads those of every
// SHARED_ROWS-th row of x.
void add_weights(uint from, uint first_row, inout float sums[TOKENS][ROWS])
{
    for (uint k8 = 0; k8 < WIDTH / 8; k8++) {
        vec4 low[ROWS], high[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) weights8(from + r, k8, low[r], high[r]);
        [[unroll]] for (uint first = 0; first < TOKENS; first += SHARED_ROWS) {
            uint at = (first_row + first + gl_SubgroupInvocationID % SHARED_ROWS) * (a.x_stride / 4) + 2 * k8;
            vec4 mine_low = QUAD(inputs, at), mine_high = QUAD(inputs, at + 1);
            [[unroll]] for (uint i = 0; i < SHARED_ROWS; i++) {
                vec4 x_low = subgroupShuffle(mine_low, i), x_high = subgroupShuffle(mine_high, i);
                [[unroll]] for (uint r = 0; r < ROWS; r++) sums[first + i][r] += dot(x_low, low[r]) + dot(x_high, high[r]);
            }
        }
    }
}

#ifdef BATCH
// The same in the order of decode: four quants at a time, and the scale at the end of a block. add_weights is faster, so
// prefill uses it.
void add_blocks(uint from, uint first_row, inout float sums[TOKENS][ROWS])
{
    for (uint b = 0; b < WIDTH / 32; b++) {
        float dots[TOKENS][ROWS], x_sums[TOKENS];
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            x_sums[t] = 0.0;
            [[unroll]] for (uint r = 0; r < ROWS; r++) dots[t][r] = 0.0;
        }
        for (uint j = 0; j < 8; j++) {
            vec4 quads[ROWS];
            [[unroll]] for (uint r = 0; r < ROWS; r++) quads[r] = block_quad(WEIGHTS, (from + r) * (WIDTH / 32) + b, j);
            [[unroll]] for (uint first = 0; first < TOKENS; first += SHARED_ROWS) {
                uint row = first_row + first + gl_SubgroupInvocationID % SHARED_ROWS;
                vec4 mine = QUAD(inputs, row * (a.x_stride / 4) + 8 * b + j);
                [[unroll]] for (uint i = 0; i < SHARED_ROWS; i++) {
                    vec4 x4 = subgroupShuffle(mine, i);
                    if (HAS_MINIMUM) x_sums[first + i] += sum4(x4);
                    [[unroll]] for (uint r = 0; r < ROWS; r++) dots[first + i][r] += dot(x4, quads[r]);
                }
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec2 scale = block_scale(WEIGHTS, a.scales, (from + r) * (WIDTH / 32) + b);
            [[unroll]] for (uint t = 0; t < TOKENS; t++) sums[t][r] += scaled(WEIGHTS, scale, dots[t][r], x_sums[t]);
        }
    }
}

#endif

void product()
{
    uint first_row = gl_WorkGroupID.y * TOKENS;
    if (!any_runs(first_row, TOKENS, a.range)) return;

    uint o = gl_GlobalInvocationID.x * ROWS;
    uint from = min(o, a.count - ROWS); // lanes past the end take part in the shuffles, and store nothing
    float sums[TOKENS][ROWS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] = 0.0;
#ifdef BATCH
    if (IS_QUANTISED) add_blocks(from, first_row, sums);
    else
#endif
    add_weights(from, first_row, sums);

    uint lane = gl_LocalInvocationID.x;
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r += 2) made[(t * ROWS + r) / 2][lane] = vec2(sums[t][r], sums[t][r + 1]);
    if (o >= a.count) return;
    for (uint i = 0; i < TOKENS * ROWS / 2; i++) {
        Row row = row_at(first_row + i / (ROWS / 2), a.range);
        uint pair = a.first + o + 2 * (i % (ROWS / 2));
        if (row.runs) PHASE(store)(row, pair, made[i][lane] + bias2(pair));
    }
}
