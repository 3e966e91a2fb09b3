// Decode on a GPU: y = W x + b for TOKENS rows of x. A subgroup computes ROWS outputs: its lanes share the rows of W.
// The includer defines WIDTH, ROWS, WEIGHTS and STAGED, and RESIDUAL if the result is added to the residual stream.

// Each lane takes every n-th unit of a row, n being the lanes of the subgroup. It loads AHEAD units of all ROWS rows
// before it uses the first one: a load takes longer than the work on its data, and models this small have too few
// subgroups to hide that. About LOADS loads of 128 bits are in flight, shared evenly by the rounds that a row takes.
// For several rows of x there are fewer, because each row of x needs loads and work too. SUBGROUP only sets these
// numbers: with another size of subgroup the result is the same.
const uint PHASE(UNITS) = WIDTH / UNIT;
const uint PHASE(UNIT_LOADS) = WEIGHTS == WEIGHTS_F32 ? 2 * ROWS : ROWS;
const uint PHASE(MOST_AHEAD) = LOADS > TOKENS * PHASE(UNIT_LOADS) ? LOADS / (TOKENS * PHASE(UNIT_LOADS)) : 1;
const uint PHASE(LANE_UNITS) = (PHASE(UNITS) + SUBGROUP - 1) / SUBGROUP;
const uint PHASE(ROUNDS) = (PHASE(LANE_UNITS) + PHASE(MOST_AHEAD) - 1) / PHASE(MOST_AHEAD);
const uint PHASE(AHEAD) = (PHASE(LANE_UNITS) + PHASE(ROUNDS) - 1) / PHASE(ROUNDS); // units
#undef UNITS
#undef AHEAD
#define UNITS PHASE(UNITS)
#define AHEAD PHASE(AHEAD)

#undef STORE
#ifdef RESIDUAL
vec2 PHASE(before)(uint row, uint o);                 // the residuals of outputs o and o + 1
void PHASE(store_sum)(uint row, uint o, vec2 y);      // replaces them
#define STORE(row, o, y, was) PHASE(store_sum)(row.index, o, (was) + (y))
#else
void PHASE(store)(Row row, uint o, vec2 y);
#define STORE(row, o, y, was) PHASE(store)(row, o, y)
#endif

struct PHASE(Unit) { uvec4 words[ROWS][2]; uint scales[ROWS]; }; // of ROWS rows, as loaded

// What a lane adds to the two outputs that it stores, loaded with the weights: the bias and the residuals.
struct PHASE(Base) { vec4 bias; vec2 before[TOKENS]; };

vec4 PHASE(input4)(Row row, uint i) { return STAGED != 0 ? staged(i) : inputs[row.index * (a.x_stride / 4) + i]; }

// Loads the units u, u + lanes, ... of the rows o to o + ROWS - 1. Past the end of a row it loads the last unit again,
// which `add_units` leaves out. There is no branch, because in a branch compilers move each load down to its use.
void PHASE(load_units)(uint o, uint u, uint lanes, out PHASE(Unit) units[AHEAD])
{
    [[unroll]] for (uint i = 0; i < AHEAD; i++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            uint at = (o + r) * UNITS + min(u + i * lanes, UNITS - 1);
            if (WEIGHTS == WEIGHTS_F32) { units[i].words[r][0] = weights[2 * at]; units[i].words[r][1] = weights[2 * at + 1]; }
            else units[i].words[r][0] = weights[at];
            if (IS_QUANTISED) units[i].scales[r] = scale_word(WEIGHTS, a.scales, at / (32 / UNIT));
        }
}

// Multiplies unit u of ROWS rows of W by the same unit of TOKENS rows of x.
void PHASE(multiply)(Row rows[TOKENS], uint o, uint u, PHASE(Unit) unit, out float products[TOKENS][ROWS])
{
    float x_sums[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_sums[t] = 0.0;
        [[unroll]] for (uint r = 0; r < ROWS; r++) products[t][r] = 0.0;
    }
    vec4 xs[MAX_UNIT / 4]; // registers for the whole unit, if there is one row of x
    if (TOKENS == 1)
        [[unroll]] for (uint j = 0; j < UNIT / 4; j++) xs[j] = PHASE(input4)(rows[0], u * (UNIT / 4) + j);
    [[unroll]] for (uint j = 0; j < UNIT / 4; j++) {
        vec4 quads[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) quads[r] = unit_quad(WEIGHTS, unit.words[r], j);
        [[unroll]] for (uint t = 0; t < TOKENS; t++) {
            vec4 x4 = TOKENS == 1 ? xs[j] : PHASE(input4)(rows[t], u * (UNIT / 4) + j);
            if (HAS_MINIMUM) x_sums[t] += sum4(x4);
            [[unroll]] for (uint r = 0; r < ROWS; r++) products[t][r] += dot(x4, quads[r]);
        }
    }
    [[unroll]] for (uint r = 0; r < ROWS && IS_QUANTISED; r++) {
        vec2 scale = unpack_scale(WEIGHTS, unit.scales[r], ((o + r) * UNITS + u) / (32 / UNIT));
        [[unroll]] for (uint t = 0; t < TOKENS; t++) products[t][r] = scaled(WEIGHTS, scale, products[t][r], x_sums[t]);
    }
}

void PHASE(add_units)(Row rows[TOKENS], uint o, uint u, uint lanes, PHASE(Unit) units[AHEAD], inout float sums[TOKENS][ROWS])
{
    [[unroll]] for (uint i = 0; i < AHEAD; i++) {
        uint at = u + i * lanes;
        float products[TOKENS][ROWS];
        PHASE(multiply)(rows, o, min(at, UNITS - 1), units[i], products);
        [[unroll]] for (uint t = 0; t < TOKENS; t++)
            [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] += mix(0.0, products[t][r], at < UNITS);
    }
}

// Which two of the ROWS outputs this lane stores.
uint PHASE(pair)() { return 2 * min(gl_SubgroupInvocationID, ROWS / 2 - 1); }

void PHASE(load_base)(uint first_row, uint o, out PHASE(Base) base)
{
    uint at = a.first + o + PHASE(pair)();
    base.bias = vectors[(a.bias == NO_BIAS ? 0 : a.bias + at) / 4];
#ifdef RESIDUAL
    [[unroll]] for (uint t = 0; t < TOKENS; t++) base.before[t] = PHASE(before)(first_row + t, at);
#endif
}

void PHASE(store_sums)(Row rows[TOKENS], uint o, PHASE(Base) base, float sums[TOKENS][ROWS])
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] = subgroupAdd(sums[t][r]);
    uint pair = PHASE(pair)(), at = a.first + o + pair;
    vec2 bias = mix((at & 2) == 0 ? base.bias.xy : base.bias.zw, vec2(0.0), bvec2(a.bias == NO_BIAS));
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        vec2 y = vec2(sums[t][0], sums[t][1]);
        [[unroll]] for (uint r = 2; r < ROWS; r += 2) y = mix(y, vec2(sums[t][r], sums[t][r + 1]), bvec2(pair == r));
        if (rows[t].runs && gl_SubgroupInvocationID < ROWS / 2) STORE(rows[t], at, y + bias, base.before[t]);
    }
}

void PHASE(clear)(out float sums[TOKENS][ROWS])
{
    [[unroll]] for (uint t = 0; t < TOKENS; t++)
        [[unroll]] for (uint r = 0; r < ROWS; r++) sums[t][r] = 0.0;
}

// Computes ROWS outputs from `o` on, then from `o + stride` on, and so on, below `end`, for TOKENS rows of x from
// first_row on. All subgroups of a workgroup call it, also one without outputs.
void PHASE(outputs)(uint first_row, uint o, uint stride, uint end)
{
    if (EARLY == 0 && !any_runs(first_row, TOKENS, a.range)) return;
    uint lanes = subgroup_lanes(), lane = gl_SubgroupInvocationID;
    PHASE(Unit) units[AHEAD];
    PHASE(Base) base;

    // Starts to load the first weights, so that they arrive while the state is read and the input is computed. The loop
    // ends after its first turn, since a.count is never 0. It is here for one compiler, Mesa's for AMD (ACO): that one
    // moves loads down to their first use, here to after the norm, but never out of a loop. tests/early_loads.py checks
    // its code.
    do {
        PHASE(load_units)(min(o, a.count - ROWS), lane, lanes, units);
        PHASE(load_base)(first_row, min(o, a.count - ROWS), base);
    } while (a.count == 0);

    Row rows[TOKENS];
    bool runs = false;
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        rows[t] = row_at(first_row + t, a.range);
        runs = runs || rows[t].runs;
    }
    if (!runs) return;
    if (STAGED != 0) PHASE(stage)(rows[0]);

    float sums[TOKENS][ROWS];
    PHASE(clear)(sums);
    for (uint first = 0; o < end;) {
        PHASE(add_units)(rows, o, first + lane, lanes, units, sums);
        first += AHEAD * lanes;
        if (first >= UNITS) { // these rows are done, on to the next
            PHASE(store_sums)(rows, o, base, sums);
            PHASE(clear)(sums);
            first = 0;
            o += stride;
            if (o >= end) break;
            PHASE(load_base)(first_row, o, base);
        }
        PHASE(load_units)(o, first + lane, lanes, units);
    }
}
