// PREFILL COOPMAT: y = W x + b by the device's own products of small matrices (VK_KHR_cooperative_matrix): halves times
// halves, added up in fp32. The price is that x is rounded, and W in a small format too: docs/results/coopmat.md.
//
// A workgroup makes TILE_ROWS rows by TILE_OUTPUTS outputs, DEPTH of the width at a time. Its lanes fetch that much of x
// and of W into registers while the DEPTH before it is multiplied, and then put it into shared memory as halves. Each of
// its subgroups makes DOWN by ACROSS matrices of MATRIX_M rows by MATRIX_N outputs.
//
// An output is added up in steps of MATRIX_K, in the order of the width: the tile's shape changes no bit. With SPLITS the
// width is cut into segments, each added up by itself, and their sums are added in their order: by the workgroup that makes
// them all, or, with SPLIT, by the last of those that make one each. So that changes no bit either.
#include "coopmat.glsl"

// tiles in shared memory: 2: one is filled while the other is multiplied
layout(constant_id = CONSTANT_PRODUCT_BUFFERED) const uint BUFFERED = 2;
#define ROUND (BUFFERED * DEPTH)
#include "product_pieces.glsl"

layout(constant_id = CONSTANT_PRODUCT_MATRIX_M) const uint MATRIX_M = 16; // rows of x
layout(constant_id = CONSTANT_PRODUCT_MATRIX_N) const uint MATRIX_N = 16; // outputs
layout(constant_id = CONSTANT_PRODUCT_MATRIX_K) const uint MATRIX_K = 16; // of the width
// share the rows; the others of a workgroup share the outputs
layout(constant_id = CONSTANT_PRODUCT_SUBGROUPS_DOWN) const uint SUBGROUPS_DOWN = 2;

#ifdef SPLITS
// of the width: whole rounds of multiply_segment, or the whole width
layout(constant_id = CONSTANT_PRODUCT_SEGMENT) const uint SEGMENT = 768;
layout(constant_id = CONSTANT_PRODUCT_SPLIT) const uint SPLIT = 0; // 1: a workgroup makes one segment, gl_WorkGroupID.z
const uint SEGMENTS = (WIDTH + SEGMENT - 1) / SEGMENT;
#else
#define SEGMENT WIDTH
#define SPLIT 0
#define SEGMENTS 1
#endif

const uint SUBGROUPS_ACROSS = SIZE / SUBGROUP / SUBGROUPS_DOWN;
const uint DOWN = TILE_ROWS / MATRIX_M / SUBGROUPS_DOWN;
const uint ACROSS = TILE_OUTPUTS / MATRIX_N / SUBGROUPS_ACROSS;

#define STRIDE (DEPTH / 8 + 1) // in 16 bytes; the gap keeps eight rows in different banks
const uint X_TILE = TILE_ROWS * STRIDE, W_TILE = TILE_OUTPUTS * STRIDE;
shared uvec4 x_tile[BUFFERED * X_TILE]; // [row][width], 8 halves in each
shared uvec4 w_tile[BUFFERED * W_TILE]; // [output][width]

void put_w(Piece p, uint at)
{
    vec2 scale = piece_scale(p);
    [[unroll]] for (uint j = 0; j < W_UNIT / 8; j++) w_tile[at + j] = piece_weight_halves(p, j, scale);
}

uint x_put, w_put; // where the lane's first pieces go

// What was fetched, into the tiles.
void put(uint tile)
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++)
        if (x_exists(i)) x_tile[tile * X_TILE + x_put + i * (SIZE / X_PARTS) * STRIDE] = piece_x_halves(xs[i]);
    [[unroll]] for (uint i = 0; i < W_PIECES; i++)
        if (w_exists(i)) put_w(ws[i], tile * W_TILE + w_put + i * (SIZE / W_PARTS) * STRIDE);
}

// ---- products

#define Sum coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
Sum sums[DOWN * ACROSS];
#ifdef SPLITS
const uint TOTALS = SEGMENTS > 1 && SPLIT == 0 ? DOWN * ACROSS : 0;
Sum totals[TOTALS == 0 ? 1 : TOTALS]; // of the segments before
#endif

// AMD's compiler loads matrices as early as it can. With 128 results a lane, in subgroups of 64, that is more than registers
// have room for in one piece, and it moves them about: there loads stay behind a barrier, which is no instruction.
#define KEEPS_LOADS (SUBGROUP == 64)

// `live` has a bit for each matrix of rows and, from OUTPUT_BIT on, of outputs: whether it is multiplied.
#define OUTPUT_BIT 16
void multiply(uint x_first, uint w_first, uint live)
{
    [[unroll]] for (uint d = 0; d < DEPTH; d += MATRIX_K) {
        coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x[DOWN];
        [[unroll]] for (uint i = 0; i < DOWN; i++)
            coopMatLoad(x[i], x_tile, x_first + i * MATRIX_M * STRIDE + d / 8, STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            if (KEEPS_LOADS && j > 0) subgroup_barrier();
            if ((live >> (OUTPUT_BIT + j) & 1) == 0) continue;
            coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> w;
            coopMatLoad(w, w_tile, w_first + j * MATRIX_N * STRIDE + d / 8, STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < DOWN; i++)
                if ((live >> i & 1) != 0) sums[i * ACROSS + j] = coopMatMulAdd(x[i], w, sums[i * ACROSS + j]);
        }
    }
}

// The tile's rows and outputs that the subgroup makes begin here.
uint own_row() { return gl_SubgroupID / SUBGROUPS_ACROSS * DOWN * MATRIX_M; }
uint own_output() { return gl_SubgroupID % SUBGROUPS_ACROSS * ACROSS * MATRIX_N; }

// Of the matrices that the subgroup makes, those with a row that runs, and those with an output that is there.
uint own_live(uint first_row, uint first_out)
{
    uint live = 0;
    [[unroll]] for (uint j = 0; j < ACROSS; j++)
        if (first_out + own_output() + j * MATRIX_N < a.count) live |= 1u << (OUTPUT_BIT + j);
    [[unroll]] for (uint i = 0; i < DOWN; i++)
        if (any_runs(first_row + own_row() + i * MATRIX_M, MATRIX_M, a.step_rows)) live |= 1u << i;
    return subgroupOr(live); // the same in all lanes: so that compilers know it
}

bool all_live(uint first_row, uint first_out)
{
    bool live = first_out + TILE_OUTPUTS <= a.count;
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i += MATRIX_M) live = live && any_runs(first_row + i, MATRIX_M, a.step_rows);
    return live;
}

uint x_own, w_own; // where the subgroup's rows and outputs are in a tile

// Multiplies DEPTH of the width, in eights from k8 on, which is in one of the tiles: always the same of two, so that a lane's
// places in it are constants. The DEPTH behind it is on its way meanwhile, and then goes into the other one.
void multiply_depth(uint tile, uint k8, uint live)
{
    bool last = tile == BUFFERED - 1; // of a round
    fetch(k8 + DEPTH / 8, last); // no branch around it: compilers wait at its end
    multiply(tile * X_TILE + x_own, tile * W_TILE + w_own, live);
    if (BUFFERED == 1) workgroup_barrier(); // all are done with what is there
    put(last ? 0 : 1);
    workgroup_barrier();
}

// Whole rounds, which may end behind the width: a way out between the tiles costs AMD's compiler moves of all sums.
void multiply_segment(uint begin, uint end, uint live)
{
    for (uint k8 = begin; k8 < end; k8 += ROUND / 8) {
        [[unroll]] for (uint n = 0; n < BUFFERED; n++) multiply_depth(n, k8 + n * (DEPTH / 8), live);
    }
}

// The width ends at a.x_stride, which is WIDTH, but compilers do not know, and do not unroll the loops.
void multiply_all(uint live)
{
    uint begin = SPLIT != 0 ? gl_WorkGroupID.z * (SEGMENT / 8) : 0, end = a.x_stride / 8; // in eights
#ifdef SPLITS
    [[unroll]] for (uint i = 0; i < TOTALS; i++) totals[i] = Sum(0.0);
#endif
    x_put = x_row(0) * STRIDE + x_part(), w_put = w_row(0) * STRIDE + w_part() * (W_UNIT / 8);
    x_own = own_row() * STRIDE, w_own = own_output() * STRIDE;
    fetch(begin, false);
    put(0);
    workgroup_barrier();
    do {
        [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) sums[i] = Sum(0.0);
        multiply_segment(begin, min(begin + SEGMENT / 8, end), live);
        begin += SEGMENT / 8;
#ifdef SPLITS
        [[unroll]] for (uint i = 0; i < TOTALS; i++) totals[i] += sums[i];
#endif
    } while (SEGMENTS > 1 && SPLIT == 0 && begin < end);
#ifdef SPLITS
    [[unroll]] for (uint i = 0; i < TOTALS; i++) sums[i] = totals[i];
#endif
}

// ---- results, through memory: nobody knows which of a matrix a lane has

#include "product_store.glsl"

// MATRIX_M rows of what the subgroup makes, in the place of the tile of x and of that of W.
#define MADE_ROW (ACROSS * MATRIX_N)
#define MADE_4 (MATRIX_M * MADE_ROW / 4)

// All loads first, then all stores. It begins at the lane's number, of which compilers do not know how often it goes round.
void store_made(uint row, uint first_out, uint at)
{
    for (uint first = gl_SubgroupInvocationID; first < MADE_4; first += STORED * SUBGROUP) {
        [[unroll]] for (uint m = 0; m < STORED; m++) {
            uint i = first + m * SUBGROUP;
            made_begin(m, row + i / (MADE_ROW / 4), first_out + i % (MADE_ROW / 4) * 4, i < MADE_4);
            made[m].y = uintBitsToFloat(w_tile[at + min(i, MADE_4 - 1)]);
        }
        [[unroll]] for (uint m = 0; m < STORED; m++) made_store(made[m]);
    }
}

// The loop over i stays one, because there is one inside; and sums are asked for by constants alone: an array of more than 256
// bytes a lane that is not goes to memory, in AMD's compiler.
void store_sums(uint first_row, uint first_out)
{
    uint at = gl_SubgroupID * MADE_4;
    for (uint i = 0; i < DOWN; i++) {
        [[unroll]] for (uint n = 0; n < DOWN * ACROSS; n++)
            if (n / ACROSS == i)
                coopMatStore(sums[n], w_tile, at + n % ACROSS * MATRIX_N / 4, MADE_ROW / 4, gl_CooperativeMatrixLayoutRowMajor);
        subgroup_barrier();
        store_made(first_row + own_row() + i * MATRIX_M, first_out + own_output(), at);
        subgroup_barrier();
    }
}

// ---- SPLIT: the sum of a segment goes to memory, and the workgroup that is the last to bring one adds them up

#ifdef SPLITS
// Of each tile, how many segments are there: 0 before the product and behind it.
layout(binding = 5) queuefamilycoherent buffer Arrived { uint arrived[]; };
layout(binding = 6) queuefamilycoherent buffer Segments { vec4 segment_sums[]; }; // [tile][segment][row][output]
shared uint arrived_before;

#define TILE_4 (TILE_ROWS * TILE_OUTPUTS / 4)
#define OF_ALL gl_ScopeQueueFamily, gl_StorageSemanticsBuffer, SEE_ALL

// What all lanes have stored before it is seen by the lanes of the workgroup that sees the number which this one adds.
bool is_last(uint tile)
{
    controlBarrier(gl_ScopeWorkgroup, OF_ALL);
    if (gl_LocalInvocationID.x == 0) arrived_before = atomicAdd(arrived[tile], 1u, OF_ALL);
    controlBarrier(gl_ScopeWorkgroup, gl_ScopeQueueFamily, gl_StorageSemanticsBuffer | gl_StorageSemanticsShared, SEE_ALL);
    return arrived_before == SEGMENTS - 1;
}

vec4 segments_sum(uint at)
{
    vec4 part[SEGMENTS];
    [[unroll]] for (uint s = 0; s < SEGMENTS; s++) part[s] = segment_sums[at + s * TILE_4];
    vec4 sum = part[0];
    [[unroll]] for (uint s = 1; s < SEGMENTS; s++) sum += part[s];
    return sum;
}

void store_segments(uint first_row, uint first_out, uint first)
{
    for (uint from = 0; from < TILE_4; from += STORED * SIZE) {
        [[unroll]] for (uint m = 0; m < STORED; m++) {
            uint i = min(from + m * SIZE + gl_LocalInvocationID.x, TILE_4 - 1);
            bool once = from + m * SIZE + gl_LocalInvocationID.x < TILE_4;
            made_begin(m, first_row + i / (TILE_OUTPUTS / 4), first_out + i % (TILE_OUTPUTS / 4) * 4, once);
            if (made[m].exists) made[m].y = segments_sum(first + i);
        }
        [[unroll]] for (uint m = 0; m < STORED; m++) made_store(made[m]);
    }
}

void leave_segment(uint first_row, uint first_out)
{
    uint tile = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x, first = tile * SEGMENTS * TILE_4;
    uint at = first + gl_WorkGroupID.z * TILE_4 + (own_row() * TILE_OUTPUTS + own_output()) / 4;
    [[unroll]] for (uint i = 0; i < DOWN; i++)
        [[unroll]] for (uint j = 0; j < ACROSS; j++)
            coopMatStore(sums[i * ACROSS + j], segment_sums, at + (i * MATRIX_M * TILE_OUTPUTS + j * MATRIX_N) / 4,
                         TILE_OUTPUTS / 4, gl_CooperativeMatrixLayoutRowMajor);
    if (!is_last(tile)) return;
    store_segments(first_row, first_out, first);
    if (gl_LocalInvocationID.x == 0) atomicExchange(arrived[tile], 0u);
}
#endif

void product()
{
    uint first_row = gl_WorkGroupID.y * TILE_ROWS, first_out = gl_WorkGroupID.x * TILE_OUTPUTS;
    if (!any_runs(first_row, TILE_ROWS, a.step_rows)) return;

    pieces_begin(first_row, first_out);
    if (all_live(first_row, first_out)) multiply_all(0xffffffffu);
    else multiply_all(own_live(first_row, first_out)); // code of its own, so that the other has no branches
#ifdef SPLITS
    if (SPLIT != 0) {
        leave_segment(first_row, first_out);
        return;
    }
#endif
    store_sums(first_row, first_out);
}
