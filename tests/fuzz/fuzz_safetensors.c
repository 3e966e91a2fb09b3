// A file of weights.
#include "fuzz.h"
#include "model/safetensors.h"
#include "model/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct TensorTable table = {0};
    vkgpt_error err = {0};
    fuzz_check(safetensors_read(fuzz_file("m.safetensors", data, size), &table, &err), &err);
    uint8_t last = 0;
    for (size_t i = 0; i < table.count; i++)
        if (table.tensors[i].bytes) last ^= table.tensors[i].data[table.tensors[i].bytes - 1]; // it is in the file
    table_free(&table);
    return last & 0;
}
