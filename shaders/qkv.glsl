// Stores q, k, v = norm(x) W + b: q in scratch memory, k and v in the cache, unless it is quantised. The includer
// declares q, (rows, heads, head_dim), which with KV_Q8_0 holds k and v too, for `cache`; and k_cache and
// v_cache, [sequence][head][position][head_dim].

#define CACHE(cache, i, y)                                                    \
    if (KV == KV_F16) cache[(i) / 2] = packHalf2x16(y);                        \
    else { cache[i] = floatBitsToUint(y.x); cache[(i) + 1] = floatBitsToUint(y.y); }

void PHASE(store)(Row row, uint o, vec2 y)
{
    uint width = a.heads * a.head_dim;
    uint part = o / width, within = o % width;
    if (part == 0 || KV == KV_Q8_0) {
        q[(row.index * a.y_stride + o) / 2] = y;
        return;
    }
    uint head = within / a.head_dim, d = within % a.head_dim;
    uint i = ((row.sequence * a.heads + head) * a.context + row.position) * a.head_dim + d;
    if (part == 1) { CACHE(k_cache, i, y) }
    else { CACHE(v_cache, i, y) }
}
