// The input of a product is the norm of its row. Every workgroup computes it again, which costs less than a dispatch.
// Where the width is too large for shared memory, `norm` has run before and STAGED is 0.
#if !defined(PREFILL) && !defined(MANY)
#define normed(i) staged(i)
#ifdef SOFTWARE
#include "norm_workgroup.glsl"
#else
#include "norm_subgroup.glsl"
#endif

void PHASE(stage)(Row row)
{
    PHASE(norm_row)(row.index * (a.x_stride / 4), a.dim, a.norm_gain, a.norm_bias, a.eps);
    barrier();
}
#endif
