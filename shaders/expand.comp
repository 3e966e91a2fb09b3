// h = activation(norm(x) W + b): the first half of the feed-forward layer.
// variants: - LANES BATCH+LANES PREFILL PREFILL+LANES PREFILL+COOPMAT
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define PHASE(name) expand_##name
#include "product.glsl"
#include "staged_norm.glsl"

layout(constant_id = 8) const uint ACTIVATION = ACTIVATE_GELU_TANH;
#include "activation.glsl"

layout(binding = 4) writeonly buffer H { vec2 h[]; };

#include "expand.glsl"

void main() { product(); }
