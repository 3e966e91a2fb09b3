// OpenAI's release of GPT-1: the shapes, and ten pieces of floats that are good.
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "model/openai.h"
#include "model/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool written;
    for (int i = 0; i < 10 && !written; i++) {
        char name[24], piece[80 + 64 * 4] =
                           "\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (64,), }         ";
        snprintf(name, sizeof name, "params_%d.npy", i);
        fuzz_file(name, (const uint8_t *)piece, sizeof piece);
    }
    written = true;
    struct OpenaiSizes sizes;
    struct TensorTable table = {0};
    vkgpt_error err = {0};
    const char *path = fuzz_file(OPENAI_SHAPES, data, size);
    fuzz_check(openai_sizes(path, &sizes, &err), &err);
    fuzz_check(openai_read(path, &table, &err), &err);
    table_free(&table);
    return 0;
}
