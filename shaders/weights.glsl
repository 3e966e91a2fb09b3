// The formats of a matrix on the device. The includer declares `uvec4 weights[]`, a chunk of the matrix's rows: first
// the weights of all rows, row by row; then, in the quantised formats, the scales of all rows, from word `scales` on.
// `format` is always a constant.
//
//   F32, F16  the weights themselves
//   Q8_0      signed bytes in order; each 32 weights of a row have a scale, a half: w = scale * q
//   Q4_0      nibbles: a word holds the weights 0 to 3 in the low halves of its bytes, 4 to 7 in the high halves; each
//             32 weights of a row have a scale, a half: w = scale * (q - 8)
//   Q4_K      the same nibbles; each 32 weights of a row have a scale and a minimum, halves: w = scale * q - minimum
#ifndef VKGPT_WEIGHTS_GLSL
#define VKGPT_WEIGHTS_GLSL

// Weights of one step along a row: in the quantised formats, those of one 128-bit load.
#define UNIT (WEIGHTS >= WEIGHTS_Q4_0 ? 32 : WEIGHTS == WEIGHTS_Q8_0 ? 16 : 8)
#define MAX_UNIT 32
#define IS_QUANTISED (WEIGHTS >= WEIGHTS_Q8_0)
#define HAS_MINIMUM (WEIGHTS >= WEIGHTS_Q4_0) // in q4_0 it is 8 * scale: scale * (q - 8) = scale * q - 8 * scale

uint weights_word(uint i) { return WORDS(weights, i / 4)[i % 4]; }

// The low halves of four bytes.
vec4 nibbles4(uint word) { return vec4(uvec4(word, word >> 8, word >> 16, word >> 24) & 15u); }

// The four quants j of a 128-bit load.
vec4 quants4(uint format, uvec4 words, uint j)
{
    if (format == WEIGHTS_Q8_0) return bytes4(words[j]);
    return nibbles4(words[j / 2] >> 4 * (j % 2));
}

// The four weights j of a unit, from its words, without the scale.
vec4 unit_quad(uint format, uvec4 words[2], uint j)
{
    if (format >= WEIGHTS_Q8_0) return quants4(format, words[0], j);
    if (format == WEIGHTS_F32) return uintBitsToFloat(words[j]);
    return vec4(unpackHalf2x16(words[0][2 * j]), unpackHalf2x16(words[0][2 * j + 1]));
}

// The four quants j of a block of 32. Blocks are numbered through all rows.
vec4 block_quad(uint format, uint block, uint j)
{
    if (format == WEIGHTS_Q8_0) return bytes4(WORDS(weights, 2 * block + j / 4)[j % 4]);
    return nibbles4(WORDS(weights, block)[j / 2] >> 4 * (j % 2));
}

// Scale and minimum of a block of 32 weights: the word that holds them, and their values. Blocks are numbered through
// all rows.
uint scale_word(uint format, uint scales, uint block)
{
    return weights_word(scales + (format == WEIGHTS_Q4_K ? block : block / 2));
}

vec2 unpack_scale(uint format, uint word, uint block)
{
    vec2 two = unpackHalf2x16(word);
    if (format == WEIGHTS_Q4_K) return two;
    float scale = (block & 1) == 0 ? two.x : two.y;
    return vec2(scale, 8.0 * scale);
}

vec2 block_scale(uint format, uint scales, uint block)
{
    return unpack_scale(format, scale_word(format, scales, block), block);
}

// The sum of weight * x, made of the sum of quant * x and the sum of x.
float scaled(uint format, vec2 scale, float sum, float x_sum)
{
    return format >= WEIGHTS_Q4_0 ? scale.x * sum - scale.y * x_sum : scale.x * sum;
}

// 8 neighbours of a row, with the scale.
void row_weights8(uint format, uint width, uint scales, uint row, uint k8, out vec4 low, out vec4 high)
{
    uint i = row * (width / 8) + k8;
    if (format == WEIGHTS_F32) {
        low = uintBitsToFloat(WORDS(weights, 2 * i));
        high = uintBitsToFloat(WORDS(weights, 2 * i + 1));
    } else if (format == WEIGHTS_F16) {
        unpack8(WORDS(weights, i), low, high);
    } else {
        vec2 scale = block_scale(format, scales, row * (width / 32) + k8 / 4);
        if (format == WEIGHTS_Q8_0) {
            low = scale.x * bytes4(weights_word(2 * i));
            high = scale.x * bytes4(weights_word(2 * i + 1));
        } else {
            uint word = weights_word(i);
            low = scale.x * nibbles4(word) - scale.y;
            high = scale.x * nibbles4(word >> 4) - scale.y;
        }
    }
}

#endif
