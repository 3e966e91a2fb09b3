// Open addressing with linear probing, at most half full. Nothing is ever removed.
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

// FNV-1a, its high bits folded down because the slot is taken from the low ones.
static uint64_t hash_bytes(const char *key, size_t bytes)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)key[i]) * 0x100000001b3u;
    return h ^ (h >> 32);
}

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

static bool grow(struct Map *map)
{
    size_t capacity = map->capacity ? map->capacity * 2 : 16;
    if (capacity > SIZE_MAX / sizeof(struct MapEntry)) return false;
    struct Map wider = {calloc(capacity, sizeof(struct MapEntry)), capacity, map->count};
    if (!wider.entries) return false;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct MapEntry *e = &map->entries[i];
        if (e->key) *find_entry(&wider, e->key, e->bytes, e->hash) = *e;
    }
    free(map->entries);
    *map = wider;
    return true;
}

int map_add(struct Map *map, const char *key, size_t bytes, uint32_t value)
{
    if (map->count >= map->capacity / 2 && !grow(map)) return -1;
    uint64_t hash = hash_bytes(key, bytes);
    struct MapEntry *e = find_entry(map, key, bytes, hash);
    if (e->key) return 0;
    *e = (struct MapEntry){key, bytes, hash, value};
    map->count++;
    return 1;
}

int map_set(struct Map *map, const char *key, size_t bytes, uint32_t value)
{
    int added = map_add(map, key, bytes, value);
    if (added == 0) find_entry(map, key, bytes, hash_bytes(key, bytes))->value = value;
    return added < 0 ? -1 : 1;
}

bool map_find(const struct Map *map, const char *key, size_t bytes, uint32_t *value)
{
    if (!map->count) return false;
    const struct MapEntry *e = find_entry(map, key, bytes, hash_bytes(key, bytes));
    if (!e->key) return false;
    if (value) *value = e->value;
    return true;
}

void map_free(struct Map *map)
{
    free(map->entries);
    *map = (struct Map){0};
}
