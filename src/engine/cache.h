// Sizes of the KV cache.
#ifndef VKGPT_ENGINE_CACHE_H
#define VKGPT_ENGINE_CACHE_H

#include "model/config.h"

#define VKGPT_C
#include "args.h"

// Of a row of K or V in the cache: one head at one position (cache.glsl).
static inline uint32_t cache_row_bytes(uint32_t kv, uint32_t head_dim) // padded head_dim
{
    return kv == KV_F32 ? head_dim * 4 : kv == KV_F16 ? head_dim * 2 : head_dim + (head_dim + 63) / 64 * 4;
}
// Positions in a split of the cache. Fixed by the model, not by the session's context: splits stand at the same
// positions in every session, so that a text does not depend on it.
uint32_t cache_span(const struct Config *config);

#endif
