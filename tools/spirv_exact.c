// spirv_exact mark IN OUT: puts NoContraction on every sum, difference and product of floats in a module, so that a
// compiler neither joins two of them, such as a * b + c, nor puts them into another order. It also removes the hints
// to unroll from loops: SPIRV-Tools unrolls without a copy of the mark, here and inside of drivers, and then joins.
// spirv_exact check IN: fails unless all of them have it, on such a hint, and on every other instruction whose result
// the device may round in its own way: the kernels of --deterministic have none (shaders/deterministic.glsl).
#include <string.h>

#include "spirv_file.h"

enum {
    EXT_INST = 12,
    TYPE_FLOAT = 22,
    TYPE_VECTOR = 23,
    TYPE_POINTER = 32,
    DECORATE = 71,
    LOOP_MERGE = 246
}; // of SPIR-V
enum { NO_CONTRACTION = 42, UNROLL = 1 };

static bool is_one_of(uint32_t op, const uint16_t *list)
{
    while (*list && *list != op) list++;
    return *list != 0;
}

// OpFAdd, OpFSub, OpFMul, OpVectorTimesScalar: rounded correctly.
static const uint16_t ARITHMETIC[] = {129, 131, 133, 142, 0};
// What may give a float besides: OpUndef, constants, specialization constants, OpFunctionParameter, OpFunctionCall,
// OpVariable, OpLoad, OpVectorExtractDynamic to OpCopyObject, conversions from integers, OpBitcast, OpFNegate,
// OpSelect, OpPhi; and the largest and the least over a subgroup, whose order does not matter.
static const uint16_t OTHERS[] = {1,  43, 44, 46, 48, 50,  51,  52,  54,  55,  57,  59,  61,  77, 78,
                                  79, 80, 81, 82, 83, 111, 112, 124, 127, 169, 245, 355, 358, 0};
// Of GLSL.std.450: RoundEven, FAbs, SAbs, integer and float minima, maxima and clamps, FindILsb, FindUMsb, FindSMsb.
static const uint16_t FUNCTIONS[] = {2, 4, 5, 37, 38, 39, 40, 41, 42, 43, 44, 45, 73, 74, 75, 0};

struct Module {
    const uint32_t *words;
    uint32_t count;
    uint8_t *is_float, *marked; // (bound): types of floats and of vectors of them; results with NoContraction
};

// Calls `each` with every instruction until it returns false. Returns whether the module is well-formed.
static bool walk(struct Module *m, bool (*each)(struct Module *m, const uint32_t *in, uint32_t op))
{
    for (uint32_t i = HEADER, words; i < m->count; i += words) {
        words = m->words[i] >> 16;
        if (!words || words > m->count - i) return false;
        if (!each(m, m->words + i, m->words[i] & 0xffff)) return false;
    }
    return true;
}

static bool learn(struct Module *m, const uint32_t *in, uint32_t op)
{
    if (op == TYPE_FLOAT) m->is_float[in[1]] = 1;
    if (op == TYPE_VECTOR) m->is_float[in[1]] = m->is_float[in[2]];
    if (op == DECORATE && in[2] == NO_CONTRACTION) m->marked[in[1]] = 1;
    return true;
}

static bool check(struct Module *m, const uint32_t *in, uint32_t op)
{
    if (op == EXT_INST) {
        if (is_one_of(in[4], FUNCTIONS)) return true;
        fprintf(stderr, "instruction %u of GLSL.std.450 is not exact\n", in[4]);
        return false;
    }
    if (op == LOOP_MERGE && in[3] & UNROLL) {
        fprintf(stderr, "a loop has a hint to unroll it\n");
        return false;
    }
    if (is_one_of(op, ARITHMETIC)) {
        if (!m->marked[in[2]]) fprintf(stderr, "the result %%%u of instruction %u lacks NoContraction\n", in[2], op);
        return m->marked[in[2]];
    }
    bool gives_float =
        op > TYPE_POINTER && op != DECORATE && in[0] >> 16 > 2 && in[1] < m->words[3] && m->is_float[in[1]];
    if (!gives_float || is_one_of(op, OTHERS)) return true;
    fprintf(stderr, "instruction %u gives a float that is not exact\n", op);
    return false;
}

// Decorations come before all types.
static uint32_t mark(const struct Module *m, uint32_t *out)
{
    uint32_t made = 0;
    bool before = true;
    for (uint32_t i = 0, words; i < m->count; i += words) {
        uint32_t op = m->words[i] & 0xffff;
        words = i ? m->words[i] >> 16 : HEADER;
        if (i && before && op >= 19 && op <= 39) { // the first type
            before = false;
            for (uint32_t j = i; j < m->count; j += m->words[j] >> 16) {
                if (!is_one_of(m->words[j] & 0xffff, ARITHMETIC) || m->marked[m->words[j + 2]]) continue;
                out[made++] = 3u << 16 | DECORATE, out[made++] = m->words[j + 2], out[made++] = NO_CONTRACTION;
            }
        }
        memcpy(out + made, m->words + i, words * sizeof *out);
        if (i && op == LOOP_MERGE) out[made + 3] &= ~(uint32_t)UNROLL;
        made += words;
    }
    return made;
}

int main(int argc, char **argv)
{
    bool marks = argc == 4 && !strcmp(argv[1], "mark"), checks = argc == 3 && !strcmp(argv[1], "check");
    struct Module m = {.count = 0};
    uint32_t *words = marks || checks ? read_words(argv[2], &m.count) : NULL;
    if (!words || !m.count) {
        fprintf(stderr, "usage: spirv_exact mark IN OUT, or spirv_exact check IN, SPIR-V all\n");
        return 1;
    }
    m.words = words;
    m.is_float = calloc(words[3], 1), m.marked = calloc(words[3], 1); // every id is below words[3]
    uint32_t *out = malloc(4ull * m.count * sizeof *out);
    bool fine = m.is_float && m.marked && out && walk(&m, learn);
    if (fine && checks) fine = walk(&m, check);
    if (fine && marks) fine = write_words(argv[3], out, mark(&m, out));
    if (!fine) fprintf(stderr, "spirv_exact: %s is not what it should be\n", argv[2]);
    free(words), free(m.is_float), free(m.marked), free(out);
    return !fine;
}
