// A thread for requests that take long to read, one after the other: HTTP's own thread answers the others meanwhile.
#ifndef VKGPT_SERVE_WORKER_H
#define VKGPT_SERVE_WORKER_H

#include "serve/httpd.h"

struct Worker;

// Starts the thread, which calls `run` for each exchange whose client is still there.
int worker_open(void (*run)(void *user, struct Exchange *exchange), void *user, struct Worker **worker,
                vkgpt_error *err);
// Adds an exchange, and holds it until it has run. False: no memory.
bool worker_push(struct Worker *worker, struct Exchange *exchange);
// Runs what is left, and ends the thread.
void worker_close(struct Worker *worker);

#endif
