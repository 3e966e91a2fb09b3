// What the five products have in common, whatever way they are computed. The includer has `vectors`, and the product's
// arguments `a`.

// The input of one row in shared memory. A gap after every eight: lanes of a GPU read a unit each, and with the gaps that
// is eight different banks of 128 bits, whether a unit is 2, 4 or 8 of these quads (weights.glsl).
#ifdef SOFTWARE
#define GAP_AFTER WIDTH
#else
#define GAP_AFTER 8
#endif
#define STAGED_QUADS(width) ((width) / 4 + (width) / 4 / GAP_AFTER)
#define staged(i) staged_x[(i) + (i) / GAP_AFTER]

vec2 bias2(uint o)
{
    if (a.bias == NO_BIAS) return vec2(0.0);
    vec4 four = vectors[(a.bias + o) / 4];
    return (o & 2) == 0 ? four.xy : four.zw;
}
