#include "base/hash.h"

#include <string.h>

#define BLOCK (HASH_LANES * 8)
#define PRIME UINT64_C(0x9E3779B185EBCA87) // xxHash's first

uint64_t fnv_add(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}

// One step of a lane: each of the three operations can be undone, so two inputs that differ in one word never meet.
static uint64_t mix(uint64_t lane, uint64_t word)
{
    lane ^= word;
    lane = lane << 29 | lane >> 35;
    return lane * PRIME;
}

static void add_block(struct Hash *hash, const uint8_t *block)
{
    uint64_t words[HASH_LANES];
    memcpy(words, block, sizeof words);
    for (int i = 0; i < HASH_LANES; i++) hash->lanes[i] = mix(hash->lanes[i], words[i]);
}

void hash_begin(struct Hash *hash)
{
    *hash = (struct Hash){.bytes = 0};
    for (uint64_t i = 0; i < HASH_LANES; i++) hash->lanes[i] = (i + 1) * PRIME;
}

void hash_add(struct Hash *hash, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    hash->bytes += bytes;
    if (hash->held_bytes) {
        size_t some = BLOCK - hash->held_bytes < bytes ? BLOCK - hash->held_bytes : bytes;
        if (some) memcpy(hash->held + hash->held_bytes, at, some);
        hash->held_bytes += some;
        at += some;
        bytes -= some;
        if (hash->held_bytes < BLOCK) return;
        add_block(hash, hash->held);
        hash->held_bytes = 0;
    }
    for (; bytes >= BLOCK; at += BLOCK, bytes -= BLOCK) add_block(hash, at);
    if (bytes) memcpy(hash->held, at, bytes);
    hash->held_bytes = bytes;
}

uint64_t hash_value(const struct Hash *hash)
{
    struct Hash end = *hash;
    memset(end.held + end.held_bytes, 0, BLOCK - end.held_bytes);
    if (end.held_bytes) add_block(&end, end.held);
    uint64_t value = end.bytes; // so that zeros at the end change the hash
    for (int i = 0; i < HASH_LANES; i++) value = mix(value, end.lanes[i]);
    return value ^ value >> 32;
}
