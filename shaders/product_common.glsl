// What the forms of a product share. The includer declares `vectors` and the arguments of the product, `a`.

// The input of one row in shared memory, as quads, on a GPU with a gap after every eight. Each lane of a GPU reads a
// unit (weights.glsl) of 2, 4 or 8 quads. With the gaps, eight lanes read from eight different banks of 128 bits.
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
    vec4 four = QUAD(vectors, (a.bias + o) / 4);
    return (o & 2) == 0 ? four.xy : four.zw;
}
