// DETERMINISTIC: y = W x + b, added up in the same order on every device, in decode and in prefill: the terms of a
// segment of the width as four sums, by the term's place among four, then the four as a tree, then the segments one
// after the other. A lane makes four outputs, of one row in decode and of four in prefill. Neither that nor TEAM and
// the size of the workgroup change a bit.

// lanes that share four outputs: each takes one segment in TEAM
layout(constant_id = CONSTANT_PRODUCT_TEAM) const uint TEAM = 1;
#define SEGMENT 64
#define OUTPUTS 4
#ifdef PREFILL
#define MADE_ROWS 4
#else
#define MADE_ROWS 1
#endif

shared vec4 team_sums[TEAM > 1 ? MADE_ROWS * SIZE : 1];

// Named members and not an array, whose loops would have to be unrolled (tools/spirv_exact.c).
struct Quads { vec4 a, b, c, d; }; // for each output: four weights, or four sums
struct Rows { vec4 of_0, of_1, of_2, of_3; }; // for each row: four outputs

const Quads NO_QUADS = Quads(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));

void add_quads(inout Quads sums, vec4 x, Quads w)
{
    sums.a += x * w.a;
    sums.b += x * w.b;
    sums.c += x * w.c;
    sums.d += x * w.d;
}

vec4 outputs_of(Quads sums) { return vec4(sum4(sums.a), sum4(sums.b), sum4(sums.c), sum4(sums.d)); }

void settled8(uint row, uint k8, out vec4 low, out vec4 high)
{
    weights8(row, k8, low, high);
    if (WEIGHTS == WEIGHTS_F32) low = settled(low), high = settled(high); // the other formats are
}

void add_row(inout Quads sums, uint row, uint k8, Quads low, Quads high)
{
    uint at = row * (a.x_stride / 4) + 2 * k8;
    add_quads(sums, QUAD(inputs, at), low);
    add_quads(sums, QUAD(inputs, at + 1), high);
}

// The sums over one segment; past the end of the width they are 0.
Rows segment_sums(uint from, uint first_row, uint segment)
{
    Quads sums_0 = NO_QUADS, sums_1 = NO_QUADS, sums_2 = NO_QUADS, sums_3 = NO_QUADS;
    uint end = min((segment + 1) * SEGMENT, WIDTH) / 8;
    for (uint k8 = segment * (SEGMENT / 8); k8 < end; k8++) {
        Quads low, high;
        settled8(from, k8, low.a, high.a);
        settled8(from + 1, k8, low.b, high.b);
        settled8(from + 2, k8, low.c, high.c);
        settled8(from + 3, k8, low.d, high.d);
        add_row(sums_0, first_row, k8, low, high);
        if (MADE_ROWS == 1) continue;
        add_row(sums_1, first_row + 1, k8, low, high);
        add_row(sums_2, first_row + 2, k8, low, high);
        add_row(sums_3, first_row + 3, k8, low, high);
    }
    return Rows(outputs_of(sums_0), outputs_of(sums_1), outputs_of(sums_2), outputs_of(sums_3));
}

vec4 added(vec4 total, uint row, uint member)
{
    return total + team_sums[row * SIZE + gl_LocalInvocationID.x + member];
}

// The first lane of a team adds the segments of all of them.
void add_team(uint member, Rows sums, inout Rows totals)
{
    uint lane = gl_LocalInvocationID.x;
    team_sums[lane] = sums.of_0;
    if (MADE_ROWS > 1) {
        team_sums[SIZE + lane] = sums.of_1;
        team_sums[2 * SIZE + lane] = sums.of_2;
        team_sums[3 * SIZE + lane] = sums.of_3;
    }
    barrier();
    for (uint m = 0; member == 0 && m < TEAM; m++) {
        totals.of_0 = added(totals.of_0, 0, m);
        if (MADE_ROWS == 1) continue;
        totals.of_1 = added(totals.of_1, 1, m);
        totals.of_2 = added(totals.of_2, 2, m);
        totals.of_3 = added(totals.of_3, 3, m);
    }
    barrier();
}

void store4(uint index, uint o, vec4 y)
{
    Row row = row_at(index, a.range);
    if (!row.runs) return;
    PHASE(store)(row, o, settled(y.xy + settled(bias2(o))));
    PHASE(store)(row, o + 2, settled(y.zw + settled(bias2(o + 2))));
}

void product()
{
    uint first_row = gl_WorkGroupID.y * MADE_ROWS, member = gl_LocalInvocationID.x % TEAM;
    if (!any_runs(first_row, MADE_ROWS, a.range)) return;

    uint o = (gl_WorkGroupID.x * (SIZE / TEAM) + gl_LocalInvocationID.x / TEAM) * OUTPUTS;
    uint from = min(o, a.count - OUTPUTS); // lanes past the end work along, for the barriers, and store nothing
    Rows totals = Rows(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    for (uint first = 0; first * SEGMENT < WIDTH; first += TEAM) {
        Rows sums = segment_sums(from, first_row, first + member);
        if (TEAM > 1) add_team(member, sums, totals);
        else {
            totals.of_0 += sums.of_0;
            totals.of_1 += sums.of_1;
            totals.of_2 += sums.of_2;
            totals.of_3 += sums.of_3;
        }
    }
    if (member != 0 || o >= a.count) return;
    for (uint i = 0; i < MADE_ROWS; i++) {
        vec4 y = i == 0 ? totals.of_0 : i == 1 ? totals.of_1 : i == 2 ? totals.of_2 : totals.of_3;
        store4(first_row + i, a.first + o, y);
    }
}
