// Jobs that threads do in the background, on all cores, in the order in which they were added. Threads start with the
// first job and end after the last one.
#ifndef VKGPT_BASE_QUEUE_H
#define VKGPT_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/parallel.h"

enum JobState { JOB_NONE, JOB_WAITS, JOB_RUNS, JOB_DONE };

struct Job { // a member of the caller's own struct; zeroed at first
    struct Job *next;
    enum JobState state;
};

struct QueueHand {
    pthread_t thread;
    struct Queue *queue;
    bool started, works;
};

struct Queue {
    void (*run)(void *user, struct Job *job); // called by any thread, for several jobs at once
    void *user;
    pthread_mutex_t lock; // protects all that follows, and the jobs
    pthread_cond_t done;  // signalled when a job is done
    struct Job *first, *last;
    struct QueueHand hands[PARALLEL_MAX];
};

void queue_open(struct Queue *queue, void (*run)(void *user, struct Job *job), void *user);
// Adds a job. If no thread can be started, queue_wait does it.
void queue_add(struct Queue *queue, struct Job *job);
// Returns when a job that was added is done. If no thread has begun it, the caller does it.
void queue_wait(struct Queue *queue, struct Job *job);
// Whether a job that was added is done.
bool queue_done(struct Queue *queue, struct Job *job);
// Removes the jobs that no thread has begun, sets them to JOB_NONE, and returns when the others are done.
void queue_drop(struct Queue *queue);
// Call queue_drop first.
void queue_close(struct Queue *queue);

#endif
