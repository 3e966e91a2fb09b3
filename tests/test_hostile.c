// What somebody who writes a file could do to whoever reads it: keys that meet in one place of a hash table, files that
// are none, files that shrink while they are read.
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h" // before cmocka, which has a macro named fail

#include <cmocka.h>

#include "base/map.h"
#include "base/os.h"
#include "model_files.h"

// ------------------------------------------------------------------------------------------------ hash tables

// SipHash-2-4 of 00 01 .. 0e under the key 00 01 .. 0f, from the paper's appendix A.
static void test_siphash(void **state)
{
    (void)state;
    char key[15];
    for (int i = 0; i < 15; i++) key[i] = (char)i;
    struct Map map = {.secret = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
    assert_int_equal(map_add(&map, key, sizeof key, 1), 1);
    for (size_t i = 0; i < map.capacity; i++)
        if (map.entries[i].key) assert_true(map.entries[i].hash == 0xa129ca6149be45e5u);
    map_free(&map);
}

// How far the furthest key is from where its hash would have it.
static size_t furthest(const struct Map *map)
{
    size_t most = 0, mask = map->capacity - 1;
    for (size_t i = 0; i < map->capacity; i++) {
        if (!map->entries[i].key) continue;
        size_t distance = (i - (size_t)map->entries[i].hash) & mask;
        if (distance > most) most = distance;
    }
    return most;
}

// Keys whose FNV-1a, folded, ends in the same 14 bits: a table that hashes by it has one long run.
static void test_chosen_keys(void **state)
{
    (void)state;
    enum { COUNT = 4000, EACH = 8 };
    char (*keys)[EACH + 1] = calloc(COUNT, sizeof *keys);
    assert_non_null(keys);
    uint32_t found = 0;
    for (uint64_t n = 0; found < COUNT; n++) {
        char *key = keys[found];
        uint64_t h = 0xcbf29ce484222325u, rest = n;
        for (int i = 0; i < EACH; i++, rest >>= 4) {
            key[i] = (char)('a' + (rest & 15));
            h = (h ^ (unsigned char)key[i]) * 0x100000001b3u;
        }
        found += ((h ^ h >> 32) & 0x3fff) == 0x1234;
    }
    struct Map a = {0}, b = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(map_add(&a, keys[i], EACH, i), 1);
        assert_int_equal(map_add(&b, keys[i], EACH, i), 1);
    }
    assert_true(furthest(&a) < 100 && furthest(&b) < 100);
    assert_memory_not_equal(a.secret, b.secret, sizeof a.secret);
    map_free(&a);
    map_free(&b);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_chosen_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
