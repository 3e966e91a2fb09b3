// n = (x - mean) / sqrt(variance + eps) * gain + bias; one workgroup per row.
// variants: - PREFILL
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(constant_id = 3) const uint WIDTH = 768; // padded

layout(push_constant) uniform Push { NormArgs a; };

layout(binding = 1) readonly buffer Vectors { vec4 vectors[]; };
layout(binding = 2) readonly buffer X { vec4 x[]; };
layout(binding = 3) buffer N { vec4 n[]; };

uint first;
#define normed(i) n[first + (i)]
#include "norm.glsl"

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.step_rows);
    if (!row.runs) return;
    first = row.index * (a.stride / 4);
    norm_row(first, a.dim, a.gain, a.bias, a.eps);
}
