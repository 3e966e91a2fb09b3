// Eight neighbours of a row of the KV cache, in either format.
#define CACHE8(cache, i, low, high)                                                              \
    if (KV == KV_F16) unpack8(cache[i], low, high);                                               \
    else { low = uintBitsToFloat(cache[2 * (i)]); high = uintBitsToFloat(cache[2 * (i) + 1]); }
