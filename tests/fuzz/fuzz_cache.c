// The file of a driver's pipelines, as it is and with a right checksum, for a device of which nothing is known.
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "gpu/pipeline_cache.h"

static void check(const char *file, size_t size)
{
    const VkPhysicalDeviceProperties device = {.vendorID = 1};
    size_t bytes = 0;
    const uint8_t *data = pipeline_cache_data(&device, file, size, &bytes);
    if (!data) return;
    if (data != (const uint8_t *)file + PIPELINE_CACHE_HEADER || bytes != size - PIPELINE_CACHE_HEADER) abort();
    if (bytes < sizeof(VkPipelineCacheHeaderVersionOne)) abort(); // a driver reads that much
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *sealed = malloc(PIPELINE_CACHE_HEADER + size);
    if (!sealed) abort();
    if (size) memcpy(sealed + PIPELINE_CACHE_HEADER, data, size);
    pipeline_cache_seal(data, size, sealed);
    check(sealed, PIPELINE_CACHE_HEADER + size);
    if (size) memcpy(sealed, data, size);
    check(sealed, size);
    free(sealed);
    return 0;
}
