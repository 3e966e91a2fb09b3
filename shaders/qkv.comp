// q, k, v = norm(x) W + b; q goes to scratch memory, k and v straight into the cache, unless it is quantised.
// The rows of W are q, k and v in turn, each (heads, head_dim).
// variants: - SOFTWARE BATCH+SOFTWARE PREFILL PREFILL+SOFTWARE PREFILL+COOPMAT DETERMINISTIC PREFILL+DETERMINISTIC SOFTWARE+TEXELS BATCH+SOFTWARE+TEXELS PREFILL+SOFTWARE+TEXELS DETERMINISTIC+TEXELS PREFILL+DETERMINISTIC+TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define PHASE(name) qkv_##name
#include "product.glsl"
#include "staged_norm.glsl"

layout(binding = 4) writeonly buffer Q { vec2 q[]; };
layout(binding = 5) writeonly buffer K { uint k_cache[]; };
layout(binding = 6) writeonly buffer V { uint v_cache[]; };

#include "qkv.glsl"

void main() { product(); }
