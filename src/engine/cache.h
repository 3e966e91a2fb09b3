// The KV cache: the layout of K, or V, of one layer on the device (shaders/cache.glsl).
#ifndef VKGPT_ENGINE_CACHE_H
#define VKGPT_ENGINE_CACHE_H

#include "gpu/recording.h"
#include "model/config.h"

// Rows [sequence][head][position] of head_dim elements. With KV_Q8_0 the scales of all rows follow, in the same order,
// a word for each 64 elements.
struct Cache {
    uint32_t kv; // KV_F32, KV_F16, KV_Q8_0
    uint32_t sequences, heads, context;
    uint32_t head_dim; // padded
};

uint64_t cache_bytes(const struct Cache *cache);  // of K, or of V, of one layer
uint32_t cache_scales(const struct Cache *cache); // word at which the scales begin
// Bytes of K and V of one layer that a step reads for `positions` of one sequence.
uint64_t cache_read_bytes(const struct Cache *cache, uint64_t positions);
uint32_t cache_row_words(const struct Cache *cache);   // of one head at one position, in words of 32 bits
uint32_t cache_scale_words(const struct Cache *cache); // of its scales
struct ShareArgs cache_share_args(const struct Cache *cache);
uint32_t cache_position_bytes(const struct Cache *cache); // of K, or V, of one layer and one position of a sequence

// A sequence in K or V of a layer.
struct CachePlace {
    const struct Cache *cache;
    const struct Slice *slice;
    uint32_t sequence;
};
// Copies the first `positions` of a sequence to another one, of the same cache or of one that differs only in its
// numbers of sequences and positions.
void cache_copy(struct Recording *rec, struct CachePlace from, struct CachePlace to, uint32_t positions);
// Positions in a split of the cache. Depends on the model and not on the session's context: splits begin at the same
// positions in every session, so that the text does not depend on the context.
uint32_t cache_span(const struct Config *config);

#endif
