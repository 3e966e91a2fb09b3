// y = W x + b for the kernels qkv, project, expand, contract and head. A kernel includes this, says how its input
// is made (`stage`, in decode) and what happens to two neighbouring outputs (`store`), and calls `product`. These names
// begin with the kernel's, by PHASE(name), because persistent.comp has all five kernels in it.
//
// A way to compute it for each variant, in a file of its own:
//   (none)            decode on a GPU, of one row of x or several      product_rows.glsl
//   SOFTWARE             decode of one sequence on a software driver      product_software.glsl
//   BATCH SOFTWARE       decode of several                                product_many_software.glsl
//   PREFILL           many rows of x on a GPU                          product_tiles.glsl
//   PREFILL COOPMAT   likewise, by the device's products of matrices   product_coopmat.glsl
//   PREFILL SOFTWARE     many rows of x on a software driver              product_many_software.glsl
//
// The three of decode add up a row in the same order, so that a row comes out the same bits in any company.
//
// Widths and numbers of outputs are padded to 8 with zeros when the weights are uploaded, and a matrix in a small format
// has rows of whole blocks of 32, so none of them has a tail along a row.
#ifdef SOFTWARE
#extension GL_KHR_shader_subgroup_shuffle : require
#endif

// of a row of W and of x, padded; 0: a.x_stride says it
layout(constant_id = CONSTANT_PRODUCT_WIDTH) const uint FIXED_WIDTH = 768;
layout(constant_id = CONSTANT_PRODUCT_ROWS) const uint ROWS = 2; // even, at most 8
// 1: the input is made in shared memory; 0: it is read as it lies
layout(constant_id = CONSTANT_PRODUCT_STAGED) const uint STAGED = 1;
// SOFTWARE, COOPMAT: the exact size of a subgroup; else the usual one
layout(constant_id = CONSTANT_PRODUCT_SUBGROUP) const uint SUBGROUP = 8;
layout(constant_id = CONSTANT_PRODUCT_TOKENS) const uint TOKENS = 1; // rows of x
layout(constant_id = CONSTANT_PRODUCT_LOADS) const uint LOADS = 12; // decode on a GPU: product_rows.glsl
layout(constant_id = CONSTANT_PRODUCT_EARLY) const uint EARLY = 1; // likewise
layout(constant_id = CONSTANT_PRODUCT_MOST_HELD) const uint MOST_HELD = 16; // likewise: norm_subgroup.glsl

layout(push_constant) uniform Push { ProductArgs a; };
#if defined(SOFTWARE) && (defined(PREFILL) || defined(BATCH))
#define MANY
#define WIDTH a.x_stride // one compile for every width: a software driver takes longer to compile than to run
#else
#define WIDTH FIXED_WIDTH
#endif

layout(binding = 1) readonly buffer Weights { uvec4 weights[]; };
layout(binding = 2) readonly buffer Vectors { vec4 vectors[]; };
layout(binding = 3) readonly buffer X { vec4 inputs[]; };

#include "weights.glsl"
#include "product_common.glsl"

void weights8(uint row, uint k8, out vec4 low, out vec4 high) { row_weights8(WEIGHTS, WIDTH, a.scales, row, k8, low, high); }

void PHASE(store)(Row row, uint o, vec2 y); // outputs o and o + 1 of a row, the bias added

#if !defined(PREFILL) && !defined(MANY)

shared vec4 staged_x[STAGED != 0 ? STAGED_QUADS(WIDTH) : 1];
void PHASE(stage)(Row row); // fills `staged` and ends with a barrier

#ifdef SOFTWARE
vec4 input4(Row row, uint i) { return STAGED != 0 ? staged(i) : inputs[row.index * (a.x_stride / 4) + i]; }
#include "product_software.glsl"
#else
#include "product_rows.glsl"

// Each workgroup makes ROWS outputs of TOKENS rows for each of its subgroups, for those of more than 32 lanes twice that.
void product()
{
    uint group_outputs = ROWS * (SIZE / min(SUBGROUP, 32)), first = gl_WorkGroupID.x * group_outputs;
    PHASE(outputs)(gl_WorkGroupID.y * TOKENS, first + gl_SubgroupID * ROWS, gl_NumSubgroups * ROWS, min(first + group_outputs, a.count));
}
#endif
#elif defined(COOPMAT)
#include "product_coopmat.glsl"
#elif !defined(SOFTWARE)
#include "product_tiles.glsl"
#else
#include "product_many_software.glsl"
#endif
