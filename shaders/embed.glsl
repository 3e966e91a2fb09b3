// One row of x = wte[token] + wpe[position], or of one of the two, by one workgroup. The includer declares tokens, wte
// as `weights`, wpe, and x as `embedded`.

// wpe is never quantised: it is F32 where wte is F32, else F16.
void position8(uint i, out vec4 low, out vec4 high)
{
    if (WEIGHTS == WEIGHTS_F32) {
        low = uintBitsToFloat(wpe[2 * i]);
        high = uintBitsToFloat(wpe[2 * i + 1]);
    } else {
        unpack8(wpe[i], low, high);
    }
}

void embed(uint row_index)
{
    Row row = row_at(row_index, a.range);
    if (!row.runs) return;
    uint token = min(tokens[row.sequence * a.token_stride + row.position], a.vocab - 1);
    bool adds_token = (a.parts & EMBED_TOKEN) != 0, adds_position = (a.parts & EMBED_POSITION) != 0;
    if (adds_token && (token < a.first || token >= a.first + a.count)) return;
    uint chunks = a.dim / 8;
    for (uint i = gl_LocalInvocationID.x; i < chunks; i += SIZE) {
        vec4 token_low = vec4(0.0), token_high = vec4(0.0), position_low = vec4(0.0), position_high = vec4(0.0);
        if (adds_token) row_weights8(WEIGHTS, a.dim, a.scales, token - a.first, i, token_low, token_high);
        if (adds_position) position8((row.position + a.position_offset) * chunks + i, position_low, position_high);
        embedded[(row.index * chunks + i) * 2] = SETTLED(SETTLED(token_low) + SETTLED(position_low));
        embedded[(row.index * chunks + i) * 2 + 1] = SETTLED(SETTLED(token_high) + SETTLED(position_high));
    }
}
