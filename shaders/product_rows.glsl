// Decode on a GPU: y = W x + b, ROWS rows of W per subgroup, its lanes along them, for TOKENS rows of x. The includer
// defines WIDTH, ROWS, WEIGHTS and STAGED of this product, and RESIDUAL where the result is added to what stands there.

// Lanes go along a row a unit each, and a lane loads AHEAD of its units, of all ROWS rows, before it uses the first
// of them: a load takes longer than all that is done with what it brings, and models this small have too few subgroups to
// hide that. About LOADS of 128 bits are in flight, dealt evenly over the rounds that a row takes; fewer for several rows of
// x, each of which is as much to load and to do. SUBGROUP only chooses their number: any other size is as right.
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
vec2 PHASE(before)(uint row, uint o);                 // what stands in outputs o and o + 1
void PHASE(store_sum)(uint row, uint o, vec2 y);      // y in its place
#define STORE(row, o, y, was) PHASE(store_sum)(row.index, o, (was) + (y))
#else
void PHASE(store)(Row row, uint o, vec2 y);
#define STORE(row, o, y, was) PHASE(store)(row, o, y)
#endif

struct PHASE(Unit) { uvec4 words[ROWS][2]; uint scales[ROWS]; }; // of ROWS rows, as loaded

// What a lane adds to the two outputs that it stores, loaded beside the weights: the bias, and what stands there.
struct PHASE(Base) { vec4 bias; vec2 before[TOKENS]; };

vec4 PHASE(input4)(Row row, uint i) { return STAGED != 0 ? staged(i) : inputs[row.index * (a.x_stride / 4) + i]; }

// The units u, u + lanes, ... of the rows o to o + ROWS. Past the end of a row it is the last one again, which
// `add_units` leaves out: in a branch, the compiler would put each load off until it is used.
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

// The products of unit u with that of TOKENS rows of x.
void PHASE(multiply)(Row rows[TOKENS], uint o, uint u, PHASE(Unit) unit, out float products[TOKENS][ROWS])
{
    float x_sums[TOKENS];
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        x_sums[t] = 0.0;
        [[unroll]] for (uint r = 0; r < ROWS; r++) products[t][r] = 0.0;
    }
    vec4 xs[MAX_UNIT / 4]; // of one row of x there is room for all at once
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

// The pair of ROWS outputs that is this lane's to store.
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

// ROWS outputs from `o` on, those from `o + stride` on, and so on below `end`, of the rows of x from first_row on. Every
// subgroup of a workgroup calls it, also one that has no output.
void PHASE(outputs)(uint first_row, uint o, uint stride, uint end)
{
    if (EARLY == 0 && !any_runs(first_row, TOKENS, a.step_rows)) return;
    uint lanes = subgroup_lanes(), lane = gl_SubgroupInvocationID;
    PHASE(Unit) units[AHEAD];
    PHASE(Base) base;

    // The first weights are on their way while the state is read and the input is made. In a loop, that ends at once: out
    // of one Mesa's compiler for AMD does not move loads, and these it would otherwise put off until after the norm.
    do {
        PHASE(load_units)(min(o, a.count - ROWS), lane, lanes, units);
        PHASE(load_base)(first_row, min(o, a.count - ROWS), base);
    } while (a.count == 0);

    Row rows[TOKENS];
    bool runs = false;
    [[unroll]] for (uint t = 0; t < TOKENS; t++) {
        rows[t] = row_at(first_row + t, a.step_rows);
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
