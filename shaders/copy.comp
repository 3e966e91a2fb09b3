// to[i] = from[i]: not a part of a model; it measures the device. A large copy gives the bandwidth, and a copy of
// nothing the cost of a dispatch.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "args.h"

layout(local_size_x_id = CONSTANT_SIZE) in;

layout(push_constant) uniform Push { CopyArgs a; };

layout(binding = 0) readonly buffer From { uvec4 from[]; };
layout(binding = 1) writeonly buffer To { uvec4 to[]; };

void main()
{
    uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x * COPY_EACH + gl_LocalInvocationID.x;
    [[unroll]] for (uint j = 0; j < COPY_EACH; j++) {
        uint i = first + j * gl_WorkGroupSize.x;
        if (i < a.count) to[i] = from[i];
    }
}
