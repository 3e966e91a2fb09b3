#include "engine/cache.h"

#define MIN_SPAN 64
#define MAX_SPAN 256

uint32_t cache_span(const struct Config *config)
{
    uint32_t eighth = (config->context / 8 + MIN_SPAN - 1) / MIN_SPAN * MIN_SPAN;
    return eighth < MIN_SPAN ? MIN_SPAN : eighth > MAX_SPAN ? MAX_SPAN : eighth;
}
