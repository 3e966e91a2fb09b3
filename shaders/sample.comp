// The next tokens of each sequence: sample.glsl. One workgroup per sequence.
// variants: - DETERMINISTIC
#version 460
#extension GL_GOOGLE_include_directive : require
#define STATE_ACCESS
#include "common.glsl"

layout(constant_id = CONSTANT_SAMPLE_AHEAD) const uint SAMPLE_AHEAD = 8;

layout(push_constant) uniform Push { SampleArgs a; };

layout(binding = 1) coherent buffer Tokens { uint tokens[]; };
layout(binding = 2) coherent buffer Logits { vec4 logits4[]; };
layout(binding = 3) readonly buffer Parts { HeadPart parts[]; };
layout(binding = 4) writeonly buffer Ring { uint ring[]; };
layout(binding = 5) coherent buffer Changes { LogitChange changes[]; };
layout(binding = 6) coherent buffer Kept { vec4 kept4[]; };
layout(binding = 7) writeonly buffer Reports { TokenReport token_reports[]; };

#include "sample.glsl"

void main() { sample_sequence(gl_WorkGroupID.x); }
