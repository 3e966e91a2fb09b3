// PREFILL: y = W x + b for many rows of x on a GPU, in fp32. 256 lanes make 64 rows by 64 outputs, 4 by 4 each, 16 of the
// width at a time in shared memory.

#define TILE PREFILL_TILE
#define DEPTH 16
shared float x_tile[DEPTH][TILE + 4];
shared float w_tile[DEPTH][TILE + 4];

void put8(bool is_x, uint column, uint k, vec4 low, vec4 high)
{
    [[unroll]] for (uint i = 0; i < 4; i++) {
        if (is_x) { x_tile[k + i][column] = low[i]; x_tile[k + 4 + i][column] = high[i]; }
        else { w_tile[k + i][column] = low[i]; w_tile[k + 4 + i][column] = high[i]; }
    }
}

void product()
{
    uint first_row = gl_WorkGroupID.y * TILE, first_out = gl_WorkGroupID.x * TILE;
    if (!any_runs(first_row, TILE, a.step_rows)) return;

    uint lane = gl_LocalInvocationID.x;
    uint tx = lane % 16, ty = lane / 16;        // 4 outputs from tx * 4, 4 rows from ty * 4
    bool loads_x = lane < 128;                  // half the lanes fill one tile, half the other
    uint column = (lane % 128) / 2, half8 = lane % 2;

    float sums[4][4];
    [[unroll]] for (uint i = 0; i < 4; i++)
        [[unroll]] for (uint j = 0; j < 4; j++) sums[i][j] = 0.0;

    for (uint k = 0; k < WIDTH; k += DEPTH) {
        vec4 low = vec4(0.0), high = vec4(0.0);
        uint k8 = k / 8 + half8;
        if (k8 < WIDTH / 8) {
            if (loads_x) {
                uint at = (first_row + column) * (a.x_stride / 4) + 2 * k8;
                if (row_at(first_row + column, a.step_rows).runs) { low = inputs[at]; high = inputs[at + 1]; }
            } else if (first_out + column < a.count) {
                weights8(first_out + column, k8, low, high);
            }
        }
        barrier();
        put8(loads_x, column, half8 * 8, low, high);
        barrier();
        [[unroll]] for (uint d = 0; d < DEPTH; d++) {
            float xs[4], ws[4];
            [[unroll]] for (uint i = 0; i < 4; i++) { xs[i] = x_tile[d][ty * 4 + i]; ws[i] = w_tile[d][tx * 4 + i]; }
            [[unroll]] for (uint i = 0; i < 4; i++)
                [[unroll]] for (uint j = 0; j < 4; j++) sums[i][j] += xs[i] * ws[j];
        }
    }

    [[unroll]] for (uint i = 0; i < 4; i++) {
        Row row = row_at(first_row + ty * 4 + i, a.step_rows);
        if (!row.runs) continue;
        [[unroll]] for (uint j = 0; j < 4; j += 2) {
            uint o = first_out + tx * 4 + j;
            if (o < a.count) PHASE(store)(row, a.first + o, vec2(sums[i][j], sums[i][j + 1]) + bias2(a.first + o));
        }
    }
}
