// The index of a sharded checkpoint, beside one shard that is good.
#include <string.h>

#include "fuzz.h"
#include "model/safetensors.h"
#include "model/shards.h"
#include "model/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] =
        "\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}         x";
    struct TensorTable table = {0};
    vkgpt_error err = {0};
    fuzz_file("a.safetensors", (const uint8_t *)header, sizeof header - 1);
    fuzz_file("index.json", data, size);
    fuzz_check(shards_read(fuzz_dir(), "index.json", safetensors_read, &table, &err), &err);
    table_free(&table);
    return 0;
}
