// Floats rounded to halves, for cooperative matrices. A finite value out of range becomes the largest half. Infinity
// and NaN are errors that must reach the logits: where one of the values is not finite, all become NaN.

uint largest_bits(vec4 v)
{
    uvec4 bits = floatBitsToUint(abs(v));
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

uvec2 pack4(vec4 v)
{
    uint most = largest_bits(v);
    if (most >= 0x7f800000u) return uvec2(TWO_HALF_NANS);
    if (most > floatBitsToUint(65504.0)) v = clamp(v, -65504.0, 65504.0);
    return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
}

uvec4 pack8(vec4 low, vec4 high) { return uvec4(pack4(low), pack4(high)); }

uint pack2(vec2 v) { return pack4(vec4(v, 0.0, 0.0)).x; }

// 8 halves as they are; where one is not finite, all become NaN. The test adds to the exponent, and an exponent of all
// ones carries into the sign.
uvec4 finite8(uvec4 halves)
{
    uvec4 carried = (halves & 0x7fff7fffu) + 0x04000400u;
    uint bad = (carried.x | carried.y | carried.z | carried.w) & 0x80008000u;
    return bad != 0 ? uvec4(TWO_HALF_NANS) : halves;
}
