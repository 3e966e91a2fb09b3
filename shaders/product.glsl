// y = W x + b for the kernels qkv, project, expand, contract and head. This file only chooses the form. A kernel
// includes it, defines how its input is made (`stage`, in decode) and what happens to two neighbouring outputs
// (`store`), and calls `product`. PHASE(name) puts the kernel's name before these names, because persistent.comp
// contains all five kernels.
//
// Each variant of a kernel has a form, in a file of its own:
//   (none)            decode on a GPU, for one row of x or several         product_rows.glsl
//   SOFTWARE          decode of one sequence on a software driver          product_software.glsl
//   BATCH SOFTWARE    decode of several sequences on a software driver     product_many_software.glsl
//   PREFILL           many rows of x on a GPU, in fp32                     product_tiles.glsl
//   PREFILL COOPMAT   many rows of x on a GPU, with cooperative matrices   product_tiles.glsl
//   PREFILL SOFTWARE  many rows of x on a software driver                  product_many_software.glsl
//   DETERMINISTIC     with PREFILL too: the same bits on every device      product_deterministic.glsl
//
// The three forms of decode add up a row in the same order. So a row has the same bits, alone or with others.
//
// The upload pads widths and numbers of outputs to a multiple of 8 with zeros, and a matrix in a quantised format has
// rows that are a multiple of 32. So no form has to handle the rest of a row.
//
// Macros: MANY is a form for many rows on a software driver. WIDTH is the padded width of a row of W and of x.
#ifdef SOFTWARE
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

// WIDTH, or 0: it is a.x_stride
layout(constant_id = CONSTANT_PRODUCT_WIDTH) const uint FIXED_WIDTH = 768;
layout(constant_id = CONSTANT_PRODUCT_ROWS) const uint ROWS = 2; // even, at most 8
// 1: the workgroup computes its input, into shared memory; 0: it reads x
layout(constant_id = CONSTANT_PRODUCT_STAGED) const uint STAGED = 1;
// lanes of a subgroup: exact for SOFTWARE and COOPMAT, otherwise the usual number
layout(constant_id = CONSTANT_PRODUCT_SUBGROUP) const uint SUBGROUP = 8;
layout(constant_id = CONSTANT_PRODUCT_TOKENS) const uint TOKENS = 1; // rows of x
layout(constant_id = CONSTANT_PRODUCT_LOADS) const uint LOADS = 12; // product_rows.glsl
layout(constant_id = CONSTANT_PRODUCT_EARLY) const uint EARLY = 1; // product_rows.glsl
layout(constant_id = CONSTANT_PRODUCT_MOST_HELD) const uint MOST_HELD = 16; // norm_subgroup.glsl

layout(push_constant) uniform Push { ProductArgs a; };
#if defined(DETERMINISTIC) || (defined(SOFTWARE) && (defined(PREFILL) || defined(BATCH)))
#define MANY
#define WIDTH a.x_stride // one pipeline for all widths: a software driver takes longer to compile than to run
#else
#define WIDTH FIXED_WIDTH
#endif

READ_WORDS(1, Weights, weights);
READ_QUADS(2, Vectors, vectors);
READ_QUADS(3, X, inputs);

#include "weights.glsl"
#include "product_common.glsl"

void weights8(uint row, uint k8, out vec4 low, out vec4 high) { row_weights8(WEIGHTS, WIDTH, a.scales, row, k8, low, high); }

void PHASE(store)(Row row, uint o, vec2 y); // outputs o and o + 1 of a row, with the bias

#if !defined(PREFILL) && !defined(MANY)

shared vec4 staged_x[STAGED != 0 ? STAGED_QUADS(WIDTH) : 1];
void PHASE(stage)(Row row); // writes the input of a row to `staged`, then waits at a barrier

#ifdef SOFTWARE
vec4 input4(Row row, uint i) { return STAGED != 0 ? staged(i) : QUAD(inputs, row.index * (a.x_stride / 4) + i); }
#include "product_software.glsl"
#else
#include "product_rows.glsl"

// Each subgroup of a workgroup computes ROWS outputs of TOKENS rows; twice as many if it has more than 32 lanes.
void product()
{
    uint group_outputs = ROWS * (SIZE / min(SUBGROUP, 32)), first = gl_WorkGroupID.x * group_outputs;
    PHASE(outputs)(gl_WorkGroupID.y * TOKENS, first + gl_SubgroupID * ROWS, gl_NumSubgroups * ROWS, min(first + group_outputs, a.count));
}
#endif
#elif defined(DETERMINISTIC)
#include "product_deterministic.glsl"
#elif !defined(SOFTWARE)
#include "product_tiles.glsl"
#else
#include "product_many_software.glsl"
#endif
