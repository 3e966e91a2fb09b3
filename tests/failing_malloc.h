// Memory that runs out: in a program linked with --wrap (those named *malloc*), the n-th call of malloc, calloc,
// realloc, strdup or strndup in it and in the static libraries returns NULL. Shared libraries keep the real functions.
#ifndef TESTS_FAILING_MALLOC_H
#define TESTS_FAILING_MALLOC_H

#include <stdbool.h>
#include <stdint.h>

// From now on the n-th allocation (from 1) fails, and with `all` those after it too; 0: none. Counts restart at 0.
void malloc_fail_at(uint64_t n, bool all);
uint64_t malloc_calls(void);    // since malloc_fail_at
bool malloc_has_failed(void);   // since malloc_fail_at
int64_t malloc_allocated(void); // since malloc_fail_at, and not freed yet

#endif
