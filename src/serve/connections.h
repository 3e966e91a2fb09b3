// The connections that are open: which ones wait for a request, and since when. A connection whose request does not
// arrive in time is shut down, and so is the one that waits for the longest time when there are too many: MHD has only
// a timeout of inactivity, and accepts nobody past its limit.
#ifndef VKGPT_SERVE_CONNECTIONS_H
#define VKGPT_SERVE_CONNECTIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct Connection {
    int fd;
    double since; // it waits for a request, or for the rest of one
    bool reading; // it does
    bool shut;
    struct Connection *previous, *next; // of those that wait
};

struct Connections {
    pthread_mutex_t lock;
    struct Connection *first, *last; // those that wait, the longest first
    size_t count, most;
    double timeout; // seconds
};

void connections_open(struct Connections *all, size_t most, double timeout);
void connections_close(struct Connections *all);
// A new connection; NULL: no memory. It waits for a request. Past `most`, the oldest one that waits is shut down.
struct Connection *connections_add(struct Connections *all, int fd);
// Before the descriptor is closed.
void connections_remove(struct Connections *all, struct Connection *connection);
// A request is whole, or its answer is sent: then the wait for the next one begins.
void connections_set_reading(struct Connections *all, struct Connection *connection, bool reading);
// Shuts down those that have waited for too long.
void connections_tick(struct Connections *all);

#endif
