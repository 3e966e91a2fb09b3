// The KV cache, K and V alike: rows [sequence][head][position] of head_dim numbers, as floats, as halves or, KV_Q8_0, as
// signed bytes; behind the bytes of all rows, from word `scales` on, a scale per 32 of a row, the upper half of a float,
// two to a word, each row beginning a word.
#define SCALE_WORDS(head_dim) (((head_dim) + 63) / 64)

// Eight neighbours as loaded, so that several loads can be under way before the first is used.
struct Eight { uvec4 words[2]; uint scales; };

// The neighbours `c` of a row into an Eight. The includer defines HEAD_DIM, CHUNKS and a.scales.
#define LOAD8(cache, row, c, eight)                                                                        \
    {                                                                                                      \
        uint at = (row) * CHUNKS + (c);                                                                    \
        if (KV == KV_F16) eight.words[0] = cache[at];                                                      \
        else if (KV == KV_F32) { eight.words[0] = cache[2 * at]; eight.words[1] = cache[2 * at + 1]; }     \
        else {                                                                                             \
            eight.words[0] = cache[at / 2];                                                                \
            uint word = a.scales + (row) * SCALE_WORDS(HEAD_DIM) + (c) / 8;                                \
            eight.scales = cache[word / 4][word % 4];                                                      \
        }                                                                                                  \
    }

// What they are. `at` is row * CHUNKS + c, of which q8_0 has two to a load.
void unpack_eight(Eight eight, uint at, uint c, out vec4 low, out vec4 high)
{
    if (KV == KV_F16) unpack8(eight.words[0], low, high);
    else if (KV == KV_F32) {
        low = uintBitsToFloat(eight.words[0]);
        high = uintBitsToFloat(eight.words[1]);
    } else {
        float scale = uintBitsToFloat((c & 4) == 0 ? eight.scales << 16 : eight.scales & 0xffff0000u);
        low = scale * bytes4((at & 1) == 0 ? eight.words[0].x : eight.words[0].z);
        high = scale * bytes4((at & 1) == 0 ? eight.words[0].y : eight.words[0].w);
    }
}

#define CACHE8(cache, row, c, low, high)                                                                   \
    {                                                                                                      \
        Eight eight;                                                                                       \
        LOAD8(cache, row, c, eight)                                                                        \
        unpack_eight(eight, (row) * CHUNKS + (c), c, low, high);                                           \
    }
