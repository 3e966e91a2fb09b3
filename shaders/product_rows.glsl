// Decode on a GPU: y = W x + b, ROWS rows of W per subgroup, its lanes along them, for TOKENS rows of x.

// Lanes go along a row a unit each, and a lane loads AHEAD of its units, of all ROWS rows, before it uses the first of
// them: a load takes longer than all that is done with what it brings, and models this small have too few subgroups to
// hide that. About LOADS of 128 bits are in flight, dealt evenly over the rounds that a row takes; fewer for several rows of
// x, each of which is as much to load and to do. SUBGROUP only chooses their number: any other size is as right.
layout(constant_id = 12) const uint LOADS = 12;
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
