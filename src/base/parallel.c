#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/os.h"

struct Crew {
    parallel_fn *run;
    void *user;
    uint32_t rows, step;
    atomic_uint_least64_t next;
};

struct Worker {
    struct Crew *crew;
    uint32_t index;
    pthread_t thread;
};

static void *work(void *argument)
{
    const struct Worker *worker = argument;
    struct Crew *crew = worker->crew;
    for (;;) {
        uint64_t first = atomic_fetch_add(&crew->next, crew->step);
        if (first >= crew->rows) return NULL;
        uint64_t left = crew->rows - first;
        crew->run(crew->user, worker->index, (uint32_t)first, left < crew->step ? (uint32_t)left : crew->step);
    }
}

uint32_t parallel_workers(void)
{
    unsigned cores = os_cores();
    return cores < 1 ? 1 : cores > PARALLEL_MAX ? PARALLEL_MAX : cores;
}

void parallel_rows(uint32_t rows, uint32_t step, parallel_fn *run, void *user)
{
    struct Crew crew = {.run = run, .user = user, .rows = rows, .step = step ? step : 1};
    struct Worker workers[PARALLEL_MAX];
    uint64_t pieces = ((uint64_t)rows + crew.step - 1) / crew.step;
    uint32_t count = parallel_workers(), started = 1;
    if (count > pieces) count = (uint32_t)pieces;
    workers[0] = (struct Worker){.crew = &crew};
    for (; started < count; started++) {
        workers[started] = (struct Worker){.crew = &crew, .index = started};
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started])) break;
    }
    work(&workers[0]);
    for (uint32_t i = 1; i < started; i++) pthread_join(workers[i].thread, NULL);
}
