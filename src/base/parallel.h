// Work on rows, spread over the cores: the only place that starts threads.
#ifndef VKGPT_BASE_PARALLEL_H
#define VKGPT_BASE_PARALLEL_H

#include <stdint.h>

#define PARALLEL_MAX 64

// Work on rows [first, first + count) by worker 0, 1, ...: no two calls of one worker run at once.
typedef void parallel_fn(void *user, uint32_t worker, uint32_t first, uint32_t count);

// Workers that parallel_rows uses: the cores that this process may run on, at most PARALLEL_MAX.
uint32_t parallel_workers(void);
// Calls run for pieces of `step` rows (the last may be shorter), each worker taking the next one that is left, and
// returns when all are done. What comes out must not depend on who did what. Where no thread can be started, the
// caller does it alone.
void parallel_rows(uint32_t rows, uint32_t step, parallel_fn *run, void *user);

#endif
