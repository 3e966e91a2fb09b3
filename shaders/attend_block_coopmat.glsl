// COOPMAT: flash attention (Dao et al. 2022, 2023) by the device's own products of small matrices
// (VK_KHR_cooperative_matrix): halves times halves, added up in fp32, an online softmax in fp32 between the two.
//
// A workgroup takes a head and QUERIES rows of the block, each of its subgroups DOWN matrices of MATRIX_M rows. Keys
// and values come a tile of TILE positions at a time, which all subgroups share. A tile begins at a multiple of TILE,
// so that the sums of a row are the same in every block. Which number of a matrix a lane holds is known to the driver
// alone, but it is the same one in all matrices of a type: what is done number by number stays in registers. Only the
// maximum of a row, where it has grown, its sum, at the end, and the weights on their way to a factor go through shared
// memory.
#extension GL_KHR_shader_subgroup_vote : require
#include "coopmat.glsl"


layout(constant_id = CONSTANT_ATTEND_COOPMAT_TILE) const uint TILE = 64; // positions
layout(constant_id = CONSTANT_ATTEND_COOPMAT_SUBGROUP) const uint SUBGROUP = 32;
layout(constant_id = CONSTANT_ATTEND_COOPMAT_MATRIX_M) const uint MATRIX_M = 16; // queries
// positions of scores, elements of a head of values
layout(constant_id = CONSTANT_ATTEND_COOPMAT_MATRIX_N) const uint MATRIX_N = 16;
// elements of a head of scores, positions of values
layout(constant_id = CONSTANT_ATTEND_COOPMAT_MATRIX_K) const uint MATRIX_K = 16;
layout(constant_id = CONSTANT_ATTEND_COOPMAT_DOWN) const uint DOWN = 1; // matrices of queries of a subgroup
// HEAD_DIM, rounded up to whole matrices and a multiple of 16
layout(constant_id = CONSTANT_ATTEND_COOPMAT_DEPTH) const uint DEPTH = 64;
layout(constant_id = CONSTANT_ATTEND_COOPMAT_SCRATCH) const uint SCRATCH = 144; // of a subgroup, in 16 bytes
// values are [element][position] in shared memory
layout(constant_id = CONSTANT_ATTEND_COOPMAT_TURNED) const bool TURNED = false;
layout(constant_id = CONSTANT_ATTEND_COOPMAT_LOCKSTEP) const bool LOCKSTEP = false; // lanes of a subgroup run together
layout(constant_id = CONSTANT_ATTEND_COOPMAT_HALVES_OUT) const bool HALVES_OUT = false;

const uint SUBGROUPS = SIZE / SUBGROUP;
const uint ROWS = DOWN * MATRIX_M; // of a subgroup
const uint QUERIES = SUBGROUPS * ROWS;
const uint STEPS = DEPTH / MATRIX_K;  // matrices along a head in products of scores
const uint ACROSS = DEPTH / MATRIX_N; // and in values
const uint SPAN = TILE / MATRIX_N;    // matrices along a tile in scores

#define EIGHTS (DEPTH / 8)                 // of a head
#define SPARE (DEPTH - HEAD_DIM + TILE * EIGHTS % (2 * SIZE)) // 0: whatever a lane fetches of a tile is there
#define ROW_STRIDE (DEPTH / 8 + 1)         // in 16 bytes; the gap keeps a matrix's rows in different banks
#define TILE_STRIDE (TILE / 8 + 1)
#define PAIRS ((TILE * EIGHTS / 2 + SIZE - 1) / SIZE) // of eights, that a lane fetches of a tile

// Weights are at most 2^LIFT where the base of a row has just been set, and 2^ROOM before it is set anew: so high above
// what halves can hold at least, small weights are not lost, and the base seldom changes.
#define LIFT 8.0
#define ROOM 14.0
#define NO_BASE -1e30 // not infinite: what it is subtracted from may be

#define LOG2_E 1.4426950408889634

shared uvec4 k_tile[TILE * ROW_STRIDE]; // [position][element], 8 halves in each
shared uvec4 v_tile[TURNED ? DEPTH * TILE_STRIDE : TILE * ROW_STRIDE];
shared uvec4 scratch[SUBGROUPS * SCRATCH];
shared float bases[QUERIES];

#define Sum coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define Weight coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define Left coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define Right coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define EACH(e, matrix) [[unroll]] for (int e = 0; e < matrix.length(); e++)
// By the lanes of a subgroup, in turns whose number is known: a loop without would keep those around it from unrolling.
#define LANES(i, count)                                                                               \
    [[unroll]] for (uint turn = 0, i = gl_SubgroupInvocationID; turn < (count); turn += SUBGROUP, i += SUBGROUP) \
        if (i < (count))

Left queries[DOWN * STEPS];
Sum values[DOWN * ACROSS]; // of weights times values
Sum total[DOWN];           // of weights: the sum of a row is that of its numbers
Sum base[DOWN];            // what is subtracted from a row's scores, in each of its numbers
Sum scores[DOWN * SPAN];

// The rows of this subgroup: `count` of them run, the first at `position`.
struct Own {
    uint row, count, position;
} own;
uint head, at; // at: of the subgroup's scratch

// The lanes of a subgroup meet. Mesa's software driver, where they run together anyway, would take a subgroup's barrier
// for one of the workgroup.
void meet()
{
    if (LOCKSTEP) memoryBarrier(gl_ScopeSubgroup, gl_StorageSemanticsShared, SEE_ALL);
    else subgroup_barrier();
}

// ---- tiles of keys and values

Eight ahead[2 * PAIRS]; // on their way from the cache

// Position and eighth of a head of what a lane fetches as its n-th. Turned, two positions of the same eighth follow.
uvec2 place(uint n, bool turned)
{
    uint i = gl_LocalInvocationID.x + (turned ? n / 2 : n) * SIZE;
    if (!turned) return uvec2(i / EIGHTS, i % EIGHTS);
    return uvec2(i / 2 % (TILE / 2) * 2 + n % 2, i / TILE * 2 + i % 2);
}

bool in_tile(uvec2 p) { return SPARE == 0 || (p.x < TILE && p.y < EIGHTS); }

#define FETCH(cache, first, tile, turned)                                                            \
    [[unroll]] for (uint n = 0; n < 2 * PAIRS; n++) {                                                \
        uvec2 p = place(n, turned);                                                                  \
        uint row = first + min(tile + p.x, a.context - 1), eighth = SPARE > 0 ? min(p.y, CHUNKS - 1) : p.y; \
        LOAD8(cache, row, eighth, ahead[n])                                                           \
    }

uvec4 fetched(uint n, uint row, uint eighth)
{
    if (SPARE > 0 && eighth >= CHUNKS) return uvec4(0);
    if (KV == KV_F16) return ahead[n].words[0];
    vec4 low, high;
    unpack_eight(ahead[n], row * CHUNKS + eighth, eighth, low, high);
    return pack8(low, high);
}

void put_keys(uint first, uint tile)
{
    [[unroll]] for (uint n = 0; n < 2 * PAIRS; n++) {
        uvec2 p = place(n, false);
        uvec4 eight = fetched(n, first + min(tile + p.x, a.context - 1), p.y);
        if (in_tile(p)) k_tile[p.x * ROW_STRIDE + p.y] = finite8(eight); // a score of minus infinity would be no score
    }
}

// Behind the last position the cache may hold anything, which no weight of 0 makes harmless.
uvec4 value(uint n, uvec2 p, uint first, uint tile, uint end)
{
    return tile + p.x < end ? fetched(n, first + tile + p.x, p.y) : uvec4(0);
}

void put_values(uint first, uint tile, uint end)
{
    [[unroll]] for (uint n = 0; n < 2 * PAIRS; n += TURNED ? 2 : 1) {
        uvec2 p = place(n, TURNED);
        uvec4 even = value(n, p, first, tile, end);
        if (!TURNED) {
            if (in_tile(p)) v_tile[p.x * ROW_STRIDE + p.y] = even;
            continue;
        }
        uvec4 odd = value(n + 1, place(n + 1, true), first, tile, end);
        if (!in_tile(p)) continue;
        [[unroll]] for (uint e = 0; e < 4; e++) {
            uint to = (8 * p.y + 2 * e) * TILE_STRIDE + p.x / 8, word = p.x / 2 % 4;
            v_tile[to][word] = (even[e] & 0xffffu) | odd[e] << 16;
            v_tile[to + TILE_STRIDE][word] = even[e] >> 16 | (odd[e] & 0xffff0000u);
        }
    }
}

// ---- rows

// Scaled so that the softmax is of powers of 2. A row that does not run reads another one's place.
void load_queries(uint instead)
{
    const uint eights = MATRIX_M * MATRIX_K / 8, turns = (eights + SUBGROUP - 1) / SUBGROUP;
    vec4 low[DOWN * STEPS * turns], high[DOWN * STEPS * turns];
    [[unroll]] for (uint n = 0; n < DOWN * STEPS * turns; n++) {
        uint i = gl_SubgroupInvocationID + n % turns * SUBGROUP;
        uint row = n / turns / STEPS * MATRIX_M + i / (MATRIX_K / 8);
        uint eighth = n / turns % STEPS * (MATRIX_K / 8) + i % (MATRIX_K / 8);
        uint from = (row < own.count ? own.row + row : instead) * a.q_stride + head * HEAD_DIM;
        from = from / 4 + 2 * min(eighth, CHUNKS - 1);
        float scale = row < own.count && eighth < CHUNKS ? a.scale * LOG2_E : 0.0;
        low[n] = q[from] * scale, high[n] = q[from + 1] * scale;
    }
    [[unroll]] for (uint m = 0; m < DOWN * STEPS; m++) {
        [[unroll]] for (uint t = 0; t < turns; t++) {
            uint i = gl_SubgroupInvocationID + t * SUBGROUP;
            if (eights % SUBGROUP == 0 || i < eights) scratch[at + i] = pack8(low[m * turns + t], high[m * turns + t]);
        }
        meet();
        coopMatLoad(queries[m], scratch, at, MATRIX_K / 8, gl_CooperativeMatrixLayoutRowMajor);
        meet();
    }
}

void put(Sum matrix)
{
    meet();
    coopMatStore(matrix, scratch, at, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
    meet();
}

Sum get()
{
    Sum matrix;
    meet();
    coopMatLoad(matrix, scratch, at, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
    meet();
    return matrix;
}

#define ROW_WORD(row, n) scratch[at + (row) * (MATRIX_N / 4) + (n)]

// ---- a tile

// `live` has a bit for each matrix of positions of a tile of which a row sees one; the others are not multiplied.
#define ALL_LIVE 0xffffffffu
uint own_live(uint tile, uint start, uint end)
{
    uint live = 0;
    [[unroll]] for (uint j = 0; j < SPAN; j++)
        if (tile + j * MATRIX_N < end && tile + (j + 1) * MATRIX_N > start) live |= 1u << j;
    return subgroupOr(live); // the same in all lanes: so that compilers know it
}

void multiply_keys(uint live)
{
    [[unroll]] for (uint n = 0; n < DOWN * SPAN; n++) scores[n] = Sum(0.0);
    [[unroll]] for (uint s = 0; s < STEPS; s++)
        [[unroll]] for (uint j = 0; j < SPAN; j++) {
            if ((live >> j & 1) == 0) continue;
            Right keys;
            uint from = j * MATRIX_N * ROW_STRIDE + s * (MATRIX_K / 8);
            coopMatLoad(keys, k_tile, from, ROW_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
            [[unroll]] for (uint i = 0; i < DOWN; i++)
                scores[i * SPAN + j] = coopMatMulAdd(queries[i * STEPS + s], keys, scores[i * SPAN + j]);
        }
}

// Hides the positions behind a query's own, and those out of its window. What decides is how many positions a number's
// column is ahead of its row.
void mask(uint tile)
{
    LANES(i, MATRIX_M * MATRIX_N / 4) {
        uint row = i / (MATRIX_N / 4), column = i % (MATRIX_N / 4) * 4;
        scratch[at + i] = floatBitsToUint(vec4(column, column + 1, column + 2, column + 3) - float(row));
    }
    Sum lead = get();
    [[unroll]] for (uint i = 0; i < DOWN; i++)
        [[unroll]] for (uint j = 0; j < SPAN; j++) {
            float most = float(int(own.position + i * MATRIX_M) - int(tile + j * MATRIX_N));
            float least = a.window > 0 ? most - float(a.window) : NO_BASE;
            EACH(e, lead) if (lead[e] > most || lead[e] <= least) scores[i * SPAN + j][e] = MINUS_INFINITY;
        }
}

// A new base for those rows whose largest score asks for it, from the largest of their numbers; what was added up with
// the old one is scaled. A row decides by its own scores alone: its bits do not depend on the other rows of a matrix.
void rebase(uint i, Sum most)
{
    put(most);
    LANES(row, MATRIX_M) {
        uint b = gl_SubgroupID * ROWS + i * MATRIX_M + row;
        float best = MINUS_INFINITY, old = bases[b];
        [[unroll]] for (uint n = 0; n < MATRIX_N / 4; n++) {
            vec4 four = uintBitsToFloat(ROW_WORD(row, n));
            best = max(best, max(max(four.x, four.y), max(four.z, four.w)));
        }
        float chosen = best > old + ROOM ? floor(best) - LIFT : old; // whole: the scaling is exact
        bases[b] = chosen;
        [[unroll]] for (uint n = 0; n < MATRIX_N / 4; n++) ROW_WORD(row, n) = uvec4(floatBitsToUint(chosen));
    }
    Sum next = get();
    Sum factor = base[i] - next;
    EACH(e, factor) factor[e] = exp2(factor[e]);
    total[i] = total[i] * factor;
    [[unroll]] for (uint j = 0; j < ACROSS; j++) values[i * ACROSS + j] = values[i * ACROSS + j] * factor;
    base[i] = next;
}

void check_bases()
{
    [[unroll]] for (uint i = 0; i < DOWN; i++) {
        Sum most = scores[i * SPAN];
        [[unroll]] for (uint j = 1; j < SPAN; j++)
            EACH(e, most) most[e] = max(most[e], scores[i * SPAN + j][e]);
        bool over = false;
        EACH(e, most) over = over || most[e] > base[i][e] + ROOM;
        if (subgroupAny(over)) rebase(i, most);
    }
}

// What is added up is what is multiplied: the weights as halves.
void weigh()
{
    [[unroll]] for (uint i = 0; i < DOWN; i++)
        [[unroll]] for (uint j = 0; j < SPAN; j++) {
            Sum s = scores[i * SPAN + j] - base[i];
            EACH(e, s) s[e] = exp2(s[e]);
            Weight weights = Weight(s);
            total[i] = total[i] + Sum(weights);
            uint to = at + i * MATRIX_M * TILE_STRIDE + j * (MATRIX_N / 8);
            coopMatStore(weights, scratch, to, TILE_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        }
}

void multiply_values(uint live)
{
    const uint ones = (1u << (MATRIX_K + MATRIX_N - 1) / MATRIX_N) - 1; // a bit for each matrix of positions in MATRIX_K
    [[unroll]] for (uint s = 0; s < TILE / MATRIX_K; s++) {
        if ((live >> s * MATRIX_K / MATRIX_N & ones) == 0) continue;
        Left weights[DOWN];
        [[unroll]] for (uint i = 0; i < DOWN; i++) {
            uint from = at + i * MATRIX_M * TILE_STRIDE + s * (MATRIX_K / 8);
            coopMatLoad(weights[i], scratch, from, TILE_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
        }
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            Right v;
            uint turned = j * MATRIX_N * TILE_STRIDE + s * (MATRIX_K / 8);
            uint plain = s * MATRIX_K * ROW_STRIDE + j * (MATRIX_N / 8);
            if (TURNED) coopMatLoad(v, v_tile, turned, TILE_STRIDE, gl_CooperativeMatrixLayoutColumnMajor);
            else coopMatLoad(v, v_tile, plain, ROW_STRIDE, gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint i = 0; i < DOWN; i++)
                values[i * ACROSS + j] = coopMatMulAdd(weights[i], v, values[i * ACROSS + j]);
        }
    }
}

// ---- a run: following groups of rows of one sequence

struct Run {
    uint next;       // row behind it
    uint sequence;
    uint start, end; // positions that its rows see between them; none: end is 0
};

uint window_start(uint position) { return a.window > 0 && position >= a.window ? position + 1 - a.window : 0; }

Run run_at(uint row, uint stop)
{
    Run run = Run(row, row_at(row, a.range).sequence, 0xffffffffu, 0);
    for (; run.next < stop; run.next += GROUP_ROWS) {
        Row r = row_at(run.next, a.range);
        if (!r.runs) continue;
        if (run.end > 0 && r.sequence != run.sequence) break;
        run.sequence = r.sequence;
        run.start = min(run.start, window_start(r.position) / TILE * TILE);
        run.end = max(run.end, r.position + groups[run.next / GROUP_ROWS].rows);
    }
    return run;
}

// Each tile's values are on their way while its scores are made, and the next tile's keys while values are multiplied.
void attend_run(Run run, bool takes_part)
{
    uint first = (run.sequence * a.heads + head) * a.context;
    uint start = window_start(own.position), end = takes_part ? own.position + own.count : 0;
    FETCH(k_cache, first, run.start, false)
    for (uint tile = run.start; tile < run.end; tile += TILE) {
        bool seen = tile < end && tile + TILE > start;
        bool whole = tile + TILE <= own.position + 1 && tile >= window_start(own.position + ROWS - 1);
        uint live = ALL_LIVE;
        put_keys(first, tile);
        FETCH(v_cache, first, tile, TURNED)
        workgroup_barrier();
        if (seen) {
            if (whole) {
                multiply_keys(ALL_LIVE);
            } else { // code of its own, so that the other has no branches
                live = own_live(tile, start, end);
                multiply_keys(live);
                mask(tile);
            }
            check_bases();
            weigh();
        }
        put_values(first, tile, run.end);
        if (tile + TILE < run.end) FETCH(k_cache, first, tile + TILE, false)
        workgroup_barrier();
        if (seen && whole) multiply_values(ALL_LIVE);
        else if (seen) multiply_values(live);
    }
}

// ---- what comes out

void store4(uint row, uint element, vec4 four)
{
    uint at = ((row * a.heads + head) * HEAD_DIM + element) / 4;
    if (HALVES_OUT) attention_halves[at] = pack4(four);
    else attention[at] = four;
}

void store_rows()
{
    [[unroll]] for (uint i = 0; i < DOWN; i++) {
        put(total[i]);
        LANES(row, MATRIX_M) {
            float sum = 0.0;
            [[unroll]] for (uint n = 0; n < MATRIX_N / 4; n++) sum += sum4(uintBitsToFloat(ROW_WORD(row, n)));
            [[unroll]] for (uint n = 0; n < MATRIX_N / 4; n++) ROW_WORD(row, n) = uvec4(floatBitsToUint(sum));
        }
        Sum sums = get();
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            put(values[i * ACROSS + j] / sums);
            LANES(n, MATRIX_M * MATRIX_N / 4) {
                uint row = i * MATRIX_M + n / (MATRIX_N / 4), element = j * MATRIX_N + n % (MATRIX_N / 4) * 4;
                if (row < own.count && element < HEAD_DIM)
                    store4(own.row + row, element, uintBitsToFloat(scratch[at + n]));
            }
        }
    }
}

void main()
{
    uint first = (gl_NumWorkGroups.y - 1 - gl_WorkGroupID.y) * QUERIES; // those that see most begin first
    if (!any_runs(first, QUERIES, a.range)) return;
    head = gl_WorkGroupID.x;
    at = gl_SubgroupID * SCRATCH;
    own.row = first + gl_SubgroupID * ROWS;
    Row row = row_at(own.row, a.range);
    own.position = row.position;
    own.count = row.runs ? min(ROWS, groups[own.row / GROUP_ROWS].rows - own.row % GROUP_ROWS) : 0;

    load_queries(first);
    [[unroll]] for (uint n = 0; n < DOWN * ACROSS; n++) values[n] = Sum(0.0);
    [[unroll]] for (uint i = 0; i < DOWN; i++) total[i] = Sum(0.0), base[i] = Sum(NO_BASE);
    LANES(r, ROWS) bases[gl_SubgroupID * ROWS + r] = NO_BASE;

    for (uint r = first; r < first + QUERIES;) {
        Run run = run_at(r, first + QUERIES);
        if (run.end == 0) break;
        attend_run(run, row.runs && own.row >= r && own.row < run.next);
        r = run.next;
    }
    if (own.count > 0) store_rows();
}
