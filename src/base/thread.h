// Threads of the program's own, beside those of base/parallel.h.
#ifndef VKGPT_BASE_THREAD_H
#define VKGPT_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

// Starts a thread. It blocks signals: those are for the program's own threads. false: none can be started.
bool thread_start(pthread_t *thread, void *(*run)(void *user), void *user);

#endif
