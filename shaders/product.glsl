// y = W x + b for the kernels qkv, project, expand, contract and head. A kernel includes this, says how its input
// is made (`stage`, in decode) and what happens to two neighbouring outputs (`store`), and calls `product`.
//
// Six ways to compute it, one per variant:
//   (none)         decode on a GPU: a subgroup per ROWS rows of W, lanes along the row, for TOKENS rows of x
//   LANES          decode of one sequence on a software driver: ROWS rows of W per lane, x handed round by shuffles
//   BATCH LANES    decode of several: ROWS rows of W by TOKENS rows of x per lane
//   PREFILL        many rows of x on a GPU: tiles of 64 x 64 in shared memory, 4 x 4 per lane
//   PREFILL COOPMAT  likewise, by the device's own products of matrices: product_coopmat.glsl
//   PREFILL LANES  as BATCH LANES
//
// The three of decode add up a row in the same order, so that a row comes out the same bits in any company.
//
// Widths and numbers of outputs are padded to 8 with zeros when the weights are uploaded, and a matrix in a small format
// has rows of whole blocks of 32, so none of them has a tail along a row.
#ifdef LANES
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

layout(constant_id = 3) const uint FIXED_WIDTH = 768; // of a row of W and of x, padded; 0: a.x_stride says it
layout(constant_id = 4) const uint ROWS = 2;      // even, at most 8
layout(constant_id = 5) const uint STAGED = 1;    // 1: the input is made in shared memory; 0: it is read as it lies
layout(constant_id = 6) const uint SUBGROUP = 8;  // LANES, COOPMAT: the exact size of a subgroup; else the usual one
layout(constant_id = 7) const uint TOKENS = 1;    // rows of x

layout(push_constant) uniform Push { ProductArgs a; };
#if defined(LANES) && (defined(PREFILL) || defined(BATCH))
#define MANY
#define WIDTH a.x_stride // one compile for every width: a software driver takes longer to compile than to run
#else
#define WIDTH FIXED_WIDTH
#endif

layout(binding = 1) readonly buffer Weights { uvec4 weights[]; };
layout(binding = 2) readonly buffer Vectors { vec4 vectors[]; };
layout(binding = 3) readonly buffer X { vec4 x[]; };

#include "weights.glsl"

void weights8(uint row, uint k8, out vec4 low, out vec4 high) { row_weights8(WIDTH, a.scales, row, k8, low, high); }

vec2 bias2(uint o)
{
    if (a.bias == NO_BIAS) return vec2(0.0);
    vec4 four = vectors[(a.bias + o) / 4];
    return (o & 2) == 0 ? four.xy : four.zw;
}

void store(Row row, uint o, vec2 y); // outputs o and o + 1 of a row, the bias added

#if !defined(PREFILL) && !defined(MANY)

#ifndef LANES
#define GAP_AFTER (IS_QUANTISED ? UNIT / 4 : WIDTH) // lanes read a unit each: the gaps keep them in different banks
#else
#define GAP_AFTER WIDTH
#endif
#define STAGED_QUADS (WIDTH / 4 + WIDTH / 4 / GAP_AFTER)
shared vec4 staged_x[STAGED != 0 ? STAGED_QUADS : 1];
#define staged(i) staged_x[(i) + (i) / GAP_AFTER]
void stage(Row row); // fills `staged` and ends with a barrier

vec4 input4(Row row, uint i) { return STAGED != 0 ? staged(i) : x[row.index * (a.x_stride / 4) + i]; }

#ifndef LANES

// Lanes go along a row a unit each, and a lane loads AHEAD of its units, of all ROWS rows, before it uses the first of
// them: a load takes longer than all that is done with what it brings, and models this small have too few subgroups to
// hide that. About LOADS of 128 bits are in flight, dealt evenly over the rounds that a row takes; fewer for several rows of
// x, each of which is as much to load and to do. SUBGROUP only chooses their number: any other size is as right.
const uint LOADS = 12;
const uint UNITS = WIDTH / UNIT;
const uint UNIT_LOADS = WEIGHTS == WEIGHTS_F32 ? 2 * ROWS : ROWS;
const uint MOST_AHEAD = LOADS > TOKENS * UNIT_LOADS ? LOADS / (TOKENS * UNIT_LOADS) : 1;
const uint LANE_UNITS = (UNITS + SUBGROUP - 1) / SUBGROUP;
const uint ROUNDS = (LANE_UNITS + MOST_AHEAD - 1) / MOST_AHEAD;
const uint AHEAD = (LANE_UNITS + ROUNDS - 1) / ROUNDS;

struct Unit { uvec4 words[ROWS][2]; uint scales[ROWS]; }; // of ROWS rows, as loaded

// The units u, u + lanes, ... of the rows o to o + ROWS. Past the end of a row it is the last one again, which
// `add_units` leaves out: in a branch, the compiler would put each load off until it is used.
void load_units(uint o, uint u, uint lanes, out Unit units[AHEAD])
{
    [[unroll]] for (uint i = 0; i < AHEAD; i++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint at = (o + r) * UNITS + min(u + i * lanes, UNITS - 1);
            if (WEIGHTS == WEIGHTS_F32) { units[i].words[r][0] = weights[2 * at]; units[i].words[r][1] = weights[2 * at + 1]; }
            else units[i].words[r][0] = weights[at];
            if (IS_QUANTISED) units[i].scales[r] = scale_word(a.scales, at / (32 / UNIT));
        }
}

// The products of unit u with that of TOKENS rows of x.
void multiply(Row rows[TOKENS], uint o, uint u, Unit unit, out float products[TOKENS][ROWS])
{
    float x_sums[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_sums[t] = 0.0;
        [[unroll]] for (uint r = 0; r < ROWS; r++) products[t][r] = 0.0;
    }
    vec4 xs[MAX_UNIT / 4]; // of one row of x there is room for all at once
    if (TOKENS == 1)
        [[unroll]] for (uint j = 0; j < UNIT / 4; j++) xs[j] = input4(rows[0], u * (UNIT / 4) + j);
    [[unroll]] for (uint j = 0; j < UNIT / 4; j++) {
        vec4 quads[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) quads[r] = unit_quad(unit.words[r], j);
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            vec4 x4 = TOKENS == 1 ? xs[j] : input4(rows[t], u * (UNIT / 4) + j);
            if (HAS_MINIMUM) x_sums[t] += sum4(x4);
            [[unroll]] for (uint r = 0; r < ROWS; r++) products[t][r] += dot(x4, quads[r]);
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS && IS_QUANTISED; r++) {
        vec2 scale = unpack_scale(unit.scales[r], ((o + r) * UNITS + u) / (32 / UNIT));
        [[unroll]] for (uint t = 0; t < TOKENS; t++) products[t][r] = scaled(scale, products[t][r], x_sums[t]);
    }
}

void add_units(Row rows[TOKENS], uint o, uint u, uint lanes, Unit units[AHEAD], inout float sums[TOKENS][ROWS])
{
    [[unroll]] for (uint i = 0; i < AHEAD; i++) {
        uint at = u + i * lanes;
        float products[TOKENS][ROWS];
        multiply(rows, o, min(at, UNITS - 1), units[i], products);
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] += mix(0.0, products[t][r], at < UNITS);
    }
}

void store_sums(Row rows[TOKENS], uint o, float sums[TOKENS][ROWS])
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] = subgroupAdd(sums[t][r]);
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r += 2)
            if (rows[t].runs && gl_SubgroupInvocationID == r / 2)
                store(rows[t], a.first + o + r, vec2(sums[t][r], sums[t][r + 1]) + bias2(a.first + o + r));
}

void clear(out float sums[TOKENS][ROWS])
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] = 0.0;
}

void product()
{
    uint first_row = gl_WorkGroupID.y * TOKENS;
    if (!any_runs(first_row, TOKENS, a.step_rows)) return;
    Row rows[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) rows[t] = row_at(first_row + t, a.step_rows);

    uint group_outputs = ROWS * (SIZE / 32), lanes = subgroup_lanes(), lane = gl_SubgroupInvocationID;
    uint group_end = min((gl_WorkGroupID.x + 1) * group_outputs, a.count);
    uint o = gl_WorkGroupID.x * group_outputs + gl_SubgroupID * ROWS;
    Unit units[AHEAD];

    // The first weights are on their way while the input is made. In a loop, that ends at once: out of one Mesa's compiler
    // for AMD does not move loads, and these it would otherwise put off until after the norm.
    do load_units(min(o, a.count - ROWS), lane, lanes, units); while (STAGED != 0 && a.count == 0);
    if (STAGED != 0) stage(rows[0]);

    float sums[TOKENS][ROWS];
    clear(sums);
    for (uint first = 0; o < group_end;) {
        add_units(rows, o, first + lane, lanes, units, sums);
        first += AHEAD * lanes;
        if (first >= UNITS) { // these rows are done, on to the next
            store_sums(rows, o, sums);
            clear(sums);
            first = 0;
            o += gl_NumSubgroups * ROWS;
            if (o >= group_end) break;
        }
        load_units(o, first + lane, lanes, units);
    }
}

#else // LANES

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

#define SHARE min(SUBGROUP, 8) // quads of x that the lanes fetch at once

void add_blocks(Row row, uint from, inout float sums[ROWS])
{
    for (uint b = 0; b < WIDTH / 32; b++) {
        uvec4 words[ROWS][2];
        float dots[ROWS], x_sum = 0.0;
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint at = (from + r) * (WIDTH / 32) + b;
            if (WEIGHTS == WEIGHTS_Q8_0) { words[r][0] = weights[2 * at]; words[r][1] = weights[2 * at + 1]; }
            else words[r][0] = weights[at];
            dots[r] = 0.0;
        }
        [[unroll]] for (uint first = 0; first < 8; first += SHARE) {
            vec4 mine = input4(row, 8 * b + first + gl_SubgroupInvocationID % SHARE);
            [[unroll]] for (uint i = 0; i < SHARE; i++) {
                vec4 x4 = subgroupShuffle(mine, i);
                if (HAS_MINIMUM) x_sum += sum4(x4);
                uint j = first + i;
                [[unroll]] for (uint r = 0; r < ROWS; r++)
                    dots[r] += dot(x4, quants4(words[r][j / (UNIT / 4)], j % (UNIT / 4)));
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[r] += scaled(block_scale(a.scales, (from + r) * (WIDTH / 32) + b), dots[r], x_sum);
    }
}

void product()
{
    Row row = row_at(gl_WorkGroupID.y, a.step_rows);
    if (!row.runs) return;
    if (STAGED != 0) stage(row);

    uint o = gl_GlobalInvocationID.x * ROWS;
    uint from = min(o, a.count - ROWS); // lanes past the end work along, for the shuffles, and store nothing
    float sums[ROWS];
    [[unroll]] for (uint r = 0; r < ROWS; r++) sums[r] = 0.0;
    if (IS_QUANTISED) add_blocks(row, from, sums);
    else add_weights(row, from, sums);
    if (o < a.count)
        [[unroll]] for (uint r = 0; r < ROWS; r += 2)
            store(row, a.first + o + r, vec2(sums[r], sums[r + 1]) + bias2(a.first + o + r));
}

#endif
#elif defined(COOPMAT)
#include "product_coopmat.glsl"
#elif !defined(LANES) // PREFILL

// 256 lanes make 64 rows by 64 outputs, 16 of the width at a time.
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
                if (row_at(first_row + column, a.step_rows).runs) { low = x[at]; high = x[at + 1]; }
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
            if (o < a.count) store(row, a.first + o, vec2(sums[i][j], sums[i][j + 1]) + bias2(a.first + o));
        }
    }
}

#else // MANY

// What a lane has made, for one loop to store: written out 32 times over, the stores take a software driver longer
// to compile than everything else.
shared vec2 made[TOKENS * ROWS / 2][SIZE];

// Eight weights of each row by eight numbers of each row of x, of which a lane fetches those of one row in SUBGROUP.
void add_weights(uint from, uint first_row, inout float sums[TOKENS][ROWS])
{
    for (uint k8 = 0; k8 < WIDTH / 8; k8++) {
        vec4 low[ROWS], high[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) weights8(from + r, k8, low[r], high[r]);
        [[unroll]] for (uint first = 0; first < TOKENS; first += SUBGROUP) {
            uint at = (first_row + first + gl_SubgroupInvocationID) * (a.x_stride / 4) + 2 * k8;
            vec4 mine_low = x[at], mine_high = x[at + 1];
            [[unroll]] for (uint i = 0; i < min(SUBGROUP, TOKENS); i++) {
                vec4 x_low = subgroupShuffle(mine_low, i), x_high = subgroupShuffle(mine_high, i);
                [[unroll]] for (uint r = 0; r < ROWS; r++) sums[first + i][r] += dot(x_low, low[r]) + dot(x_high, high[r]);
            }
        }
    }
}

#ifdef BATCH
// Likewise, four quants at a time, and the scale when a block is through: the order of decode. Prefill is quicker without.
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
            [[unroll]] for (uint r = 0; r < ROWS; r++) quads[r] = block_quad((from + r) * (WIDTH / 32) + b, j);
            [[unroll]] for (uint first = 0; first < TOKENS; first += SUBGROUP) {
                vec4 mine = x[(first_row + first + gl_SubgroupInvocationID) * (a.x_stride / 4) + 8 * b + j];
                [[unroll]] for (uint i = 0; i < min(SUBGROUP, TOKENS); i++) {
                    vec4 x4 = subgroupShuffle(mine, i);
                    if (HAS_MINIMUM) x_sums[first + i] += sum4(x4);
                    [[unroll]] for (uint r = 0; r < ROWS; r++) dots[first + i][r] += dot(x4, quads[r]);
                }
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            vec2 scale = block_scale(a.scales, (from + r) * (WIDTH / 32) + b);
            [[unroll]] for (uint t = 0; t < TOKENS; t++) sums[t][r] += scaled(scale, dots[t][r], x_sums[t]);
        }
    }
}

#endif

void product()
{
    uint first_row = gl_WorkGroupID.y * TOKENS;
    if (!any_runs(first_row, TOKENS, a.step_rows)) return;

    uint o = gl_GlobalInvocationID.x * ROWS;
    uint from = min(o, a.count - ROWS); // lanes past the end work along, for the shuffles, and store nothing
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
        Row row = row_at(first_row + i / (ROWS / 2), a.step_rows);
        uint pair = a.first + o + 2 * (i % (ROWS / 2));
        if (row.runs) store(row, pair, made[i][lane] + bias2(pair));
    }
}

#endif
