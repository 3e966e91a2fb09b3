// PREFILL on a GPU: y = W x + b for many rows of x.
//
// A workgroup computes a tile of TILE_ROWS rows by TILE_OUTPUTS outputs. DEPTH of the width is in shared memory at a
// time. The next part of x and W is fetched into registers, in pieces, while this one is multiplied. How a tile is
// multiplied has two forms: with COOPMAT by the device's own products of small matrices (VK_KHR_cooperative_matrix), in
// halves; otherwise by each lane in its registers, in fp32.
//
// An output is added up in the order of the width, so the tile's shape changes no bit.
#ifdef COOPMAT
#include "coopmat.glsl"

// 2: there are two tiles in shared memory, and one is filled while the other one is multiplied; 1: there is one
layout(constant_id = CONSTANT_PRODUCT_BUFFERED) const uint BUFFERED = 2;
#define ROUND (BUFFERED * DEPTH) // how much of the width one round of the loop takes
#else
#define ROUND DEPTH
#endif

// ---- pieces of x and W, from memory to registers
//
// Each lane of a workgroup fetches a few pieces, each of 16 bytes or of eight numbers. `put` writes them to shared
// memory, in the layout of the form.

layout(constant_id = CONSTANT_PRODUCT_TILE_ROWS) const uint TILE_ROWS = 128;
layout(constant_id = CONSTANT_PRODUCT_TILE_OUTPUTS) const uint TILE_OUTPUTS = 128;
layout(constant_id = CONSTANT_PRODUCT_DEPTH) const uint DEPTH = 32; // of the width

#ifdef COOPMAT
layout(constant_id = CONSTANT_PRODUCT_HALVES_IN) const uint HALVES_IN = 1; // 1: x is in halves; 0: in floats
layout(binding = 3) readonly buffer XHalves { uvec4 x_halves[]; };
#include "halves.glsl"
#endif

#define W_UNIT (IS_QUANTISED ? UNIT : 8) // weights of a load
const uint X_COUNT = TILE_ROWS * (DEPTH / 8), W_COUNT = TILE_OUTPUTS * (DEPTH / W_UNIT);
const uint X_PIECES = (X_COUNT + SIZE - 1) / SIZE, W_PIECES = (W_COUNT + SIZE - 1) / SIZE;

struct Piece {
    uvec4 low, high;   // the words as loaded: 8 floats take both, all else fits into low
    uint block, scale; // the block of 32 weights; the word with its scale
};

Piece xs[X_PIECES], ws[W_PIECES];
uint x_from[X_PIECES], w_from[W_PIECES]; // in x and W, in eights and units: the piece at the beginning of the width

// All pieces of a lane are the same part of DEPTH, in eights or units, and their rows have the same distance. So one
// address in shared memory is enough for all of them. Eight lanes have eight rows, which are in different banks.
const uint X_PARTS = DEPTH / 8, W_PARTS = DEPTH / W_UNIT;
uint eight_rows(uint parts) { return gl_LocalInvocationID.x % 8 + gl_LocalInvocationID.x / (8 * parts) * 8; }
uint x_part() { return gl_LocalInvocationID.x / 8 % X_PARTS; }
uint w_part() { return gl_LocalInvocationID.x / 8 % W_PARTS; }
uint x_row(uint i) { return eight_rows(X_PARTS) + i * (SIZE / X_PARTS); } // of the tile
uint w_row(uint i) { return eight_rows(W_PARTS) + i * (SIZE / W_PARTS); }
bool x_exists(uint i) { return (i + 1) * SIZE <= X_COUNT || gl_LocalInvocationID.x + i * SIZE < X_COUNT; }
bool w_exists(uint i) { return (i + 1) * SIZE <= W_COUNT || gl_LocalInvocationID.x + i * SIZE < W_COUNT; }

// For a row that does not run, or an output that does not exist, another one is loaded; nothing is stored for it.
void pieces_begin(uint first_row, uint first_out)
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) {
        uint row = first_row + min(x_row(i), TILE_ROWS - 1);
        if (!row_at(row, a.range).runs) row = first_row;
        x_from[i] = row * (a.x_stride / 8) + x_part();
    }
    [[unroll]] for (uint i = 0; i < W_PIECES; i++)
        w_from[i] = min(first_out + w_row(i), a.count - 1) * (WIDTH / W_UNIT) + w_part();
}

// The width from k8 on, in eights. Past the end of a row x is 0, so W may be anything there. Where rounds end with the
// width, only the last fetch of a round can be past the end, and k8, which is the same for all lanes, is enough to know.
#define ENDS_WHOLE (WIDTH % ROUND == 0)

void fetch_x(inout Piece p, uint from, uint k8)
{
    uint at = from + (ENDS_WHOLE ? k8 : min(k8 + x_part(), WIDTH / 8 - 1) - x_part());
#ifdef COOPMAT
    if (HALVES_IN != 0) p.low = x_halves[at];
    else
#endif
    p.low = floatBitsToUint(inputs[2 * at]), p.high = floatBitsToUint(inputs[2 * at + 1]);
    if (!ENDS_WHOLE && k8 + x_part() >= WIDTH / 8) p.low = p.high = uvec4(0);
}

void fetch_w(inout Piece p, uint from, uint k8)
{
    uint unit = k8 / (W_UNIT / 8), at = from + (ENDS_WHOLE ? unit : min(unit + w_part(), WIDTH / W_UNIT - 1) - w_part());
    if (WEIGHTS == WEIGHTS_F32) p.low = weights[2 * at], p.high = weights[2 * at + 1];
    else p.low = weights[at];
    if (IS_QUANTISED) p.block = at / (32 / W_UNIT), p.scale = scale_word(WEIGHTS, a.scales, p.block);
}

void fetch(uint k8, bool last)
{
    if (ENDS_WHOLE && last) k8 = min(k8, (WIDTH - DEPTH) / 8);
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) if (x_exists(i)) fetch_x(xs[i], x_from[i], k8);
    [[unroll]] for (uint i = 0; i < W_PIECES; i++) if (w_exists(i)) fetch_w(ws[i], w_from[i], k8);
}

vec2 piece_scale(Piece p) { return IS_QUANTISED ? unpack_scale(WEIGHTS, p.scale, p.block) : vec2(0.0); }

// The eight weights j of a piece.
void piece_weights(Piece p, uint j, vec2 scale, out vec4 low, out vec4 high)
{
    if (IS_QUANTISED) {
        low = scale.x * quants4(WEIGHTS, p.low, 2 * j), high = scale.x * quants4(WEIGHTS, p.low, 2 * j + 1);
        if (HAS_MINIMUM) low -= scale.y, high -= scale.y;
    } else if (WEIGHTS == WEIGHTS_F16) {
        unpack8(p.low, low, high);
    } else {
        low = uintBitsToFloat(p.low), high = uintBitsToFloat(p.high);
    }
}

#ifdef COOPMAT
// Four quants from the bytes of a word, each plus 1024. The last bit of a half of 1024 is 1, so a quant that is put into
// its last bits adds to it. This takes fewer instructions than a conversion of each integer.
vec4 quants4_1024(uint word, uint bits)
{
    f16vec2 even = unpackFloat2x16(word & bits | 0x64006400u), odd = unpackFloat2x16(word >> 8 & bits | 0x64006400u);
    return vec4(even.x, odd.x, even.y, odd.y);
}

// The four weights j of a piece. `scale` has the scale, and the weight of a quant of 0, less 1024 times the scale; then
// both for quants that are in the high halves of bytes, which are 16 times as large.
vec4 piece_quad(Piece p, uint j, vec4 scale)
{
    if (WEIGHTS == WEIGHTS_Q8_0) return quants4_1024(p.low[j] ^ 0x80808080u, 0x00ff00ffu) * scale.x + scale.y;
    if (j % 2 == 0) return quants4_1024(p.low[j / 2], 0x000f000fu) * scale.x + scale.y;
    return quants4_1024(p.low[j / 2], 0x00f000f0u) * scale.z + scale.w;
}

vec4 piece_scale_1024(Piece p)
{
    vec2 two = vec2(unpackFloat2x16(WEIGHTS == WEIGHTS_Q4_K ? p.scale : p.scale >> 16 * (p.block & 1)));
    float minimum = WEIGHTS == WEIGHTS_Q4_K ? two.y : (WEIGHTS == WEIGHTS_Q4_0 ? 8.0 : 128.0) * two.x;
    return vec4(two.x, -1024.0 * two.x - minimum, two.x / 16.0, -64.0 * two.x - minimum);
}

// The eight weights j of a piece, rounded to halves. A weight that is too large for a half becomes infinity, which the
// logits then show.
uvec4 piece_weight_halves(Piece p, uint j, vec4 scale)
{
    vec4 low, high;
    if (WEIGHTS == WEIGHTS_F16) return p.low;
    if (IS_QUANTISED) low = piece_quad(p, 2 * j, scale), high = piece_quad(p, 2 * j + 1, scale);
    else low = uintBitsToFloat(p.low), high = uintBitsToFloat(p.high);
    return uvec4(packHalf2x16(low.xy), packHalf2x16(low.zw), packHalf2x16(high.xy), packHalf2x16(high.zw));
}

// Eight numbers of x.
uvec4 piece_x_halves(Piece p) { return HALVES_IN != 0 ? p.low : pack8(uintBitsToFloat(p.low), uintBitsToFloat(p.high)); }
#endif

// ---- results, from registers to memory: four outputs of a row at a time, with bias and residual

#ifdef RESIDUAL
vec2 PHASE(before)(uint row, uint o);
void PHASE(store_sum)(uint row, uint o, vec2 y);
#define STORED 4 // stored together: first the residuals of all of them are loaded
#else
#define STORED 1
#endif

// What a lane stores next: four outputs of a row, and the residual that they are added to.
struct Made {
    Row row;
    uint o;
    bool exists;
    vec4 y, before;
};
Made made[STORED];

void made_begin(uint m, uint row, uint o, bool exists)
{
    made[m].row = row_at(row, a.range);
    made[m].o = a.first + o;
    made[m].exists = exists && made[m].row.runs && o < a.count;
#ifdef RESIDUAL
    if (made[m].exists) made[m].before = vec4(PHASE(before)(row, made[m].o), PHASE(before)(row, made[m].o + 2));
#endif
}

void store2(Made m, uint o, vec2 y, vec2 before)
{
#ifdef RESIDUAL
    PHASE(store_sum)(m.row.index, o, before + y);
#else
    PHASE(store)(m.row, o, y);
#endif
}

void made_store(Made m)
{
    if (!m.exists) return;
    store2(m, m.o, m.y.xy + bias2(m.o), m.before.xy);
    if (m.o + 2 < a.first + a.count) store2(m, m.o + 2, m.y.zw + bias2(m.o + 2), m.before.zw);
}

#ifdef COOPMAT
// ---- COOPMAT: halves times halves, added up in fp32. So x is rounded to halves, and W in a quantised format too; what
// that costs: docs/results/coopmat.md.
//
// Each subgroup computes DOWN by ACROSS matrices of MATRIX_M rows by MATRIX_N outputs, in steps of MATRIX_K of the width.
// With SPLITS the width is cut into segments. Each is added up by itself, and then their sums are added in their order:
// by the workgroup that computes them all, or, with SPLIT, by the last of the workgroups that compute one each. So that
// changes no bit either.
layout(constant_id = CONSTANT_PRODUCT_MATRIX_M) const uint MATRIX_M = 16; // rows of x
layout(constant_id = CONSTANT_PRODUCT_MATRIX_N) const uint MATRIX_N = 16; // outputs
layout(constant_id = CONSTANT_PRODUCT_MATRIX_K) const uint MATRIX_K = 16; // of the width
// subgroups that share the rows of a tile; the others of a workgroup share the outputs
layout(constant_id = CONSTANT_PRODUCT_SUBGROUPS_DOWN) const uint SUBGROUPS_DOWN = 2;

#ifdef SPLITS
// of the width: a multiple of ROUND, or the whole width
layout(constant_id = CONSTANT_PRODUCT_SEGMENT) const uint SEGMENT = 768;
layout(constant_id = CONSTANT_PRODUCT_SPLIT) const uint SPLIT = 0; // 1: a workgroup computes one segment, gl_WorkGroupID.z
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
    vec4 scale = IS_QUANTISED ? piece_scale_1024(p) : vec4(0.0);
    [[unroll]] for (uint j = 0; j < W_UNIT / 8; j++) w_tile[at + j] = piece_weight_halves(p, j, scale);
}

uint x_put, w_put; // places of the lane's first pieces in a tile

// Writes what was fetched into the tiles.
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

// AMD's compiler loads matrices as early as it can. In subgroups of 64, with 128 results a lane, they do not fit into the
// registers then, and it moves registers. There a barrier, which costs no instruction, keeps each load in its place.
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

// The first row and output of the tile that belong to the subgroup.
uint own_row() { return gl_SubgroupID / SUBGROUPS_ACROSS * DOWN * MATRIX_M; }
uint own_output() { return gl_SubgroupID % SUBGROUPS_ACROSS * ACROSS * MATRIX_N; }

// A bit for each matrix of the subgroup with a row that runs, and for each with an output that exists.
uint own_live(uint first_row, uint first_out)
{
    uint live = 0;
    [[unroll]] for (uint j = 0; j < ACROSS; j++)
        if (first_out + own_output() + j * MATRIX_N < a.count) live |= 1u << (OUTPUT_BIT + j);
    [[unroll]] for (uint i = 0; i < DOWN; i++)
        if (any_runs(first_row + own_row() + i * MATRIX_M, MATRIX_M, a.range)) live |= 1u << i;
    return subgroupOr(live); // it is the same in all lanes, and so compilers know it
}

bool all_live(uint first_row, uint first_out)
{
    bool live = first_out + TILE_OUTPUTS <= a.count;
    [[unroll]] for (uint i = 0; i < TILE_ROWS; i += MATRIX_M) live = live && any_runs(first_row + i, MATRIX_M, a.range);
    return live;
}

uint x_own, w_own; // where the subgroup's rows and outputs are in a tile

// Multiplies the DEPTH of the width from k8 on, in eights, which is in tile `tile`. The number of the tile is a constant,
// so a lane's addresses in it are constants too. The next DEPTH is fetched meanwhile, and is then put into the other tile.
void multiply_depth(uint tile, uint k8, uint live)
{
    bool last = tile == BUFFERED - 1; // of a round
    fetch(k8 + DEPTH / 8, last); // not in a branch: compilers wait at its end
    multiply(tile * X_TILE + x_own, tile * W_TILE + w_own, live);
    if (BUFFERED == 1) workgroup_barrier(); // all lanes are done with the tile
    put(last ? 0 : 1);
    workgroup_barrier();
}

// Runs whole rounds, and the last one may pass the end of the width. If the loop could end between two tiles, AMD's
// compiler would move all sums to other registers in each round.
void multiply_segment(uint begin, uint end, uint live)
{
    for (uint k8 = begin; k8 < end; k8 += ROUND / 8) {
        [[unroll]] for (uint n = 0; n < BUFFERED; n++) multiply_depth(n, k8 + n * (DEPTH / 8), live);
    }
}

// a.x_stride is WIDTH, but compilers do not know that, so they do not unroll the loops.
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

// The results go through shared memory, because it is not defined which elements of a matrix a lane has: MATRIX_M rows
// of the subgroup's outputs at a time, in the place of the tile of W.
#define MADE_ROW (ACROSS * MATRIX_N)
#define MADE_4 (MATRIX_M * MADE_ROW / 4)

// All loads first, then all stores. The loop begins at the lane's number, so compilers do not know how often it runs,
// and do not unroll it.
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

// The loop over i is not unrolled, because there is a loop inside. The index of `sums` is a constant nevertheless: AMD's
// compiler puts an array of more than 256 bytes a lane into memory if an index is not a constant.
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

#ifdef SPLITS
// With SPLIT the sum of a segment goes to memory, and the last workgroup of a tile that arrives adds them up.

// For each tile, how many of its segments have arrived: 0 before the product and after it.
layout(binding = 5) queuefamilycoherent buffer Arrived { uint arrived[]; };
layout(binding = 6) queuefamilycoherent buffer Segments { vec4 segment_sums[]; }; // [tile][segment][row][output]
shared uint arrived_before;

#define TILE_4 (TILE_ROWS * TILE_OUTPUTS / 4)
#define OF_ALL gl_ScopeQueueFamily, gl_StorageSemanticsBuffer, SEE_ALL

// Whether the workgroup is the last one of its tile to arrive. Then its lanes see what all the others have stored.
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
    if (!any_runs(first_row, TILE_ROWS, a.range)) return;

    pieces_begin(first_row, first_out);
    if (all_live(first_row, first_out)) multiply_all(0xffffffffu);
    else multiply_all(own_live(first_row, first_out)); // a second copy of the code, so that the first has no branches
#ifdef SPLITS
    if (SPLIT != 0) {
        leave_segment(first_row, first_out);
        return;
    }
#endif
    store_sums(first_row, first_out);
}
#else
// ---- In fp32: each lane computes LANE_ROWS by LANE_OUTPUTS of the tile in its registers.
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
        if (row_at(first_row + 4 * row_quad(i), a.range).runs) live |= 1u << i;
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
    if (!any_runs(first_row, TILE_ROWS, a.range)) return;

    [[unroll]] for (uint r = 0; r < LANE_ROWS; r++)
        [[unroll]] for (uint o = 0; o < LANE_OUTPUTS; o++) sums[r][o] = 0.0;
    pieces_begin(first_row, first_out);
    multiply_all(own_live(first_row));
    store_sums(first_row, first_out);
}
#endif
