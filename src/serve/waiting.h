// The queue of completions that wait for the engine, with a bound.
#ifndef VKGPT_SERVE_WAITING_H
#define VKGPT_SERVE_WAITING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "serve/completion.h"

struct Waiting {
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct Completion *first, *last;
    size_t count, limit, idle;
    bool closed;
};

// `limit`: completions that wait while no slot is idle.
void waiting_open(struct Waiting *waiting, size_t limit);
void waiting_close(struct Waiting *waiting); // drops nothing: it has to be empty
// Adds one. False: it is full, or ends; the completion is still the caller's.
bool waiting_push(struct Waiting *waiting, struct Completion *completion);
struct Completion *waiting_pop(struct Waiting *waiting); // NULL: it is empty
// The engine has this many slots for which nobody waits.
void waiting_set_idle(struct Waiting *waiting, size_t idle);
// Returns when something waits, or waiting_end was called.
void waiting_sleep(struct Waiting *waiting);
// Takes nothing more.
void waiting_end(struct Waiting *waiting);
// Takes out those whose client went away, as a list.
struct Completion *waiting_gone(struct Waiting *waiting);
size_t waiting_count(struct Waiting *waiting);

#endif
