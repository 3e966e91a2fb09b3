// Attention of one query per head over the cache (Vaswani et al. 2017, 3.2). The cache is split into ranges of
// positions, at multiples of SPAN; one workgroup per head, range and row. It writes the weighted sum of the values, not
// yet divided, the maximum of the scores and the sum of the exponentials. `project` merges the ranges.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(constant_id = CONSTANT_ATTEND_HEAD_DIM) const uint HEAD_DIM = 64; // padded
layout(constant_id = CONSTANT_ATTEND_SPAN) const uint SPAN = 64; // positions in a range
// loads of keys or values in flight before the first is used
layout(constant_id = CONSTANT_ATTEND_AHEAD) const uint AHEAD = 8;
#define TEAM SIZE

layout(push_constant) uniform Push { AttendArgs a; };

layout(binding = 1) readonly buffer Q { vec4 q[]; };
layout(binding = 2) readonly buffer K { uvec4 k_cache[]; };
layout(binding = 3) readonly buffer V { uvec4 v_cache[]; };
layout(binding = 4) writeonly buffer Parts { vec4 parts[]; };

#include "attend.glsl"

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    if (!row.runs || gl_WorkGroupID.z * SPAN > row.position) return;
    attend(gl_WorkGroupID.x, gl_WorkGroupID.y, gl_WorkGroupID.z, true);
}
