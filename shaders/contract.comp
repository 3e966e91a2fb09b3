// x += h W + b: the second half of the feed-forward layer. Its input is wide and read once: never staged.
// variants: - LANES BATCH+LANES PREFILL PREFILL+LANES PREFILL+COOPMAT
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "product.glsl"

layout(binding = 4) buffer Y { vec2 y_rows[]; };

#if !defined(PREFILL) && !defined(MANY)
void stage(Row row) {}
#endif

void store(Row row, uint o, vec2 y)
{
    y_rows[(row.index * a.y_stride + o) / 2] += y;
}

void main() { product(); }
