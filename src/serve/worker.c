#include "serve/worker.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/os.h"
#include "base/thread.h"

struct Task {
    struct Exchange *exchange;
    size_t bytes; // of its body
    struct Task *next;
};

struct Worker {
    pthread_t thread;
    pthread_mutex_t lock; // protects all that follows
    pthread_cond_t news;
    struct Task *first; // the smallest body
    bool ends;
    void (*run)(void *user, struct Exchange *exchange);
    void *user;
};

// The next one, as soon as there is one. NULL: there is none, and the worker ends.
static struct Task *next_task(struct Worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->ends) pthread_cond_wait(&w->news, &w->lock);
    struct Task *task = w->first;
    if (task) w->first = task->next;
    pthread_mutex_unlock(&w->lock);
    return task;
}

static void *work(void *user)
{
    struct Worker *w = user;
    os_name_thread("vkgpt-worker");
    for (struct Task *task; (task = next_task(w)); free(task)) {
        if (!exchange_gone(task->exchange)) w->run(w->user, task->exchange);
        exchange_release(task->exchange);
    }
    return NULL;
}

static void free_worker(struct Worker *w)
{
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

int worker_open(void (*run)(void *user, struct Exchange *exchange), void *user, struct Worker **worker,
                vkgpt_error *err)
{
    struct Worker *w = calloc(1, sizeof *w);
    *worker = NULL;
    if (!w) return fail_memory(err, "the worker", sizeof *w);
    *w = (struct Worker){.run = run, .user = user};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    if (!thread_start(&w->thread, work, w)) {
        free_worker(w);
        return fail(err, VKGPT_OUT_OF_MEMORY, "the worker's thread cannot be started");
    }
    *worker = w;
    return 0;
}

bool worker_push(struct Worker *w, struct Exchange *exchange)
{
    struct Task *task = malloc(sizeof *task);
    if (!task) return false;
    *task = (struct Task){.exchange = exchange, .bytes = exchange_body(exchange)->bytes};
    exchange_hold(exchange);
    pthread_mutex_lock(&w->lock);
    struct Task **at = &w->first;
    while (*at && (*at)->bytes <= task->bytes) at = &(*at)->next;
    task->next = *at;
    *at = task;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    return true;
}

void worker_close(struct Worker *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->ends = true;
    pthread_cond_signal(&w->news);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    free_worker(w);
}
