// For each part of a row of logits: its maximum, the index of the maximum, and whether a logit is not finite. For one
// row at a time `head` writes the same itself. One workgroup per part and row; 32 lanes load a part of 256 logits at
// once.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { BestArgs a; };

layout(binding = 1) readonly buffer Logits { float logits[]; };
layout(binding = 2) writeonly buffer Parts { HeadPart parts[]; };

#include "best.glsl"

void main() { best(gl_WorkGroupID.y, gl_WorkGroupID.x); }
