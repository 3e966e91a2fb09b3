#include "serve/waiting.h"

void waiting_open(struct Waiting *w, size_t limit)
{
    *w = (struct Waiting){.limit = limit};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
}

void waiting_close(struct Waiting *w)
{
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
}

bool waiting_push(struct Waiting *w, struct Completion *c)
{
    pthread_mutex_lock(&w->lock);
    bool taken = !w->closed && w->count < w->limit + w->idle;
    if (taken) {
        c->next = NULL;
        *(w->last ? &w->last->next : &w->first) = c;
        w->last = c;
        w->count++;
        pthread_cond_signal(&w->news);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

struct Completion *waiting_pop(struct Waiting *w)
{
    pthread_mutex_lock(&w->lock);
    struct Completion *c = w->first;
    if (c) {
        w->first = c->next;
        if (!w->first) w->last = NULL;
        w->count--;
    }
    pthread_mutex_unlock(&w->lock);
    return c;
}

void waiting_set_idle(struct Waiting *w, size_t idle)
{
    pthread_mutex_lock(&w->lock);
    w->idle = idle;
    pthread_mutex_unlock(&w->lock);
}

void waiting_sleep(struct Waiting *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->closed) pthread_cond_wait(&w->news, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void waiting_end(struct Waiting *w)
{
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
}

struct Completion *waiting_gone(struct Waiting *w)
{
    struct Completion *gone = NULL, **at = &w->first;
    pthread_mutex_lock(&w->lock);
    w->last = NULL;
    while (*at) {
        struct Completion *c = *at;
        if (exchange_gone(c->exchange)) {
            *at = c->next;
            c->next = gone;
            gone = c;
            w->count--;
        } else {
            w->last = c;
            at = &c->next;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return gone;
}

size_t waiting_count(struct Waiting *w)
{
    pthread_mutex_lock(&w->lock);
    size_t count = w->count;
    pthread_mutex_unlock(&w->lock);
    return count;
}
