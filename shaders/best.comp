// The maximum of each stretch of a row of logits, where it stands, and whether a logit is not finite: what `head` itself
// leaves where it makes one row at a time. One workgroup per stretch and row; 32 lanes look at a stretch of 256 in one
// turn, with all loads ahead.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { BestArgs a; };

layout(binding = 1) readonly buffer Logits { float logits[]; };
layout(binding = 2) writeonly buffer Parts { HeadPart parts[]; };

#define AHEAD 8

shared uint part_index, part_bad;

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.step_rows);
    if (!row.runs) return;
    if (gl_LocalInvocationID.x == 0) { part_index = 0xffffffffu; part_bad = 0; }
    uint each = (a.vocab + a.groups - 1) / a.groups, first = gl_WorkGroupID.x * each, end = min(first + each, a.vocab);
    uint row_first = row.index * a.logits_stride, last = end - 1;
    float best = uintBitsToFloat(0xff800000u);
    uint best_index = 0xffffffffu, bad = 0;
    for (uint i = first + gl_LocalInvocationID.x; i < end; i += AHEAD * SIZE) {
        float ahead[AHEAD];
        [[unroll]] for (uint j = 0; j < AHEAD; j++) ahead[j] = logits[row_first + min(i + j * SIZE, last)];
        [[unroll]] for (uint j = 0; j < AHEAD; j++) {
            if (is_bad(ahead[j])) bad = 1;
            if (ahead[j] > best) { best = ahead[j]; best_index = min(i + j * SIZE, last); } // rising: the lowest id
        }
    }
    float maximum = workgroup_max(best);
    if (best == maximum) atomicMin(part_index, best_index);
    if (bad != 0) atomicOr(part_bad, 1);
    barrier();
    if (gl_LocalInvocationID.x == 0)
        parts[row.index * a.groups + gl_WorkGroupID.x] = HeadPart(maximum, part_index, part_bad, 0);
}
