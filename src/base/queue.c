#define _POSIX_C_SOURCE 200809L
#include "base/queue.h"
#include "base/thread.h"

#include <stddef.h>

void queue_open(struct Queue *queue, void (*run)(void *user, struct Job *job), void *user)
{
    *queue = (struct Queue){.run = run, .user = user};
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->done, NULL);
}

// Called with the lock held; releases it while the job runs.
static void do_job(struct Queue *queue, struct Job *job)
{
    job->state = JOB_RUNS;
    pthread_mutex_unlock(&queue->lock);
    queue->run(queue->user, job);
    pthread_mutex_lock(&queue->lock);
    job->state = JOB_DONE;
    pthread_cond_broadcast(&queue->done);
}

static struct Job *take_first(struct Queue *queue)
{
    struct Job *job = queue->first;
    if (job) queue->first = job->next;
    return job;
}

static void take_out(struct Queue *queue, const struct Job *job)
{
    struct Job **at = &queue->first;
    queue->last = NULL;
    while (*at)
        if (*at == job) *at = job->next;
        else queue->last = *at, at = &(*at)->next;
}

static void *work(void *argument)
{
    struct QueueHand *hand = argument;
    struct Queue *queue = hand->queue;
    pthread_mutex_lock(&queue->lock);
    for (struct Job *job; (job = take_first(queue));) do_job(queue, job);
    hand->works = false; // under the lock, so that the next queue_add starts another thread
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

// Starts one more thread, unless each core has one.
static void call_hand(struct Queue *queue)
{
    uint32_t at = 0, most = parallel_workers();
    while (at < most && queue->hands[at].works) at++;
    if (at == most) return;
    struct QueueHand *hand = &queue->hands[at];
    if (hand->started) pthread_join(hand->thread, NULL); // it is returning: this does not wait long
    hand->queue = queue;
    hand->started = hand->works = thread_start(&hand->thread, work, hand);
}

void queue_add(struct Queue *queue, struct Job *job)
{
    pthread_mutex_lock(&queue->lock);
    job->state = JOB_WAITS;
    job->next = NULL;
    if (queue->first) queue->last->next = job;
    else queue->first = job;
    queue->last = job;
    call_hand(queue);
    pthread_mutex_unlock(&queue->lock);
}

void queue_wait(struct Queue *queue, struct Job *job)
{
    pthread_mutex_lock(&queue->lock);
    if (job->state == JOB_WAITS) {
        take_out(queue, job);
        do_job(queue, job);
    }
    while (job->state == JOB_RUNS) pthread_cond_wait(&queue->done, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

bool queue_done(struct Queue *queue, struct Job *job)
{
    pthread_mutex_lock(&queue->lock);
    bool done = job->state == JOB_DONE;
    pthread_mutex_unlock(&queue->lock);
    return done;
}

void queue_drop(struct Queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    for (struct Job *job; (job = take_first(queue));) job->state = JOB_NONE;
    pthread_mutex_unlock(&queue->lock);
    for (uint32_t i = 0; i < PARALLEL_MAX; i++) {
        if (queue->hands[i].started) pthread_join(queue->hands[i].thread, NULL);
        queue->hands[i] = (struct QueueHand){0};
    }
}

void queue_close(struct Queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->done);
}
