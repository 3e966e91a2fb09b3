// What the process holds, and a check that it does not grow in a long run.
#ifndef TESTS_HELD_H
#define TESTS_HELD_H

#include <stdbool.h>
#include <stddef.h>

struct Held {
    size_t descriptors, mappings, resident; // resident: bytes of memory
};

struct Held held(void);
// Fails the test where `after` holds more than `before`, apart from what varies; prints both.
void expect_flat(struct Held before, struct Held after, const char *what);
// Prints the medians of the first and the last quarter of these times of the processor, which it sorts. Where the run
// is long enough to tell, a last one that is much slower fails the test.
void expect_as_fast(double *seconds, size_t count, bool is_long, const char *what);

#endif
