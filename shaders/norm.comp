// n = (x - mean) / sqrt(variance + eps) * gain + bias; one workgroup per row.
// variants: - SOFTWARE PREFILL DETERMINISTIC PREFILL+DETERMINISTIC SOFTWARE+TEXELS PREFILL+TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(constant_id = CONSTANT_PRODUCT_WIDTH) const uint WIDTH = 768; // padded
layout(constant_id = CONSTANT_PRODUCT_SUBGROUP) const uint SUBGROUP = 32;
layout(constant_id = CONSTANT_PRODUCT_MOST_HELD) const uint MOST_HELD = 16;
layout(constant_id = CONSTANT_PRODUCT_HALVES_OUT) const uint HALVES_OUT = 0; // PREFILL: 1: n is halves, 0: floats

layout(push_constant) uniform Push { NormArgs a; };
#define PHASE(name) norm_##name

READ_QUADS(1, Vectors, vectors);
READ_QUADS(2, X, inputs);
layout(binding = 3) buffer N { vec4 n[]; };

uint first;
#if defined(PREFILL) && !defined(DETERMINISTIC)
layout(binding = 3) writeonly buffer NHalves { uvec2 n_halves[]; };
#include "halves.glsl"
#define PUT_NORMED(i, value) { if (HALVES_OUT != 0) n_halves[first + (i)] = pack4(value); else n[first + (i)] = value; }
#else
#define normed(i) n[first + (i)]
#endif
#define IN_PLACE // n and x may be the same
#ifdef DETERMINISTIC
#include "norm_deterministic.glsl"
#elif defined(SOFTWARE) || defined(PREFILL)
#include "norm_workgroup.glsl"
#else
#include "norm_subgroup.glsl"
#endif

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.range);
    if (!row.runs) return;
    first = row.index * (a.stride / 4);
    PHASE(norm_row)(first, a.dim, a.gain, a.bias, a.eps);
}
