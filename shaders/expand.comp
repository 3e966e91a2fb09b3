// h = activation(norm(x) W + b): the first half of the feed-forward layer.
// variants: - SOFTWARE BATCH+SOFTWARE PREFILL PREFILL+SOFTWARE PREFILL+COOPMAT DETERMINISTIC PREFILL+DETERMINISTIC SOFTWARE+TEXELS BATCH+SOFTWARE+TEXELS PREFILL+SOFTWARE+TEXELS DETERMINISTIC+TEXELS PREFILL+DETERMINISTIC+TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define PHASE(name) expand_##name
#include "product.glsl"
#include "staged_norm.glsl"

layout(constant_id = CONSTANT_PRODUCT_ACTIVATION) const uint ACTIVATION = ACTIVATE_GELU_TANH;
#ifdef DETERMINISTIC
#include "activation_deterministic.glsl"
#else
#include "activation.glsl"
#endif

layout(binding = 4) writeonly buffer H { vec2 h[]; };

#ifdef COOPMAT
layout(constant_id = CONSTANT_PRODUCT_HALVES_OUT) const uint HALVES_OUT = 1; // 0: floats
layout(binding = 4) writeonly buffer HHalves { uint h_halves[]; };

void PHASE(store)(Row row, uint o, vec2 y)
{
    uint at = (row.index * a.y_stride + o) / 2;
    y = vec2(activate(y.x), activate(y.y));
    if (HALVES_OUT != 0) h_halves[at] = pack2(y);
    else h[at] = y;
}
#else
#include "expand.glsl"
#endif

void main() { product(); }
