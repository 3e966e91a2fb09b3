// Not a part of a model: it shows how a device rounds. For operands x, y, z: x + y, x - y, x * y, and x * y + z in two
// steps (engine/deterministic.c).
// variants: DETERMINISTIC
#version 460
#extension GL_GOOGLE_include_directive : require
#include "args.h"

layout(local_size_x_id = 0) in;

layout(push_constant) uniform Push { CopyArgs a; };

layout(binding = 0) readonly buffer From { vec4 operands[]; };
layout(binding = 1) writeonly buffer To { vec4 results[]; };

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= a.count) return;
    vec4 v = operands[i];
    results[i] = vec4(v.x + v.y, v.x - v.y, v.x * v.y, v.x * v.y + v.z);
}
