// Jobs that threads do beside the caller, in the order in which they were added, on all cores. Threads come with the
// first job and end with the last one.
#ifndef VKGPT_BASE_QUEUE_H
#define VKGPT_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/parallel.h"

enum JobState { JOB_NONE, JOB_WAITS, JOB_RUNS, JOB_DONE };

struct Job { // a part of what is to be done; zeroed at first
    struct Job *next;
    enum JobState state;
};

struct QueueHand {
    pthread_t thread;
    struct Queue *queue;
    bool started, works;
};

struct Queue {
    void (*run)(void *user, struct Job *job); // by any thread, several jobs at once
    void *user;
    pthread_mutex_t lock; // of all that follows, and of the jobs
    pthread_cond_t done;  // a job is
    struct Job *first, *last;
    struct QueueHand hands[PARALLEL_MAX];
};

void queue_open(struct Queue *queue, void (*run)(void *user, struct Job *job), void *user);
// Adds a job. Where no thread can be started, it is done by who waits for it.
void queue_add(struct Queue *queue, struct Job *job);
// Returns when a job that was added is done: by the caller itself, if no thread has begun it.
void queue_wait(struct Queue *queue, struct Job *job);
// Whether a job that was added is done.
bool queue_done(struct Queue *queue, struct Job *job);
// Takes out the jobs that nobody has begun, which become JOB_NONE, and returns when the others are done.
void queue_drop(struct Queue *queue);
// After queue_drop.
void queue_close(struct Queue *queue);

#endif
