// Attacks by untrusted files: keys that collide in a hash table, paths that are not regular files, files that shrink
// while they are read.
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h" // before cmocka, which has a macro named fail

#include <cmocka.h>

#include "base/map.h"
#include "base/os.h"
#include "base/parallel.h"
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

// The largest distance of a key from the slot of its hash.
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

// Keys whose folded FNV-1a hashes end in the same 14 bits: a table that uses this hash would have one long run.
static void test_chosen_keys(void **state)
{
    (void)state;
    enum { COUNT = 4000, EACH = 8 };
    char(*keys)[EACH + 1] = calloc(COUNT, sizeof *keys);
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

// ------------------------------------------------------------------------------------------------ what is no file

// A pipe without a writer, a link to it, and a link to a device: refused at once.
static void test_no_file(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32], link[DIR_BYTES + 32], device[DIR_BYTES + 32];
    vkgpt_error err;
    char *data;
    size_t bytes;
    struct Mapping m;
    snprintf(path, sizeof path, "%s/fifo", test_dir);
    snprintf(link, sizeof link, "%s/link", test_dir);
    snprintf(device, sizeof device, "%s/zero", test_dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(symlink("fifo", link), 0);
    assert_int_equal(symlink("/dev/zero", device), 0);
    const char *const paths[] = {path, link, device};
    alarm(5);
    for (int i = 0; i < 3; i++) {
        expect_sentence(os_map(paths[i], &m, &err), VKGPT_BAD_FILE, &err, paths[i], "pipe or device", NULL);
        expect_sentence(os_read_file(paths[i], 100, &data, &bytes, &err), VKGPT_BAD_FILE, &err, paths[i],
                        "pipe or device", NULL);
        assert_null(data);
    }
    alarm(0);
    for (int i = 0; i < 3; i++) unlink(paths[i]);
}

// ------------------------------------------------------------------------------------------------ files that shrink

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static const char *pages_write(char path[DIR_BYTES + 32], size_t bytes)
{
    char *data = malloc(bytes);
    assert_non_null(data);
    memset(data, 'x', bytes);
    file_write(test_dir, "shrinks", data, bytes);
    free(data);
    snprintf(path, DIR_BYTES + 32, "%s/shrinks", test_dir);
    return path;
}

static void sum_rows(void *user, uint32_t worker, uint32_t first, uint32_t count)
{
    const struct Mapping *m = user;
    (void)worker;
    for (uint32_t i = first; i < first + count; i++) {
        uint8_t byte = ((const volatile uint8_t *)m->data)[(size_t)i * page()];
        if (byte != 0 && byte != 'x') abort();
    }
}

// The part that was cut off reads as zeros, in any thread, and is reported; the handler is removed with the last
// mapping.
static void test_cut(void **state)
{
    (void)state;
    enum { PAGES = 64 };
    char path[DIR_BYTES + 32];
    vkgpt_error err;
    struct Mapping m, other;
    struct sigaction before, during, after;
    assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
    assert_int_equal(os_map(pages_write(path, PAGES * page()), &m, &err), 0);
    assert_int_equal(os_map(path, &other, &err), 0);
    assert_int_equal(sigaction(SIGBUS, NULL, &during), 0);
    assert_true(during.sa_sigaction != before.sa_sigaction);
    assert_int_equal(os_map_check(&m, path, &err), 0);
    assert_int_equal(truncate(path, (off_t)page() + 5), 0);
    parallel_rows(PAGES, 1, sum_rows, &m);
    assert_true(m.data[0] == 'x' && m.data[page() + 4] == 'x' && m.data[2 * page()] == 0 &&
                m.data[PAGES * page() - 1] == 0);
    expect_sentence(os_map_check(&m, path, &err), VKGPT_BAD_FILE, &err, path, "cut", NULL);
    expect_sentence(os_map_check(&other, path, &err), VKGPT_BAD_FILE, &err, path, "cut", NULL); // by its size
    unlink(path);
    expect_sentence(os_map_check(&m, path, &err), VKGPT_BAD_FILE, &err, path, "cut", NULL);
    os_unmap(&m);
    os_unmap(&other);
    assert_int_equal(sigaction(SIGBUS, NULL, &after), 0);
    assert_true(after.sa_sigaction == before.sa_sigaction);

    assert_int_equal(os_map(pages_write(path, 100), &m, &err), 0); // uses a guard again
    assert_int_equal(os_map_check(&m, path, &err), 0);
    assert_int_equal(truncate(path, 99), 0); // raises nothing
    expect_sentence(os_map_check(&m, path, &err), VKGPT_BAD_FILE, &err, path, "100 bytes", "cut", NULL);
    os_unmap(&m);
    unlink(path);
}

static sigjmp_buf jump;

static void on_other(int number) { siglongjmp(jump, number); }

// A signal for a mapping that is not ours goes to the handler that was set before.
static void test_cut_of_others(void **state)
{
    (void)state;
    char path[DIR_BYTES + 32], own[DIR_BYTES + 32];
    vkgpt_error err;
    struct Mapping m;
    struct sigaction theirs = {.sa_handler = on_other}, old, now;
    assert_int_equal(sigaction(SIGBUS, &theirs, &old), 0);
    file_write(test_dir, "own", "abc", 3);
    snprintf(own, sizeof own, "%s/own", test_dir);
    assert_int_equal(os_map(own, &m, &err), 0);
    int fd = open(pages_write(path, 2 * page()), O_RDONLY);
    const volatile char *data = mmap(NULL, 2 * page(), PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(data != MAP_FAILED);
    assert_int_equal(truncate(path, 0), 0);
    int number = sigsetjmp(jump, 1);
    if (!number) (void)data[page()];
    assert_int_equal(number, SIGBUS);
    munmap((void *)(uintptr_t)data, 2 * page());
    close(fd);
    os_unmap(&m);
    assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
    assert_true(now.sa_handler == on_other);
    sigaction(SIGBUS, &old, NULL);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash), cmocka_unit_test(test_chosen_keys),   cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_cut),     cmocka_unit_test(test_cut_of_others),
    };
    return cmocka_run_group_tests(tests, test_dir_setup, test_dir_teardown);
}
