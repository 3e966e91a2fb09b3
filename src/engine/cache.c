#include "engine/cache.h"

#define MIN_SPAN 64
#define MAX_SPAN 256
#define SCALED 64 // elements that share a scale

// Bytes of one head at one position, without its scales.
static uint32_t row_bytes(const struct Cache *c)
{
    return c->kv == KV_F32 ? c->head_dim * 4 : c->kv == KV_F16 ? c->head_dim * 2 : c->head_dim;
}

static uint32_t scale_bytes(const struct Cache *c)
{
    return c->kv == KV_Q8_0 ? (c->head_dim + SCALED - 1) / SCALED * 4 : 0;
}

uint32_t cache_row_words(const struct Cache *c) { return row_bytes(c) / 4; }
uint32_t cache_scale_words(const struct Cache *c) { return scale_bytes(c) / 4; }

struct ShareArgs cache_share_args(const struct Cache *c)
{
    return (struct ShareArgs){.sequences = c->sequences,
                              .heads = c->heads,
                              .context = c->context,
                              .words = cache_row_words(c),
                              .scale_words = cache_scale_words(c),
                              .scales = cache_scales(c)};
}

static uint64_t rows(const struct Cache *c) { return (uint64_t)c->sequences * c->heads * c->context; }

uint64_t cache_bytes(const struct Cache *c)
{
    uint64_t bytes = rows(c) * (row_bytes(c) + scale_bytes(c));
    return (bytes + 15) / 16 * 16; // read in words of 128 bits
}

uint32_t cache_scales(const struct Cache *c) { return (uint32_t)(rows(c) * c->head_dim / 4); }

uint64_t cache_read_bytes(const struct Cache *c, uint64_t positions)
{
    return 2 * positions * c->heads * (row_bytes(c) + scale_bytes(c));
}

uint32_t cache_position_bytes(const struct Cache *c) { return c->heads * (row_bytes(c) + scale_bytes(c)); }

// Copies runs of the heads of a sequence, `row` bytes for each position. They begin `from_first` and `to_first` bytes
// after the beginnings of the slices.
static void copy_rows(struct Recording *rec, struct CachePlace from, struct CachePlace to, VkDeviceSize from_first,
                      VkDeviceSize to_first, VkDeviceSize row, uint32_t positions)
{
    VkDeviceSize from_stride = from.cache->context * row, to_stride = to.cache->context * row;
    uint32_t heads = from.cache->heads;
    recording_copy_runs(rec, (struct Runs){from.slice, from_first + from.sequence * heads * from_stride, from_stride},
                        (struct Runs){to.slice, to_first + to.sequence * heads * to_stride, to_stride}, positions * row,
                        heads);
}

void cache_copy(struct Recording *rec, struct CachePlace from, struct CachePlace to, uint32_t positions)
{
    VkDeviceSize row = row_bytes(from.cache), scale = scale_bytes(from.cache);
    copy_rows(rec, from, to, 0, 0, row, positions);
    if (scale) copy_rows(rec, from, to, rows(from.cache) * row, rows(to.cache) * row, scale, positions);
}

uint32_t cache_span(const struct Config *config)
{
    uint32_t eighth = (config->context / 8 + MIN_SPAN - 1) / MIN_SPAN * MIN_SPAN;
    return eighth < MIN_SPAN ? MIN_SPAN : eighth > MAX_SPAN ? MAX_SPAN : eighth;
}
