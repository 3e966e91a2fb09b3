// x = wte[token] + wpe[position], or one of the two; one workgroup per row, once per chunk of wte.
// variants: - PREFILL
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(push_constant) uniform Push { EmbedArgs a; };

layout(binding = 1) readonly buffer Tokens { uint tokens[]; };
layout(binding = 2) readonly buffer Wte { uvec4 wte[]; };
layout(binding = 3) readonly buffer Wpe { uvec4 wpe[]; };
layout(binding = 4) writeonly buffer X { vec4 x[]; };

#define READ8(table, i, low, high)                                                                   \
    {                                                                                                 \
        if (WEIGHTS == WEIGHTS_F16) unpack8(table[i], low, high);                                     \
        else { low = uintBitsToFloat(table[2 * (i)]); high = uintBitsToFloat(table[2 * (i) + 1]); }   \
    }

void main()
{
    Row row = row_at(gl_WorkGroupID.y, a.sequence);
    if (!row.runs) return;
    uint token = min(tokens[row.sequence * a.token_stride + row.position], a.vocab - 1);
    bool adds_token = (a.parts & EMBED_TOKEN) != 0, adds_position = (a.parts & EMBED_POSITION) != 0;
    if (adds_token && (token < a.first || token >= a.first + a.count)) return;
    uint chunks = a.dim / 8;
    for (uint i = gl_LocalInvocationID.x; i < chunks; i += SIZE) {
        vec4 token_low = vec4(0.0), token_high = vec4(0.0), position_low = vec4(0.0), position_high = vec4(0.0);
        if (adds_token) READ8(wte, (token - a.first) * chunks + i, token_low, token_high)
        if (adds_position) READ8(wpe, (row.position + a.position_offset) * chunks + i, position_low, position_high)
        x[(row.index * chunks + i) * 2] = token_low + position_low;
        x[(row.index * chunks + i) * 2 + 1] = token_high + position_high;
    }
}
