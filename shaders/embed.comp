// x = wte[token] + wpe[position], or one of the two; one workgroup per row, once per chunk of wte.
// variants: - PREFILL DETERMINISTIC PREFILL+DETERMINISTIC
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { EmbedArgs a; };

layout(binding = 1) readonly buffer Tokens { uint tokens[]; };
layout(binding = 2) readonly buffer Wte { uvec4 weights[]; };
layout(binding = 3) readonly buffer Wpe { uvec4 wpe[]; };
layout(binding = 4) writeonly buffer X { vec4 embedded[]; };

#include "weights.glsl"
#include "embed.glsl"

void main() { embed(gl_WorkGroupID.y); }
