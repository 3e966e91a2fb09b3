// PREFILL: y = W x + b for many rows of x on a GPU, in fp32.
//
// A workgroup computes a tile of TILE_ROWS rows by TILE_OUTPUTS outputs. DEPTH of the width is in shared memory at a
// time, and the next part is fetched meanwhile. Each lane computes LANE_ROWS by LANE_OUTPUTS of the tile in registers.
//
// An output is added up in the order of the width, so the tile's shape changes no bit.
#define ROUND DEPTH
#include "product_pieces.glsl"
#include "product_store.glsl"

#define RUN 8 // of DEPTH, unrolled

const uint LANE_SUMS = TILE_ROWS * TILE_OUTPUTS / SIZE;
const uint LANE_OUTPUTS = LANE_SUMS >= 32 ? 8 : 4, LANE_ROWS = LANE_SUMS / LANE_OUTPUTS;
const uint LANES_ACROSS = TILE_OUTPUTS / LANE_OUTPUTS, LANES_DOWN = TILE_ROWS / LANE_ROWS;

// [k of DEPTH][row or output], four neighbours in each quad. Lanes write eight rows and four parts of DEPTH at a time.
// Each part begins two quads later than the one before, so that all of these writes go to different banks; one quad
// later in the smallest tile, for devices with 16 KiB. DEPTH is at least 32, a unit of the quantised formats.
const uint STEP = TILE_ROWS < 32 ? 1 : 2;
#define SKEW(k) ((k) / 8 * STEP)
const uint GAP = (DEPTH / 8 - 1) * STEP;
const uint X_STRIDE = TILE_ROWS / 4 + GAP, W_STRIDE = TILE_OUTPUTS / 4 + GAP;
shared vec4 x_tile[DEPTH * X_STRIDE], w_tile[DEPTH * W_STRIDE];

// Writes eight neighbours along the width of one row or output.
#define PUT8(tile, stride, part, column, low, high)                                  \
    {                                                                                \
        uint at = (part) * (8 * (stride) + STEP) + (column) / 4, c = (column) % 4;      \
        [[unroll]] for (uint n = 0; n < 4; n++) {                                    \
            tile[at + n * (stride)][c] = (low)[n];                                   \
            tile[at + (n + 4) * (stride)][c] = (high)[n];                            \
        }                                                                            \
    }

void put_x(Piece p, uint column) { PUT8(x_tile, X_STRIDE, x_part(), column, uintBitsToFloat(p.low), uintBitsToFloat(p.high)) }

void put_w(Piece p, uint column)
{
    vec2 scale = piece_scale(p);
    [[unroll]] for (uint j = 0; j < W_UNIT / 8; j++) {
        vec4 low, high;
        piece_weights(p, j, scale, low, high);
        PUT8(w_tile, W_STRIDE, w_part() * (W_UNIT / 8) + j, column, low, high)
    }
}

// Writes what was fetched into the tiles.
void put()
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) if (x_exists(i)) put_x(xs[i], x_row(i));
    [[unroll]] for (uint i = 0; i < W_PIECES; i++) if (w_exists(i)) put_w(ws[i], w_row(i));
}

// ---- products

float sums[LANE_ROWS][LANE_OUTPUTS];

// The quads of rows and of outputs that belong to this lane: every LANES_DOWN-th, every LANES_ACROSS-th.
uint row_quad(uint i) { return gl_LocalInvocationID.x / LANES_ACROSS + i * LANES_DOWN; }
uint output_quad(uint j) { return gl_LocalInvocationID.x % LANES_ACROSS + j * LANES_ACROSS; }

// Quads of row k = first + n of a tile. n is a constant, first the start of a run.
vec4 x_quad(uint first, uint n, uint i) { return x_tile[first * X_STRIDE + SKEW(first) + row_quad(i) + n * X_STRIDE]; }
vec4 w_quad(uint first, uint n, uint j) { return w_tile[first * W_STRIDE + SKEW(first) + output_quad(j) + n * W_STRIDE]; }

// Multiplies RUN of the width for a quad of rows.
void multiply_run(uint first, uint i)
{
    [[unroll]] for (uint n = 0; n < RUN; n++) {
        vec4 x = x_quad(first, n, i);
        [[unroll]] for (uint j = 0; j < LANE_OUTPUTS / 4; j++) {
            vec4 w = w_quad(first, n, j);
            [[unroll]] for (uint r = 0; r < 4; r++)
                [[unroll]] for (uint o = 0; o < 4; o++) sums[4 * i + r][4 * j + o] += x[r] * w[o];
        }
    }
}

// Multiplies what is in the tiles, for the quads of rows that have a bit in `live`. It is written out for each quad,
// because compilers do not unroll a loop around one that stays a loop.
#define MULTIPLY(i, live)                          \
    if (i < LANE_ROWS / 4 && (live >> i & 1) != 0) \
        [[dont_unroll]] for (uint k = 0; k < DEPTH; k += RUN) multiply_run(k, i);

void multiply(uint live)
{
    MULTIPLY(0, live)
    MULTIPLY(1, live)
}

// A bit for each quad with a row that runs, in any lane of the subgroup. All lanes get the same bits.
uint own_live(uint first_row)
{
    uint live = 0;
    [[unroll]] for (uint i = 0; i < LANE_ROWS / 4; i++)
        if (row_at(first_row + 4 * row_quad(i), a.step_rows).runs) live |= 1u << i;
    return subgroupOr(live);
}

void multiply_all(uint live)
{
    fetch(0, false);
    // a.x_stride is WIDTH, but compilers do not know that, so they do not unroll the loop
    for (uint k = 0; k < a.x_stride; k += DEPTH) {
        barrier(); // all lanes are done with the part before
        put();
        barrier();
        fetch((k + DEPTH) / 8, true); // arrives meanwhile. Not in a branch: compilers wait at its end
        multiply(live);
    }
}

void store_sums(uint first_row, uint first_out)
{
    [[unroll]] for (uint n = 0; n < LANE_SUMS / 4; n += STORED) {
        [[unroll]] for (uint m = 0; m < STORED; m++) {
            uint r = (n + m) / (LANE_OUTPUTS / 4), j = (n + m) % (LANE_OUTPUTS / 4);
            made_begin(m, first_row + 4 * row_quad(r / 4) + r % 4, first_out + 4 * output_quad(j), true);
            made[m].y = vec4(sums[r][4 * j], sums[r][4 * j + 1], sums[r][4 * j + 2], sums[r][4 * j + 3]);
        }
        [[unroll]] for (uint m = 0; m < STORED; m++) made_store(made[m]);
    }
}

void product()
{
    uint first_row = gl_WorkGroupID.y * TILE_ROWS, first_out = gl_WorkGroupID.x * TILE_OUTPUTS;
    if (!any_runs(first_row, TILE_ROWS, a.step_rows)) return;

    [[unroll]] for (uint r = 0; r < LANE_ROWS; r++)
        [[unroll]] for (uint o = 0; o < LANE_OUTPUTS; o++) sums[r][o] = 0.0;
    pieces_begin(first_row, first_out);
    multiply_all(own_live(first_row));
    store_sums(first_row, first_out);
}
