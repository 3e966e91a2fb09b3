// x += h W + b: the second half of the feed-forward layer. Its input is wide and read once, so it is never staged.
// variants: - SOFTWARE BATCH+SOFTWARE PREFILL PREFILL+SOFTWARE PREFILL+COOPMAT DETERMINISTIC PREFILL+DETERMINISTIC SOFTWARE+TEXELS BATCH+SOFTWARE+TEXELS PREFILL+SOFTWARE+TEXELS DETERMINISTIC+TEXELS PREFILL+DETERMINISTIC+TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define PHASE(name) contract_##name
#define RESIDUAL
#define SPLITS // COOPMAT: the width may be cut into segments, since there are few outputs of a wide input
#include "product.glsl"

layout(binding = 4) buffer Y { vec2 y_rows[]; };

#include "residual.glsl"

#if !defined(PREFILL) && !defined(MANY)
void PHASE(stage)(Row row) {}
#endif

void main() { product(); }
