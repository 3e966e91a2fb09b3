// The thread that runs the model: it takes completions from the queue, starts their sequences, and hands the tokens on.
// No other thread uses the session.
#ifndef VKGPT_SERVE_ENGINE_H
#define VKGPT_SERVE_ENGINE_H

#include "serve/metrics.h"
#include "serve/waiting.h"

struct Engine;

struct EngineOptions {
    vkgpt_session *session; // idle; of the engine alone until engine_close
    uint32_t slots;         // its sequences
    // After an error of the device: opens device, model and session anew.
    int (*reopen)(void *user, vkgpt_session **session, vkgpt_error *err);
    void *user;
    struct Waiting *waiting;
    struct Metrics *metrics;
};

int engine_open(const struct EngineOptions *options, struct Engine **engine, vkgpt_error *err);
// Whether the engine has given up, because the device could not be opened anew; *err says why.
bool engine_failed(struct Engine *engine, vkgpt_error *err);
// Ends the thread. What runs or waits is answered with 503.
void engine_close(struct Engine *engine);

#endif
