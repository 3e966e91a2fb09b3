// DETERMINISTIC: arithmetic that has the same bits on every device (`--deterministic`).
//
// Vulkan rounds sums, differences, products and conversions correctly, and compilers do not join or reorder them,
// because the build marks it NoContraction (tools/spirv_exact.c). Everything else has an error that depends on the
// device: quotients, roots, exp, log, halves, and sums over a subgroup, whose order depends on its size. So these are
// computed here from the former, and lanes add up through shared memory, in the order of their numbers.
//
// A device may flush a denormal to zero, or keep it. So no denormal may arise. A number is settled: zero without a
// sign, or LEAST (2^-50) at least. What a kernel stores is settled, and what it multiplies. The product of two such
// numbers is a multiple of 2^-123, and so is each sum of such products: none of them is denormal, and none is lost.

#define LEAST 0x26800000u // 2^-50

float settled(float v) { return (floatBitsToUint(v) & 0x7fffffffu) < LEAST ? 0.0 : v; }

vec2 settled(vec2 v) { return mix(v, vec2(0.0), lessThan(floatBitsToUint(v) & 0x7fffffffu, uvec2(LEAST))); }

vec4 settled(vec4 v) { return mix(v, vec4(0.0), lessThan(floatBitsToUint(v) & 0x7fffffffu, uvec4(LEAST))); }

// ---- sums over the workgroup: the bits depend on its size

vec2 workgroup_sum(vec2 value)
{
    reduce_scratch[gl_LocalInvocationID.x] = value;
    barrier();
    vec2 total = vec2(0.0);
    for (uint i = 0; i < SIZE; i++) total += reduce_scratch[i];
    barrier();
    return total;
}

// ---- halves

// The two halves of a word. A denormal half is a multiple of 2^-24: 2^-14 plus that many, less 2^-14.
vec2 floats_of(uint word)
{
    uvec2 two = uvec2(word, word >> 16), sign = (two & 0x8000u) << 16, rest = (two & 0x7fffu) << 13;
    vec2 normal = uintBitsToFloat(rest + 0x38000000u);
    vec2 denormal = uintBitsToFloat(rest + 0x38800000u) - uintBitsToFloat(0x38800000u);
    vec2 not_finite = uintBitsToFloat(rest + 0x70000000u);
    vec2 magnitude = mix(normal, denormal, lessThan(rest, uvec2(0x00800000u)));
    magnitude = mix(magnitude, not_finite, greaterThanEqual(rest, uvec2(0x0f800000u)));
    return uintBitsToFloat(floatBitsToUint(magnitude) | sign);
}

// Rounded to nearest even; what is too large becomes infinity. Beside 0.5 the last place of a float is that of a
// denormal half.
uint half_of(float v)
{
    uint bits = floatBitsToUint(v), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return 0x7e00u;
    if (rest >= 0x477ff000u) return sign | 0x7c00u; // 65520
    if (rest >= 0x38800000u) return sign | (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13;
    return sign | (floatBitsToUint(uintBitsToFloat(rest) + 0.5) - 0x3f000000u);
}

uint halves_of(vec2 v) { return half_of(v.x) | half_of(v.y) << 16; }

// ---- functions

// 1 / x for x from 2^-100 to 2^100, by Newton's method from a guess that is off by 12 % at most.
float reciprocal(float x)
{
    float y = uintBitsToFloat(0x7ef311c7u - floatBitsToUint(x));
    for (uint i = 0; i < 4; i++) y = y * (2.0 - x * y);
    return y;
}

// 1 / sqrt(x) for the same x, by Newton's method from a guess that is off by 3.5 % at most.
float inverse_root(float x)
{
    float y = uintBitsToFloat(0x5f3759dfu - (floatBitsToUint(x) >> 1)), half_x = 0.5 * x;
    for (uint i = 0; i < 4; i++) y = y * (1.5 - half_x * y * y);
    return y;
}

// exp(x) for a settled x, settled: 2^n exp(r), with the polynomial of Moshier's Cephes (expf.c). Below e^-40 it is 0,
// and from e^80 on it stays the same. A NaN stays one.
float exponential(float x)
{
    if ((floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u) return x;
    float v = clamp(x, -40.0, 80.0);
    int n = int(v * 1.44269504 + (v < 0.0 ? -0.5 : 0.5));
    float r = settled(v - float(n) * 0.693359375 + float(n) * 2.12194440e-4);
    float p = 1.9875691500e-4 * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    return settled((p * (r * r) + r + 1.0) * uintBitsToFloat(uint(127 + n) << 23));
}

// log(x) for x from 2^-100 to 2^100: log(2^n m), with the polynomial of Cephes (logf.c).
float logarithm(float x)
{
    uint bits = floatBitsToUint(x) - 0x3f3504f3u; // so that m is between sqrt(1/2) and sqrt(2)
    float n = float(int(bits) >> 23);
    float f = settled(uintBitsToFloat((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0), z = settled(f * f);
    float p = 7.0376836292e-2 * f - 1.1514610310e-1;
    p = p * f + 1.1676998740e-1;
    p = p * f - 1.2420140846e-1;
    p = p * f + 1.4249322787e-1;
    p = p * f - 1.6668057665e-1;
    p = p * f + 2.0000714765e-1;
    p = p * f - 2.4999993993e-1;
    p = p * f + 3.3333331174e-1;
    float y = settled(p * f) * z - 2.12194440e-4 * n - 0.5 * z;
    return settled(f + y + 0.693359375 * n);
}

// ---- the same functions under the names that the files of all variants use

#define unpackHalf2x16(word) floats_of(word)
#define packHalf2x16(v) halves_of(v)
#define exp(x) exponential(settled(x))
#define log(x) logarithm(x)
#define DIVIDED(x, y) ((x) * reciprocal(y))
#define SETTLED(x) settled(x)
