// The logits, and, for one row, the maximum of those that this workgroup makes, its index, and whether a logit is not
// finite. The includer declares logits, parts and the constant LEAVES_PARTS.

shared uint part_index, part_bad;

// This lane's best logit so far. Its outputs have rising indices, so > keeps the lowest one of equal logits.
float head_best;
uint head_best_at, head_bad;

void consider(float y, uint o)
{
    if (is_bad(y)) head_bad = 1;
    if (y > head_best) { head_best = y; head_best_at = o; }
}

void PHASE(store)(Row row, uint o, vec2 y)
{
    uint at = row.index * a.y_stride + o;
    if (o < a.outputs) logits[at] = y.x;
    if (o + 1 < a.outputs) logits[at + 1] = y.y;
    if (LEAVES_PARTS && o < a.outputs) consider(y.x, o);
    if (LEAVES_PARTS && o + 1 < a.outputs) consider(y.y, o + 1);
}

// Call parts_begin before the product, which clears the maximum, and parts_end after it, which writes it as `part` of
// the row.
void parts_begin()
{
    head_best = MINUS_INFINITY, head_best_at = 0xffffffffu, head_bad = 0;
    if (gl_LocalInvocationID.x == 0) { part_index = 0xffffffffu; part_bad = 0; }
    barrier();
}

void parts_end(uint row, uint part)
{
    if (!LEAVES_PARTS || !row_at(row, a.range).runs) return;
    float maximum = workgroup_max(head_best);
    if (head_best == maximum) atomicMin(part_index, head_best_at);
    if (head_bad != 0) atomicOr(part_bad, 1);
    barrier();
    if (gl_LocalInvocationID.x == 0) parts[row * a.groups + part] = HeadPart(maximum, part_index, part_bad, 0);
}
