// A pickle, whose tensors lie within their storages.
#include <stdlib.h>

#include "fuzz.h"
#include "model/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct PickleTensor *list;
    size_t count;
    vkgpt_error err = {0};
    int code = pickle_read("p", data, size, &list, &count, &err);
    fuzz_check(code, &err);
    for (size_t i = 0; !code && i < count; i++) {
        struct Tensor t = pickle_tensor(&list[i], "p", data);
        if (list[i].offset > list[i].elements ||
            t.bytes > (size_t)(list[i].elements - list[i].offset) * (size_t)list[i].storage->bytes)
            abort();
    }
    pickle_free(list, count);
    return 0;
}
