// The KV cache. K and V have the same layout: rows [sequence][head][position] of head_dim numbers, as floats, halves or
// (KV_Q8_0) signed bytes. After the bytes of all rows, from word `scales` on, there is a scale for each 32 elements of
// a row: the upper half of a float, two in a word. Each row of scales begins at a word.
#define SCALE_WORDS(head_dim) (((head_dim) + 63) / 64)

// Eight neighbouring elements as loaded, so that several loads can be in flight before the first is used.
struct Eight { uvec4 words[2]; uint scales; };

// Loads the elements 8c to 8c + 7 of a row. The includer defines HEAD_DIM, CHUNKS and a.scales.
#define LOAD8(cache, row, c, eight)                                                                        \
    {                                                                                                      \
        uint at = (row) * CHUNKS + (c);                                                                    \
        if (KV == KV_F16) eight.words[0] = WORDS(cache, at);                                                      \
        else if (KV == KV_F32) { eight.words[0] = WORDS(cache, 2 * at); eight.words[1] = WORDS(cache, 2 * at + 1); }     \
        else {                                                                                             \
            eight.words[0] = WORDS(cache, at / 2);                                                                \
            uint word = a.scales + (row) * SCALE_WORDS(HEAD_DIM) + (c) / 8;                                \
            eight.scales = WORDS(cache, word / 4)[word % 4];                                                      \
        }                                                                                                  \
    }

// Their values. `at` is row * CHUNKS + c; a load of q8_0 holds two of these.
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
