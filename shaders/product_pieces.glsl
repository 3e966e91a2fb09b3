// PREFILL on a GPU: brings x and W into shared memory, DEPTH of the width at a time. Each lane of a workgroup fetches a
// few pieces into registers, each of 16 bytes or of eight numbers, while the pieces before them are multiplied. The
// includer's put_x and put_w write them to shared memory, in the includer's layout. The includer also defines ROUND, a
// multiple of DEPTH: how much of the width one round of its loop takes.
layout(constant_id = CONSTANT_PRODUCT_TILE_ROWS) const uint TILE_ROWS = 128;
layout(constant_id = CONSTANT_PRODUCT_TILE_OUTPUTS) const uint TILE_OUTPUTS = 128;
layout(constant_id = CONSTANT_PRODUCT_DEPTH) const uint DEPTH = 32; // of the width

#ifdef COOPMAT
layout(constant_id = CONSTANT_PRODUCT_HALVES_IN) const uint HALVES_IN = 1; // 1: x is in halves; 0: in floats
layout(binding = 3) readonly buffer XHalves { uvec4 x_halves[]; };
#include "halves.glsl"
#endif

#define W_UNIT (IS_QUANTISED ? UNIT : 8) // weights of a load
const uint X_COUNT = TILE_ROWS * (DEPTH / 8), W_COUNT = TILE_OUTPUTS * (DEPTH / W_UNIT);
const uint X_PIECES = (X_COUNT + SIZE - 1) / SIZE, W_PIECES = (W_COUNT + SIZE - 1) / SIZE;

struct Piece {
    uvec4 low, high;   // the words as loaded: 8 floats take both, all else fits into low
    uint block, scale; // the block of 32 weights; the word with its scale
};

Piece xs[X_PIECES], ws[W_PIECES];
uint x_from[X_PIECES], w_from[W_PIECES]; // in x and W, in eights and units: the piece at the beginning of the width

// All pieces of a lane are the same part of DEPTH, in eights or units, and their rows have the same distance: so that
// compilers need one place in shared memory for all of them. Eight lanes have eight rows, which are in different banks.
const uint X_PARTS = DEPTH / 8, W_PARTS = DEPTH / W_UNIT;
uint eight_rows(uint parts) { return gl_LocalInvocationID.x % 8 + gl_LocalInvocationID.x / (8 * parts) * 8; }
uint x_part() { return gl_LocalInvocationID.x / 8 % X_PARTS; }
uint w_part() { return gl_LocalInvocationID.x / 8 % W_PARTS; }
uint x_row(uint i) { return eight_rows(X_PARTS) + i * (SIZE / X_PARTS); } // of the tile
uint w_row(uint i) { return eight_rows(W_PARTS) + i * (SIZE / W_PARTS); }
bool x_exists(uint i) { return (i + 1) * SIZE <= X_COUNT || gl_LocalInvocationID.x + i * SIZE < X_COUNT; }
bool w_exists(uint i) { return (i + 1) * SIZE <= W_COUNT || gl_LocalInvocationID.x + i * SIZE < W_COUNT; }

// For a row that does not run, or an output that does not exist, another one is loaded; nothing is stored for it.
void pieces_begin(uint first_row, uint first_out)
{
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) {
        uint row = first_row + min(x_row(i), TILE_ROWS - 1);
        if (!row_at(row, a.step_rows).runs) row = first_row;
        x_from[i] = row * (a.x_stride / 8) + x_part();
    }
    [[unroll]] for (uint i = 0; i < W_PIECES; i++)
        w_from[i] = min(first_out + w_row(i), a.count - 1) * (WIDTH / W_UNIT) + w_part();
}

// The width from k8 on, in eights. Past the end of a row x is 0, so W may be anything there. Where rounds end with the
// width, only the last fetch of a round can be past the end, and k8, which is the same for all lanes, is enough to know.
#define ENDS_WHOLE (WIDTH % ROUND == 0)

void fetch_x(inout Piece p, uint from, uint k8)
{
    uint at = from + (ENDS_WHOLE ? k8 : min(k8 + x_part(), WIDTH / 8 - 1) - x_part());
#ifdef COOPMAT
    if (HALVES_IN != 0) p.low = x_halves[at];
    else
#endif
    p.low = floatBitsToUint(inputs[2 * at]), p.high = floatBitsToUint(inputs[2 * at + 1]);
    if (!ENDS_WHOLE && k8 + x_part() >= WIDTH / 8) p.low = p.high = uvec4(0);
}

void fetch_w(inout Piece p, uint from, uint k8)
{
    uint unit = k8 / (W_UNIT / 8), at = from + (ENDS_WHOLE ? unit : min(unit + w_part(), WIDTH / W_UNIT - 1) - w_part());
    if (WEIGHTS == WEIGHTS_F32) p.low = weights[2 * at], p.high = weights[2 * at + 1];
    else p.low = weights[at];
    if (IS_QUANTISED) p.block = at / (32 / W_UNIT), p.scale = scale_word(WEIGHTS, a.scales, p.block);
}

void fetch(uint k8, bool last)
{
    if (ENDS_WHOLE && last) k8 = min(k8, (WIDTH - DEPTH) / 8);
    [[unroll]] for (uint i = 0; i < X_PIECES; i++) if (x_exists(i)) fetch_x(xs[i], x_from[i], k8);
    [[unroll]] for (uint i = 0; i < W_PIECES; i++) if (w_exists(i)) fetch_w(ws[i], w_from[i], k8);
}

vec2 piece_scale(Piece p) { return IS_QUANTISED ? unpack_scale(WEIGHTS, p.scale, p.block) : vec2(0.0); }

// The eight weights j of a piece.
void piece_weights(Piece p, uint j, vec2 scale, out vec4 low, out vec4 high)
{
    if (IS_QUANTISED) {
        low = scale.x * quants4(WEIGHTS, p.low, 2 * j), high = scale.x * quants4(WEIGHTS, p.low, 2 * j + 1);
        if (HAS_MINIMUM) low -= scale.y, high -= scale.y;
    } else if (WEIGHTS == WEIGHTS_F16) {
        unpack8(p.low, low, high);
    } else {
        low = uintBitsToFloat(p.low), high = uintBitsToFloat(p.high);
    }
}

#ifdef COOPMAT
// The same weights as halves. A weight that is too large for a half becomes infinity, which the logits then show.
uvec4 piece_weight_halves(Piece p, uint j, vec2 scale)
{
    vec4 low, high;
    if (WEIGHTS == WEIGHTS_F16) return p.low;
    piece_weights(p, j, scale, low, high);
    return uvec4(packHalf2x16(low.xy), packHalf2x16(low.zw), packHalf2x16(high.xy), packHalf2x16(high.zw));
}

// Eight numbers of x.
uvec4 piece_x_halves(Piece p) { return HALVES_IN != 0 ? p.low : pack8(uintBitsToFloat(p.low), uintBitsToFloat(p.high)); }
#endif
