// The maximum of each stretch of a row of logits, where it stands, and whether a logit is not finite: what `head` itself
// leaves where it makes one row at a time. One workgroup per stretch and row.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { BestArgs a; };

layout(binding = 1) readonly buffer Logits { float logits[]; };
layout(binding = 2) writeonly buffer Parts { HeadPart parts[]; };

shared uint part_index, part_bad;

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.step_rows);
    if (!row.runs) return;
    if (gl_LocalInvocationID.x == 0) { part_index = 0xffffffffu; part_bad = 0; }
    uint each = (a.vocab + a.groups - 1) / a.groups, first = gl_WorkGroupID.x * each, end = min(first + each, a.vocab);
    float best = uintBitsToFloat(0xff800000u);
    uint best_index = 0xffffffffu, bad = 0;
    for (uint i = first + gl_LocalInvocationID.x; i < end; i += SIZE) {
        float logit = logits[row.index * a.logits_stride + i];
        if (is_bad(logit)) bad = 1;
        if (logit > best) { best = logit; best_index = i; } // rising ids: > keeps the lowest
    }
    float maximum = workgroup_max(best);
    if (best == maximum) atomicMin(part_index, best_index);
    if (bad != 0) atomicOr(part_bad, 1);
    barrier();
    if (gl_LocalInvocationID.x == 0)
        parts[row.index * a.groups + gl_WorkGroupID.x] = HeadPart(maximum, part_index, part_bad, 0);
}
