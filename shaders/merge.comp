// Merges the splits of the cache into attention's output, where the width is too large for `project` to do it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { ProductArgs a; };

layout(binding = 1) readonly buffer Parts { vec4 inputs[]; };
layout(binding = 2) writeonly buffer A { vec4 merged_row[]; };

#define WIDTH (a.heads * a.head_dim)
layout(constant_id = CONSTANT_MERGE_AHEAD) const uint MERGED_AHEAD = 8;
#include "merged.glsl"

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    if (!row.runs) return;
    for (uint i = gl_LocalInvocationID.x; i < WIDTH / 4; i += SIZE)
        merged_row[row.index * (a.y_stride / 4) + i] = merged(row, i);
}
