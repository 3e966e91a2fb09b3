// spirv_barriers IN OUT: removes two marks from the accesses to shared memory, in a module with Vulkan's memory model:
// that a store is made available to the other lanes, and that a load sees what they have stored. The barriers do that
// (the kernels ask for it: shaders/coopmat.glsl), and compilers wait after each access with a mark, AMD's for each
// matrix that is loaded. glslang marks every access to shared memory, and GLSL has no way to say otherwise.
#include <string.h>

#include "spirv_file.h"

enum { TYPE_POINTER = 32, VARIABLE = 59, LOAD = 61, STORE = 62, ACCESS_CHAIN = 65, IN_BOUNDS_ACCESS_CHAIN = 66 };
enum { MATRIX_LOAD = 4457, MATRIX_STORE = 4458 };
enum { WORKGROUP = 4 };                                      // a storage class
enum { ALIGNED = 2, MAKE_AVAILABLE = 8, MAKE_VISIBLE = 16 }; // memory operands

// The index of the word of an instruction with its memory operands, and of the word with the pointer; 0: it has none.
static uint32_t operands_at(const uint32_t *in, uint32_t words, uint32_t *pointer)
{
    uint32_t at = 0;
    switch (in[0] & 0xffff) {
    case LOAD: *pointer = 3, at = 4; break;
    case STORE: *pointer = 1, at = 3; break;
    case MATRIX_LOAD: *pointer = 3, at = 6; break;
    case MATRIX_STORE: *pointer = 1, at = 5; break;
    }
    return at < words ? at : 0;
}

// Copies an instruction without the marks. Returns its new length.
static uint32_t strip(const uint32_t *in, uint32_t words, uint32_t at, uint32_t *out)
{
    uint32_t mask = in[at], kept = at + 1, next = at + 1;
    memcpy(out, in, kept * sizeof *in);
    if (mask & ALIGNED) out[kept++] = in[next++];
    if (mask & MAKE_AVAILABLE) next++; // each is followed by its scope
    if (mask & MAKE_VISIBLE) next++;
    while (next < words) out[kept++] = in[next++];
    out[at] = mask & ~(uint32_t)(MAKE_AVAILABLE | MAKE_VISIBLE);
    out[0] = kept << 16 | (in[0] & 0xffff);
    return kept;
}

// `shared` has a byte for each id: 1 for types of pointers to shared memory, and for such pointers.
static uint32_t rewrite(const uint32_t *in, uint32_t count, uint8_t *shared, uint32_t *out)
{
    uint32_t made = HEADER, words;
    memcpy(out, in, HEADER * sizeof *in);
    for (uint32_t i = HEADER; i < count; i += words) {
        uint32_t op = in[i] & 0xffff, pointer = 0;
        words = in[i] >> 16;
        if (!words || words > count - i) return 0;
        if (op == TYPE_POINTER) shared[in[i + 1]] = in[i + 2] == WORKGROUP;
        if (op == VARIABLE || op == ACCESS_CHAIN || op == IN_BOUNDS_ACCESS_CHAIN) shared[in[i + 2]] = shared[in[i + 1]];
        uint32_t at = operands_at(in + i, words, &pointer);
        if (at && shared[in[i + pointer]]) {
            made += strip(in + i, words, at, out + made);
        } else {
            memcpy(out + made, in + i, words * sizeof *in);
            made += words;
        }
    }
    return made;
}

int main(int argc, char **argv)
{
    uint32_t count = 0, *in = argc == 3 ? read_words(argv[1], &count) : NULL;
    uint8_t *shared = in ? calloc(in[3], 1) : NULL; // in[3]: every id is below it
    uint32_t *out = malloc(count * 4 + 4), made = shared && out ? rewrite(in, count, shared, out) : 0;
    if (!made || !write_words(argv[2], out, made)) {
        fprintf(stderr, "usage: spirv_barriers IN OUT, SPIR-V both\n");
        return 1;
    }
    free(in), free(shared), free(out);
    return 0;
}
