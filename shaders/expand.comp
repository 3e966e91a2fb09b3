// h = activation(norm(x) W + b): the first half of the feed-forward layer.
// variants: - LANES BATCH+LANES PREFILL PREFILL+LANES PREFILL+COOPMAT
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "product.glsl"
#include "staged_norm.glsl"
#include "activation.glsl"

layout(binding = 4) writeonly buffer H { vec2 h[]; };

void store(Row row, uint o, vec2 y)
{
    h[(row.index * a.y_stride + o) / 2] = vec2(activate(y.x), activate(y.y));
}

void main() { product(); }
