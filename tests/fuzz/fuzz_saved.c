// The file of a saved session, for a small model.
#include "engine/saved.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct SavedInto into = {
        .header = {.kv = 1, .model = 77, .name = "tales", .weights = "f16", .layers = 2, .position_bytes = 6},
        .context = 8,
        .vocab = 100};
    uint8_t *copy = malloc(size + 8); // the last 8 bytes are the hash of what is before them
    struct Hash hash;
    struct Saved saved;
    vkgpt_error err = {0};
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    hash_begin(&hash);
    hash_add(&hash, copy, size);
    uint64_t value = hash_value(&hash);
    memcpy(copy + size, &value, sizeof value);
    const struct Mapping file = {.data = copy, .bytes = size + 8};
    int code = saved_read("a file", &file, &into, &saved, &err);
    fuzz_check(code, &err);
    if (!code) { // every byte that the header names is there
        const struct SavedHeader *h = &saved.header;
        uint64_t cache = 2 * h->layers * saved_cache_bytes(h);
        uint32_t ids[9];
        if (h->tokens > 9 || saved.cache + cache + 8 != copy + size + 8) abort();
        memcpy(ids, saved.ids, (size_t)h->tokens * 4);
        int bad = saved_check_ids("a file", ids, h->tokens, &into, &err);
        if (bad) fuzz_check(bad, &err);
        hash_add(&hash, saved.cache, cache);
    }
    free(copy);
    return 0;
}
