// Two hashes of 64 bits. They find damage and mistakes, not forgeries.
#ifndef VKGPT_BASE_HASH_H
#define VKGPT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

// FNV-1a (Fowler, Noll, Vo), a byte at a time: the hash of what came before and of these bytes.
#define FNV_START UINT64_C(14695981039346656037)
uint64_t fnv_add(uint64_t hash, const void *data, size_t bytes);

// A fast hash of bytes that come in pieces: several GB/s, for files of hundreds of MB.
#define HASH_LANES 8

struct Hash {
    uint64_t lanes[HASH_LANES];
    uint8_t held[HASH_LANES * 8]; // bytes that do not fill a block yet
    size_t held_bytes;
    uint64_t bytes; // in all
};

void hash_begin(struct Hash *hash);
void hash_add(struct Hash *hash, const void *data, size_t bytes);
// The hash of all bytes so far. It does not depend on the pieces in which they came. More can be added after it.
uint64_t hash_value(const struct Hash *hash);

#endif
