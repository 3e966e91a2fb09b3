// A hash table from byte strings to 32-bit values. Keys are not copied: they must outlive the map. Each table hashes
// with a secret of its own, so that nobody can write a file whose keys all collide.
#ifndef VKGPT_BASE_MAP_H
#define VKGPT_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MapEntry {
    const char *key; // NULL: empty
    uint64_t hash;
    uint32_t bytes, value;
};

struct Map {
    struct MapEntry *entries;
    size_t capacity, count; // capacity is a power of two, or 0
    uint64_t secret[2];     // drawn with the first key
};

// The hash of a key under a secret: SipHash-2-4.
uint64_t map_hash(const uint64_t secret[2], const char *key, size_t bytes);

// Makes room for `count` keys, so that adding them does not grow the table. False: no memory.
bool map_reserve(struct Map *map, size_t count);
// Adds a key of less than 4 GiB. 1: added; 0: the key is in the map already and keeps its value; -1: no memory.
int map_add(struct Map *map, const char *key, size_t bytes, uint32_t value);
// The same, but a key that is in the map gets the new value. 1, or -1: no memory.
int map_set(struct Map *map, const char *key, size_t bytes, uint32_t value);
bool map_find(const struct Map *map, const char *key, size_t bytes, uint32_t *value);
void map_free(struct Map *map);

#endif
