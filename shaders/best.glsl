// The maximum of one part of a row of logits, its index, and whether a logit is not finite, by one workgroup. The
// includer declares logits and parts.

#define BEST_AHEAD 8

shared uint stretch_index, stretch_bad;

void best(uint row_index, uint stretch)
{
    Row row = row_at(row_index, a.range);
    if (!row.runs) return;
    if (gl_LocalInvocationID.x == 0) { stretch_index = 0xffffffffu; stretch_bad = 0; }
    uint each = (a.vocab + a.groups - 1) / a.groups, first = stretch * each, end = min(first + each, a.vocab);
    uint row_first = row.index * a.logits_stride, last = end - 1;
    float most = MINUS_INFINITY;
    uint most_at = 0xffffffffu, bad = 0;
    for (uint i = first + gl_LocalInvocationID.x; i < end; i += BEST_AHEAD * SIZE) {
        float ahead[BEST_AHEAD];
        [[unroll]] for (uint j = 0; j < BEST_AHEAD; j++) ahead[j] = logits[row_first + min(i + j * SIZE, last)];
        [[unroll]] for (uint j = 0; j < BEST_AHEAD; j++) {
            if (is_bad(ahead[j])) bad = 1;
            if (ahead[j] > most) { most = ahead[j]; most_at = min(i + j * SIZE, last); } // the lowest id stays
        }
    }
    float maximum = workgroup_max(most);
    if (most == maximum) atomicMin(stretch_index, most_at);
    if (bad != 0) atomicOr(stretch_bad, 1);
    barrier();
    if (gl_LocalInvocationID.x == 0)
        parts[row.index * a.groups + stretch] = HeadPart(maximum, stretch_index, stretch_bad, 0);
}
