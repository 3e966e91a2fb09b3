// A .npy file of floats.
#include "base/os.h"
#include "fuzz.h"
#include "model/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Mapping file = {.data = data, .bytes = size};
    const uint8_t *floats;
    int64_t count;
    vkgpt_error err = {0};
    int code = npy_floats("f.npy", &file, &floats, &count, &err);
    fuzz_check(code, &err);
    return !code && count ? floats[4 * count - 1] & 0 : 0;
}
