// Open addressing with linear probing, at most three quarters full. Nothing is ever removed.
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"

// ---------------------------------------------------------------------------------------------- SipHash-2-4

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static void sip_rounds(uint64_t v[4], int count)
{
    while (count-- > 0) {
        v[0] += v[1], v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1], v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

static uint64_t little(const unsigned char *bytes, size_t count)
{
    uint64_t word = 0;
    while (count--) word = word << 8 | bytes[count];
    return word;
}

// Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
uint64_t map_hash(const uint64_t secret[2], const char *key, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)key;
    uint64_t k0 = secret[0], k1 = secret[1], length = (uint64_t)bytes << 56;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    for (; bytes >= 8; at += 8, bytes -= 8) sip_word(v, little(at, 8));
    sip_word(v, length | little(at, bytes));
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

// ---------------------------------------------------------------------------------------------- the table

// The entry of the key, or the empty one where it would go. The table has at least one empty entry.
static struct MapEntry *find_entry(const struct Map *map, const char *key, size_t bytes, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct MapEntry *e = &map->entries[i];
        if (!e->key) return e;
        if (e->hash == hash && e->bytes == bytes && memcmp(e->key, key, bytes) == 0) return e;
    }
}

static bool widen(struct Map *map, size_t capacity)
{
    if (capacity > SIZE_MAX / sizeof(struct MapEntry)) return false;
    struct Map wider = {
        calloc(capacity, sizeof(struct MapEntry)), capacity, map->count, {map->secret[0], map->secret[1]}};
    if (!wider.entries) return false;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct MapEntry *e = &map->entries[i];
        if (e->key) *find_entry(&wider, e->key, e->bytes, e->hash) = *e;
    }
    free(map->entries);
    *map = wider;
    return true;
}

bool map_reserve(struct Map *map, size_t count)
{
    size_t capacity = 16;
    while (capacity / 4 * 3 <= count && capacity <= SIZE_MAX / 2) capacity *= 2;
    return capacity <= map->capacity || widen(map, capacity);
}

int map_add(struct Map *map, const char *key, size_t bytes, uint32_t value)
{
    if (bytes > UINT32_MAX) return -1;
    if (!map->count && !map->secret[0] && !map->secret[1]) os_random(map->secret, sizeof map->secret);
    if (map->count >= map->capacity / 4 * 3 && !widen(map, map->capacity ? map->capacity * 2 : 16)) return -1;
    uint64_t hash = map_hash(map->secret, key, bytes);
    struct MapEntry *e = find_entry(map, key, bytes, hash);
    if (e->key) return 0;
    *e = (struct MapEntry){key, hash, (uint32_t)bytes, value};
    map->count++;
    return 1;
}

int map_set(struct Map *map, const char *key, size_t bytes, uint32_t value)
{
    int added = map_add(map, key, bytes, value);
    if (added == 0) find_entry(map, key, bytes, map_hash(map->secret, key, bytes))->value = value;
    return added < 0 ? -1 : 1;
}

bool map_find(const struct Map *map, const char *key, size_t bytes, uint32_t *value)
{
    if (!map->count) return false;
    const struct MapEntry *e = find_entry(map, key, bytes, map_hash(map->secret, key, bytes));
    if (!e->key) return false;
    if (value) *value = e->value;
    return true;
}

void map_free(struct Map *map)
{
    free(map->entries);
    *map = (struct Map){0};
}
