// x += attention W + b. It merges the ranges of `attend` while it reads them. In prefill, and on a software driver, there
// is nothing to merge, and `contract` is used.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define PHASE(name) project_##name
#define RESIDUAL
#include "product.glsl"

layout(binding = 4) buffer Y { vec2 y_rows[]; };

#define MERGED_AHEAD (LOADS > 1 ? LOADS * 2 / 3 : 1) // 8 of 12
#include "merged.glsl"
#include "project.glsl"
#include "residual.glsl"

void main() { product(); }
