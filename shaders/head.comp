// logits = norm(x) W. In decode of one row each workgroup also leaves its maximum, where it stands and whether a logit
// is not finite, so that greedy sampling has a few hundred numbers to look at; of several rows `best` leaves it.
// variants: - LANES BATCH+LANES PREFILL PREFILL+LANES PREFILL+COOPMAT
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "product.glsl"
#include "staged_norm.glsl"

layout(binding = 4) writeonly buffer Logits { float logits[]; };

#if !defined(PREFILL) && !defined(MANY)
#define LEAVES_PARTS (TOKENS == 1)
layout(binding = 5) writeonly buffer Parts { HeadPart parts[]; };

// This lane's best logit so far. Its outputs come in rising order, so > keeps the lowest index.
float best = uintBitsToFloat(0xff800000u);
uint best_index = 0xffffffffu;
uint bad = 0;

void consider(float y, uint o)
{
    if (is_bad(y)) bad = 1;
    if (y > best) { best = y; best_index = o; }
}
#endif

void store(Row row, uint o, vec2 y)
{
    uint at = row.index * a.y_stride + o;
    if (o < a.outputs) logits[at] = y.x;
    if (o + 1 < a.outputs) logits[at + 1] = y.y;
#ifdef LEAVES_PARTS
    if (LEAVES_PARTS && o < a.outputs) consider(y.x, o);
    if (LEAVES_PARTS && o + 1 < a.outputs) consider(y.y, o + 1);
#endif
}

#ifdef LEAVES_PARTS
shared uint part_index, part_bad;

void main()
{
    if (gl_LocalInvocationID.x == 0) { part_index = 0xffffffffu; part_bad = 0; }
    product();
    if (!LEAVES_PARTS || !row_at(gl_WorkGroupID.y, a.step_rows).runs) return;
    float maximum = workgroup_max(best);
    if (best == maximum) atomicMin(part_index, best_index);
    if (bad != 0) atomicOr(part_bad, 1);
    barrier();
    if (gl_LocalInvocationID.x == 0)
        parts[gl_WorkGroupID.y * a.groups + a.first_group + gl_WorkGroupID.x] = HeadPart(maximum, part_index, part_bad, 0);
}
#else
void main() { product(); }
#endif
