// x = wte[token] + wpe[position], or one of the two; one workgroup per row, once per chunk of wte.
// variants: - PREFILL
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { EmbedArgs a; };

layout(binding = 1) readonly buffer Tokens { uint tokens[]; };
layout(binding = 2) readonly buffer Wte { uvec4 weights[]; };
layout(binding = 3) readonly buffer Wpe { uvec4 wpe[]; };
layout(binding = 4) writeonly buffer X { vec4 x[]; };

#include "weights.glsl"

// Positions are never quantised: they lie in F32 beside an F32 wte, else in F16.
void position8(uint i, out vec4 low, out vec4 high)
{
    if (WEIGHTS == WEIGHTS_F32) {
        low = uintBitsToFloat(wpe[2 * i]);
        high = uintBitsToFloat(wpe[2 * i + 1]);
    } else {
        unpack8(wpe[i], low, high);
    }
}

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.step_rows);
    if (!row.runs) return;
    uint token = min(tokens[row.sequence * a.token_stride + row.position], a.vocab - 1);
    bool adds_token = (a.parts & EMBED_TOKEN) != 0, adds_position = (a.parts & EMBED_POSITION) != 0;
    if (adds_token && (token < a.first || token >= a.first + a.count)) return;
    uint chunks = a.dim / 8;
    for (uint i = gl_LocalInvocationID.x; i < chunks; i += SIZE) {
        vec4 token_low = vec4(0.0), token_high = vec4(0.0), position_low = vec4(0.0), position_high = vec4(0.0);
        if (adds_token) row_weights8(a.dim, a.scales, token - a.first, i, token_low, token_high);
        if (adds_position) position8((row.position + a.position_offset) * chunks + i, position_low, position_high);
        x[(row.index * chunks + i) * 2] = token_low + position_low;
        x[(row.index * chunks + i) * 2 + 1] = token_high + position_high;
    }
}
