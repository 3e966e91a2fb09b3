// pytorch_model.bin: a zip archive with a pickle, or the stream that PyTorch wrote before 1.6.
#include "fuzz.h"
#include "model/table.h"
#include "model/torch_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct TensorTable table = {0};
    vkgpt_error err = {0};
    fuzz_check(torch_read(fuzz_file("m.bin", data, size), &table, &err), &err);
    uint8_t last = 0;
    for (size_t i = 0; i < table.count; i++)
        if (table.tensors[i].bytes) last ^= table.tensors[i].data[table.tensors[i].bytes - 1]; // it is in the file
    table_free(&table);
    return last & 0;
}
