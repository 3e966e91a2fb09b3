// PREFILL COOPMAT: y = W x + b by the device's own products of small matrices (VK_KHR_cooperative_matrix): halves times
// halves, added up in fp32. The price is that x is rounded, and W in a small format too: docs/results/coopmat.md.
//
// A workgroup makes TILE rows by TILE outputs, DEPTH of the width at a time, which its lanes fetch into shared memory as
// halves. Each of its subgroups makes DOWN by ACROSS matrices of MATRIX_M rows by MATRIX_N outputs.
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(constant_id = 9) const uint MATRIX_M = 16;  // rows of x
layout(constant_id = 10) const uint MATRIX_N = 16; // outputs
layout(constant_id = 11) const uint MATRIX_K = 16; // of the width

#define TILE PREFILL_TILE
#define DEPTH 32
#define STRIDE (DEPTH / 8 + 1) // in 16 bytes; the gap keeps a matrix's rows in different banks
#define PIECES (TILE * DEPTH / 8 / SIZE) // of 8 numbers, that a lane fetches of x and of W

const uint SUBGROUPS = SIZE / SUBGROUP;
const uint ACROSS = COOPMAT_ACROSS;
const uint DOWN = (TILE / MATRIX_M) * (TILE / MATRIX_N) / SUBGROUPS / ACROSS;

shared uvec4 x_tile[TILE * STRIDE]; // [row][width], 8 halves in each
shared uvec4 w_tile[TILE * STRIDE]; // [output][width]
shared float made[SUBGROUPS * MATRIX_M * MATRIX_N];

struct Piece {
    uint row, eighth; // of the tile
    uint x_row, w_row;
    vec4 x_low, x_high;
    uvec4 w;
};

// 8 halves. What is beyond their range becomes its end, for infinity means that something went wrong, which must come out
// at the end: where one of the 8 is no number, none is.
uvec4 pack8(vec4 low, vec4 high)
{
    uvec4 four = max(floatBitsToUint(abs(low)), floatBitsToUint(abs(high)));
    uint most = max(max(four.x, four.y), max(four.z, four.w));
    if (most >= 0x7f800000u) return uvec4(0x7e007e00u);
    if (most > floatBitsToUint(65504.0)) low = clamp(low, -65504.0, 65504.0), high = clamp(high, -65504.0, 65504.0);
    return uvec4(packHalf2x16(low.xy), packHalf2x16(low.zw), packHalf2x16(high.xy), packHalf2x16(high.zw));
}

uvec4 weight_halves8(uint row, uint k8)
{
    if (WEIGHTS == WEIGHTS_F16) return weights[row * (WIDTH / 8) + k8];
    vec4 low, high;
    weights8(row, k8, low, high);
    return pack8(low, high);
}

// A row that does not run, and an output that is not there, take another's place: nothing is stored for them.
Piece piece_at(uint i, uint first_row, uint first_out)
{
    Piece p;
    p.row = i / (DEPTH / 8), p.eighth = i % (DEPTH / 8);
    p.x_row = row_at(first_row + p.row, a.step_rows).runs ? first_row + p.row : first_row;
    p.w_row = min(first_out + p.row, a.count - 1);
    return p;
}

void fetch(inout Piece p, uint k)
{
    uint k8 = k / 8 + p.eighth, within = min(k8, WIDTH / 8 - 1);
    uint at = p.x_row * (a.x_stride / 4) + 2 * within;
    p.x_low = inputs[at], p.x_high = inputs[at + 1];
    p.w = weight_halves8(p.w_row, within);
    if (k8 != within) p.x_low = p.x_high = vec4(0.0), p.w = uvec4(0);
}

void put(Piece p)
{
    x_tile[p.row * STRIDE + p.eighth] = pack8(p.x_low, p.x_high);
    w_tile[p.row * STRIDE + p.eighth] = p.w;
}

#define Sum coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
Sum sums[DOWN * ACROSS];

void multiply(uint row, uint column)
{
    [[unroll]] for (uint d = 0; d < DEPTH; d += MATRIX_K) {
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> w[ACROSS];
        [[unroll]] for (uint j = 0; j < ACROSS; j++)
            coopMatLoad(w[j], w_tile, (column + j * MATRIX_N) * STRIDE + d / 8, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint i = 0; i < DOWN; i++) {
            coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> xs;
            coopMatLoad(xs, x_tile, (row + i * MATRIX_M) * STRIDE + d / 8, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint j = 0; j < ACROSS; j++) sums[i * ACROSS + j] = coopMatMulAdd(xs, w[j], sums[i * ACROSS + j]);
        }
    }
}

// The MATRIX_M by MATRIX_N results of a subgroup, from shared memory.
void store_made(uint row, uint column)
{
    for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * MATRIX_N / 2; i += SUBGROUP) {
        Row r = row_at(row + 2 * i / MATRIX_N, a.step_rows);
        uint o = column + 2 * i % MATRIX_N, at = gl_SubgroupID * MATRIX_M * MATRIX_N + 2 * i;
        if (r.runs && o < a.count) PHASE(store)(r, a.first + o, vec2(made[at], made[at + 1]) + bias2(a.first + o));
    }
}

void product()
{
    uint first_row = gl_WorkGroupID.y * TILE, first_out = gl_WorkGroupID.x * TILE;
    if (!any_runs(first_row, TILE, a.step_rows)) return;

    uint row = gl_SubgroupID / (TILE / MATRIX_N / ACROSS) * DOWN * MATRIX_M; // of the tile, from which on the subgroup's matrices stand
    uint column = gl_SubgroupID % (TILE / MATRIX_N / ACROSS) * ACROSS * MATRIX_N;
    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) sums[i] = Sum(0.0);

    Piece pieces[PIECES];
    [[unroll]] for (uint i = 0; i < PIECES; i++) {
        pieces[i] = piece_at(gl_LocalInvocationID.x + i * SIZE, first_row, first_out);
        fetch(pieces[i], 0);
    }
    for (uint k = 0; k < WIDTH; k += DEPTH) {
        barrier();
        [[unroll]] for (uint i = 0; i < PIECES; i++) put(pieces[i]);
        barrier();
        [[unroll]] for (uint i = 0; i < PIECES; i++) fetch(pieces[i], k + DEPTH); // on their way while these are multiplied
        multiply(row, column);
    }

    [[unroll]] for (uint i = 0; i < DOWN; i++)
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            subgroupBarrier();
            coopMatStore(sums[i * ACROSS + j], made, gl_SubgroupID * MATRIX_M * MATRIX_N, MATRIX_N, gl_CooperativeMatrixLayoutRowMajor);
            subgroupBarrier();
            store_made(first_row + row + i * MATRIX_M, first_out + column + j * MATRIX_N);
        }
}
