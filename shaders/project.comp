// x += attention W + b, the ranges that `attend` left merged on the way in. In prefill there is nothing to merge, and
// `contract` does it.
// variants: - LANES
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "product.glsl"
#include "merged.glsl"

void stage(Row row)
{
    for (uint i = gl_LocalInvocationID.x; i < WIDTH / 4; i += SIZE) staged(i) = merged(row, i);
    barrier();
}

layout(binding = 4) buffer Y { vec2 y_rows[]; };

void store(Row row, uint o, vec2 y)
{
    y_rows[(row.index * a.y_stride + o) / 2] += y;
}

void main() { product(); }
