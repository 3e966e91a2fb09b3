#include "serve/connections.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/os.h"

void connections_open(struct Connections *all, size_t most, double timeout)
{
    *all = (struct Connections){.most = most, .timeout = timeout};
    pthread_mutex_init(&all->lock, NULL);
}

void connections_close(struct Connections *all) { pthread_mutex_destroy(&all->lock); }

static void unlink_one(struct Connections *all, struct Connection *c)
{
    if (!c->reading) return;
    *(c->previous ? &c->previous->next : &all->first) = c->next;
    *(c->next ? &c->next->previous : &all->last) = c->previous;
    c->reading = false;
}

static void link_last(struct Connections *all, struct Connection *c)
{
    unlink_one(all, c);
    c->since = os_seconds();
    c->reading = true;
    c->previous = all->last;
    c->next = NULL;
    *(all->last ? &all->last->next : &all->first) = c;
    all->last = c;
}

// Its other side sees the end, and so does MHD, which closes it.
static void shut(struct Connections *all, struct Connection *c)
{
    unlink_one(all, c);
    c->shut = true;
    (void)shutdown(c->fd, SHUT_RDWR);
}

struct Connection *connections_add(struct Connections *all, int fd)
{
    struct Connection *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->fd = fd;
    pthread_mutex_lock(&all->lock);
    link_last(all, c);
    if (++all->count > all->most && all->first != c) shut(all, all->first);
    pthread_mutex_unlock(&all->lock);
    return c;
}

void connections_remove(struct Connections *all, struct Connection *c)
{
    if (!c) return;
    pthread_mutex_lock(&all->lock);
    unlink_one(all, c);
    all->count--;
    pthread_mutex_unlock(&all->lock);
    free(c);
}

void connections_set_reading(struct Connections *all, struct Connection *c, bool reading)
{
    if (!c) return;
    pthread_mutex_lock(&all->lock);
    if (!reading) unlink_one(all, c);
    else if (!c->shut) link_last(all, c);
    pthread_mutex_unlock(&all->lock);
}

void connections_tick(struct Connections *all)
{
    double before = os_seconds() - all->timeout;
    pthread_mutex_lock(&all->lock);
    while (all->first && all->first->since < before) shut(all, all->first);
    pthread_mutex_unlock(&all->lock);
}
