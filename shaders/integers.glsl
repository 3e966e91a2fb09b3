// Weights of logits as integers: the same bits on every device, and sums of them in any order.

// ---- sums of up to 64 bits: low and high word

uvec2 add64(uvec2 x, uvec2 y)
{
    uint low = x.x + y.x;
    return uvec2(low, x.y + y.y + uint(low < x.x));
}

uvec2 subtract64(uvec2 x, uvec2 y) { return uvec2(x.x - y.x, x.y - y.y - uint(x.x < y.x)); }

bool exceeds64(uvec2 x, uvec2 y) { return x.y > y.y || (x.y == y.y && x.x > y.x); }

// x * part / 2^32
uvec2 part64(uvec2 x, uint part)
{
    uint high, low, carried, dropped;
    umulExtended(x.y, part, high, low);
    umulExtended(x.x, part, carried, dropped);
    return add64(uvec2(low, high), uvec2(carried, 0));
}

// ---- the exponential function

#define LOG2E 0xB8AA3B29u // in 2^-31
#define LOG2E_FLOAT uintBitsToFloat(0x3FB8AA3Bu)

// 2^30 2^-f for f from 0 to 1, rounded down, by a polynomial. Single steps that every device rounds alike, kept apart
// by `precise`.
uint power_of(float f)
{
    precise float p = -0.000948230561 * f + 0.0092262486;
    p = p * f - 0.0553284921;
    p = p * f + 0.24019675;
    p = p * f - 0.693146288;
    p = p * f + 1.0;
    return uint(p * 1073741824.0);
}
