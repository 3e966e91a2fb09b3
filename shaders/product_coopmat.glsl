// PREFILL COOPMAT: y = W x + b by the device's own products of small matrices (VK_KHR_cooperative_matrix): halves times
// halves, added up in fp32. The price is that x is rounded, and W in a small format too: docs/results/coopmat.md.
//
// A workgroup makes TILE_ROWS rows by TILE_OUTPUTS outputs, DEPTH of the width at a time. Its lanes fetch that much of x
// and of W into registers while the DEPTH before it is multiplied, and put it into shared memory as halves. Each of its
// subgroups makes DOWN by ACROSS matrices of MATRIX_M rows by MATRIX_N outputs.
//
// An output is added up in steps of MATRIX_K, in the order of the width: the tile's shape changes no bit.
#include "coopmat.glsl"
#include "halves.glsl"

layout(constant_id = 15) const uint HALVES_IN = 1; // x is 1: halves, 0: floats
layout(constant_id = 17) const uint TILE_ROWS = 128;
layout(constant_id = 18) const uint TILE_OUTPUTS = 128;
layout(constant_id = 19) const uint DEPTH = 32;    // of the width
layout(constant_id = 20) const uint SUBGROUPS_DOWN = 2; // share the rows; the others of a workgroup share the outputs
layout(constant_id = 21) const uint BUFFERED = 2;  // tiles in shared memory: 2: one is filled while the other is multiplied

layout(binding = 3) readonly buffer XHalves { uvec4 x_halves[]; };

const uint SUBGROUPS_ACROSS = SIZE / SUBGROUP / SUBGROUPS_DOWN;
const uint DOWN = TILE_ROWS / MATRIX_M / SUBGROUPS_DOWN;
const uint ACROSS = TILE_OUTPUTS / MATRIX_N / SUBGROUPS_ACROSS;

#define STRIDE (DEPTH / 8 + 1) // in 16 bytes; the gap keeps eight rows in different banks
const uint X_TILE = TILE_ROWS * STRIDE, W_TILE = TILE_OUTPUTS * STRIDE;
shared uvec4 x_tile[BUFFERED * X_TILE]; // [row][width], 8 halves in each
shared uvec4 w_tile[BUFFERED * W_TILE]; // [output][width]

// ---- pieces: what a lane fetches at once

#define W_UNIT (IS_QUANTISED ? UNIT : 8) // weights of a load
const uint X_COUNT = TILE_ROWS * (DEPTH / 8), W_COUNT = TILE_OUTPUTS * (DEPTH / W_UNIT);
const uint X_PIECES = (X_COUNT + SIZE - 1) / SIZE, W_PIECES = (W_COUNT + SIZE - 1) / SIZE;

struct XPiece {
    uint row, part;  // of x; of DEPTH, in eights
    uvec4 low, high; // 8 halves in low, or 8 floats
};

struct WPiece {
    uint row, part; // of W; of DEPTH, in units
    uvec4 words;
    uint block, scale; // of 32 weights; the word that has its scale
};

XPiece xs[X_PIECES];
WPiece ws[W_PIECES];

uint number(uint i) { return gl_LocalInvocationID.x + i * SIZE; } // of a piece, in the tile
bool x_exists(uint i) { return (i + 1) * SIZE <= X_COUNT || number(i) < X_COUNT; }
bool w_exists(uint i) { return (i + 1) * SIZE <= W_COUNT || number(i) < W_COUNT; }

// A row that does not run, and an output that is not there, take another's place: nothing is stored for them.
void pieces_begin(uint first_row, uint first_out)
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) {
        xs[i].part = number(i) % (DEPTH / 8);
        xs[i].row = first_row + min(number(i) / (DEPTH / 8), TILE_ROWS - 1);
        if (!row_at(xs[i].row, a.step_rows).runs) xs[i].row = first_row;
    }
    [[unroll]] for (uint i = 0; i < W_PIECES; i++) {
        ws[i].part = number(i) % (DEPTH / W_UNIT);
        ws[i].row = min(first_out + number(i) / (DEPTH / W_UNIT), a.count - 1);
    }
}

// Behind the end of a row x counts as 0; what W is there does not matter.
void fetch_x(inout XPiece p, uint k)
{
    uint k8 = k / 8 + p.part, at = p.row * (a.x_stride / 8) + min(k8, WIDTH / 8 - 1);
    if (HALVES_IN != 0) p.low = x_halves[at];
    else p.low = floatBitsToUint(inputs[2 * at]), p.high = floatBitsToUint(inputs[2 * at + 1]);
    if (WIDTH % DEPTH != 0 && k8 >= WIDTH / 8) p.low = p.high = uvec4(0);
}

void fetch_w(inout WPiece p, uint k)
{
    uint at = p.row * (WIDTH / W_UNIT) + min(k / W_UNIT + p.part, WIDTH / W_UNIT - 1);
    p.words = weights[at];
    if (IS_QUANTISED) p.block = at / (32 / W_UNIT), p.scale = scale_word(WEIGHTS, a.scales, p.block);
}

void fetch(uint k)
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) if (x_exists(i)) fetch_x(xs[i], k);
    [[unroll]] for (uint i = 0; i < W_PIECES; i++) if (w_exists(i)) fetch_w(ws[i], k);
}

// Weights of a small format. One that no half can be becomes infinity, which the logits then show.
uvec4 unpacked8(WPiece p, uint j, vec2 scale)
{
    vec4 low = scale.x * quants4(WEIGHTS, p.words, 2 * j), high = scale.x * quants4(WEIGHTS, p.words, 2 * j + 1);
    if (HAS_MINIMUM) low -= scale.y, high -= scale.y;
    return uvec4(packHalf2x16(low.xy), packHalf2x16(low.zw), packHalf2x16(high.xy), packHalf2x16(high.zw));
}

void put_w(WPiece p, uint at)
{
    if (!IS_QUANTISED) {
        w_tile[at] = p.words;
        return;
    }
    vec2 scale = unpack_scale(WEIGHTS, p.scale, p.block);
    [[unroll]] for (uint j = 0; j < W_UNIT / 8; j++) w_tile[at + j] = unpacked8(p, j, scale);
}

// What was fetched, into the tiles.
void put(uint x_first, uint w_first)
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++)
        if (x_exists(i)) {
            uint at = x_first + number(i) / (DEPTH / 8) * STRIDE + xs[i].part;
            x_tile[at] = HALVES_IN != 0 ? xs[i].low : pack8(uintBitsToFloat(xs[i].low), uintBitsToFloat(xs[i].high));
        }
    [[unroll]] for (uint i = 0; i < W_PIECES; i++)
        if (w_exists(i)) put_w(ws[i], w_first + number(i) / (DEPTH / W_UNIT) * STRIDE + ws[i].part * (W_UNIT / 8));
}

// ---- products

#define Sum coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
Sum sums[DOWN * ACROSS];

void multiply(uint x_first, uint w_first)
{
    [[unroll]] for (uint d = 0; d < DEPTH; d += MATRIX_K) {
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x[DOWN];
        [[unroll]] for (uint i = 0; i < DOWN; i++)
            coopMatLoad(x[i], x_tile, x_first + i * MATRIX_M * STRIDE + d / 8, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> w;
            coopMatLoad(w, w_tile, w_first + j * MATRIX_N * STRIDE + d / 8, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < DOWN; i++) sums[i * ACROSS + j] = coopMatMulAdd(x[i], w, sums[i * ACROSS + j]);
        }
    }
}

// The tile's rows and outputs that the subgroup makes begin here.
uint own_row() { return gl_SubgroupID / SUBGROUPS_ACROSS * DOWN * MATRIX_M; }
uint own_output() { return gl_SubgroupID % SUBGROUPS_ACROSS * ACROSS * MATRIX_N; }

// DEPTH of the width, in one of the tiles: always the same of two, so that a lane's places in it are constants.
void multiply_depth(uint tile, uint k)
{
    if (BUFFERED == 1) workgroup_barrier(); // all are done with what was there
    put(tile * X_TILE, tile * W_TILE);
    workgroup_barrier();
    fetch(min(k + DEPTH, WIDTH - 8)); // on their way while these are multiplied. No branch: compilers wait at its end
    multiply(tile * X_TILE + own_row() * STRIDE, tile * W_TILE + own_output() * STRIDE);
}

void multiply_all()
{
    fetch(0);
    for (uint k = 0; k < a.x_stride; k += BUFFERED * DEPTH) { // WIDTH, but compilers do not know, and do not unroll it
        multiply_depth(0, k);
        if (BUFFERED == 1) continue;
        if (k + DEPTH >= WIDTH) break;
        multiply_depth(1, k + DEPTH);
    }
}

// ---- results, through shared memory: nobody knows which of a matrix a lane has

// MATRIX_M rows of what the subgroup makes, in the place of the tile of x and of that of W.
#define MADE_ROW (ACROSS * MATRIX_N)
#define MADE_4 (MATRIX_M * MADE_ROW / 4)

void store_made(uint row, uint first_out, uint at)
{
    for (uint i = gl_SubgroupInvocationID; i < MADE_4; i += SUBGROUP) {
        Row r = row_at(row + i / (MADE_ROW / 4), a.step_rows);
        uint o = first_out + i % (MADE_ROW / 4) * 4;
        if (!r.runs || o >= a.count) continue;
        vec4 y = uintBitsToFloat(w_tile[at + i]);
        PHASE(store)(r, a.first + o, y.xy + bias2(a.first + o));
        if (o + 2 < a.count) PHASE(store)(r, a.first + o + 2, y.zw + bias2(a.first + o + 2));
    }
}

void product()
{
    uint first_row = gl_WorkGroupID.y * TILE_ROWS, first_out = gl_WorkGroupID.x * TILE_OUTPUTS;
    if (!any_runs(first_row, TILE_ROWS, a.step_rows)) return;

    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) sums[i] = Sum(0.0);
    pieces_begin(first_row, first_out);
    multiply_all();

    workgroup_barrier();
    uint at = gl_SubgroupID * MADE_4;
    [[unroll]] for (uint i = 0; i < DOWN; i++) {
        [[unroll]] for (uint j = 0; j < ACROSS; j++)
            coopMatStore(sums[i * ACROSS + j], w_tile, at + j * MATRIX_N / 4, MADE_ROW / 4, gl_CooperativeMatrixLayoutRowMajor);
        subgroup_barrier();
        store_made(first_row + own_row() + i * MATRIX_M, first_out + own_output(), at);
        subgroup_barrier();
    }
}
