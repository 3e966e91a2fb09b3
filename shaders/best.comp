// The maximum of each stretch of a row of logits, where it stands, and whether a logit is not finite: what `head` itself
// leaves where it makes one row at a time. One workgroup per stretch and row; 32 lanes look at a stretch of 256 in one
// turn, with all loads ahead.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { BestArgs a; };

layout(binding = 1) readonly buffer Logits { float logits[]; };
layout(binding = 2) writeonly buffer Parts { HeadPart parts[]; };

#include "best.glsl"

void main() { best(gl_WorkGroupID.y, gl_WorkGroupID.x); }
