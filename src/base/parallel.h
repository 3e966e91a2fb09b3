// Work on rows, spread over the cores.
#ifndef VKGPT_BASE_PARALLEL_H
#define VKGPT_BASE_PARALLEL_H

#include <stdint.h>

#define PARALLEL_MAX 64

// Works on rows [first, first + count) as worker 0, 1, ...; two calls of one worker never run at the same time.
typedef void parallel_fn(void *user, uint32_t worker, uint32_t first, uint32_t count);

// Workers that parallel_rows uses: the cores that this process may run on, at most PARALLEL_MAX.
uint32_t parallel_workers(void);
// Calls `run` for pieces of `step` rows (the last may be shorter); each worker takes the next free piece. Returns when
// all are done. The result must not depend on which worker does which piece. If no thread can be started, the caller
// does all the work.
void parallel_rows(uint32_t rows, uint32_t step, parallel_fn *run, void *user);

#endif
