// The KV cache, K and V alike: rows [sequence][head][position] of head_dim numbers, as floats, as halves or, KV_Q8_0, as
// signed bytes; behind the bytes of all rows, from word `scales` on, a half scale per 32 of a row, two to a word, each
// row beginning a word.
#define SCALE_WORDS(head_dim) (((head_dim) + 63) / 64)

// The eight neighbours `c` of a row. The includer defines HEAD_DIM, CHUNKS and a.scales.
#define CACHE8(cache, row, c, low, high)                                                                   \
    {                                                                                                      \
        uint at = (row) * CHUNKS + (c);                                                                    \
        if (KV == KV_F16) unpack8(cache[at], low, high);                                                   \
        else if (KV == KV_F32) {                                                                           \
            low = uintBitsToFloat(cache[2 * at]);                                                          \
            high = uintBitsToFloat(cache[2 * at + 1]);                                                     \
        } else {                                                                                           \
            uvec4 words = cache[at / 2];                                                                   \
            uint word = a.scales + (row) * SCALE_WORDS(HEAD_DIM) + (c) / 8;                                \
            vec2 scales = unpackHalf2x16(cache[word / 4][word % 4]);                                       \
            float scale = ((c) & 4) == 0 ? scales.x : scales.y;                                            \
            low = scale * bytes4((at & 1) == 0 ? words.x : words.z);                                       \
            high = scale * bytes4((at & 1) == 0 ? words.y : words.w);                                      \
        }                                                                                                  \
    }
