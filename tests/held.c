#define _POSIX_C_SOURCE 200809L
#include "held.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST_MAPPINGS 16                 // additional ones, from one reading to the next
#define MOST_RESIDENT ((size_t)64 << 20) // additional bytes; the compilers of drivers keep varying amounts per thread
#define SLOWER 1.5                       // times the first quarter's time, at most, for the last one

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

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

void expect_as_fast(double *seconds, size_t count, bool is_long, const char *what)
{
    size_t part = count / 4;
    assert_true(part > 0);
    double begin = median(seconds, part), end = median(seconds + count - part, part);
    print_message("%s: %.3f s of the processor, at the end %.3f s\n", what, begin, end);
    if (is_long && end > SLOWER * begin) fail_msg("%.3f s, at the end %.3f s", begin, end);
}
