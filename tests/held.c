#define _POSIX_C_SOURCE 200809L
#include "held.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST_MAPPINGS 16                 // additional ones, from one reading to the next
#define MOST_RESIDENT ((size_t)64 << 20) // additional bytes; the compilers of drivers keep varying amounts per thread

static size_t count_lines(const char *path)
{
    size_t lines = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
    fclose(file);
    return lines;
}

struct Held held(void)
{
    struct Held h = {.mappings = count_lines("/proc/self/maps")};
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %llu", &pages), 1);
    fclose(file);
    h.resident = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) h.descriptors++;
    closedir(dir);
    return h;
}

void expect_flat(struct Held before, struct Held after, const char *what)
{
    print_message("%s: %zu, then %zu descriptors, %zu and %zu mappings, %zu and %zu KiB\n", what, before.descriptors,
                  after.descriptors, before.mappings, after.mappings, before.resident >> 10, after.resident >> 10);
    assert_int_equal(before.descriptors, after.descriptors);
    assert_true(after.mappings <= before.mappings + MOST_MAPPINGS);
    assert_true(after.resident <= before.resident + MOST_RESIDENT);
}
