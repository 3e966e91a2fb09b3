// logits = norm(x) W. In decode of one row each workgroup also writes the maximum of its logits, its index, and whether
// a logit is not finite, so that greedy sampling reads only a few hundred numbers. For several rows `best` does so.
// variants: - SOFTWARE BATCH+SOFTWARE PREFILL PREFILL+SOFTWARE PREFILL+COOPMAT DETERMINISTIC PREFILL+DETERMINISTIC SOFTWARE+TEXELS BATCH+SOFTWARE+TEXELS PREFILL+SOFTWARE+TEXELS DETERMINISTIC+TEXELS PREFILL+DETERMINISTIC+TEXELS
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define PHASE(name) head_##name
#include "product.glsl"
#include "staged_norm.glsl"

layout(binding = 4) writeonly buffer Logits { float logits[]; };

#if !defined(PREFILL) && !defined(MANY)
#define LEAVES_PARTS (TOKENS == 1)
layout(binding = 5) writeonly buffer Parts { HeadPart parts[]; };

#include "head.glsl"

void main()
{
    parts_begin();
    product();
    parts_end(gl_WorkGroupID.y, a.first_group + gl_WorkGroupID.x);
}
#else
void PHASE(store)(Row row, uint o, vec2 y)
{
    uint at = row.index * a.y_stride + o;
    if (o < a.outputs) logits[at] = y.x;
    if (o + 1 < a.outputs) logits[at + 1] = y.y;
}

void main() { product(); }
#endif
