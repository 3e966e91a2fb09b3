// What the process holds, and a check that it does not grow in a long run.
#ifndef TESTS_HELD_H
#define TESTS_HELD_H

#include <stddef.h>

struct Held {
    size_t descriptors, mappings, resident; // resident: bytes of memory
};

struct Held held(void);
// Fails the test where `after` holds more than `before`, apart from what varies; prints both.
void expect_flat(struct Held before, struct Held after, const char *what);

#endif
