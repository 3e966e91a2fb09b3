#include "serve/engine.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "base/thread.h"

struct Engine {
    struct EngineOptions options;
    vkgpt_session *session;
    pthread_t thread;
    struct Choice **slots;       // what each sequence runs, or NULL
    uint32_t running;            // slots
    struct Completion *starting; // taken from the queue; some of its choices are not started
    uint64_t reused;             // tokens, that were counted
    atomic_bool ends, failed;
    vkgpt_error error; // once it has failed
};

// ------------------------------------------------------------------------------------------- slots

static void free_when_over(struct Engine *e, struct Completion *c)
{
    if (c->running || c == e->starting || !completion_over(c)) return;
    if (c->ended < c->count) metrics_add(e->options.metrics, METRIC_LEFT, 1);
    completion_free(c);
}

static void note_idle(struct Engine *e)
{
    waiting_set_idle(e->options.waiting, e->starting ? 0 : e->options.slots - e->running);
}

static void leave(struct Engine *e, uint32_t slot)
{
    e->slots[slot] = NULL;
    e->running--;
    note_idle(e);
}

static void let_go(struct Engine *e, struct Completion *c)
{
    c->running--;
    free_when_over(e, c);
}

// The others that run do not depend on it.
static void end_bad(struct Completion *c)
{
    if (!completion_over(c)) completion_fail(c, 500, "the logits of the model hold a NaN or an infinity");
}

static bool on_event(void *user, const vkgpt_batch_event *event)
{
    struct Engine *e = user;
    struct Choice *choice = e->slots[event->sequence];
    if (!choice) return false;
    if (!event->ended) return completion_token(choice, event->id, event->given, event->token);
    leave(e, event->sequence); // before the answer: its client may ask again at once
    if (event->stop == VKGPT_STOP_BAD_LOGITS) end_bad(choice->completion);
    else completion_end(choice, event->stop, event->token);
    let_go(e, choice->completion);
    return true;
}

// Ends what nobody waits for any more.
static void drop_gone(struct Engine *e)
{
    for (uint32_t i = 0; i < e->options.slots; i++) {
        struct Choice *choice = e->slots[i];
        if (!choice || !completion_over(choice->completion)) continue;
        (void)vkgpt_batch_stop(e->session, i, NULL); // it has one argument, which is right
        leave(e, i);
        let_go(e, choice->completion);
    }
    struct Completion *c = e->starting;
    if (c && completion_over(c)) {
        e->starting = NULL;
        free_when_over(e, c);
    }
    for (c = waiting_gone(e->options.waiting); c;) {
        struct Completion *next = c->next;
        free_when_over(e, c);
        c = next;
    }
}

// ------------------------------------------------------------------------------------------- starting

// Starts the next choice of a completion. False: all slots run.
static bool start_one(struct Engine *e, struct Completion *c, vkgpt_error *err, int *code)
{
    struct Choice *choice = &c->choices[c->started];
    const struct Prompt *prompt = choice->prompt;
    uint32_t slot;
    if (!choice->options.max_tokens && !choice->options.given) { // nothing to run
        c->started++;
        completion_end(choice, VKGPT_STOP_LENGTH, NULL);
        return true;
    }
    if (!vkgpt_batch_choose(e->session, prompt->ids, prompt->count, &slot)) return false;
    *code = vkgpt_batch_start(e->session, slot, prompt->ids, prompt->count, &choice->options, err);
    if (*code) return true;
    c->started++;
    c->running++;
    e->slots[slot] = choice;
    e->running++;
    metrics_add(e->options.metrics, METRIC_PROMPT_TOKENS, (double)prompt->count);
    return true;
}

// Starts all choices of the completion at hand that there are slots for. False: no more slots.
static bool start_choices(struct Engine *e, vkgpt_error *err, int *code)
{
    struct Completion *c = e->starting;
    while (c->started < c->count) {
        if (!start_one(e, c, err, code)) return false;
        if (*code == VKGPT_BAD_ARGUMENT) {
            completion_fail(c, 400, err->text);
            *code = 0;
            break;
        }
        if (*code) return false;
    }
    e->starting = NULL;
    free_when_over(e, c);
    return true;
}

static int fill(struct Engine *e, vkgpt_error *err)
{
    int code = 0;
    for (bool room = true; room;) {
        if (!e->starting) e->starting = waiting_pop(e->options.waiting);
        if (!e->starting) break;
        room = start_choices(e, err, &code);
    }
    note_idle(e);
    return code;
}

// ------------------------------------------------------------------------------------------- errors

// Answers all that runs or has begun, and stops it.
static void fail_all(struct Engine *e, int status, const char *sentence)
{
    struct Completion *c = e->starting;
    if (c) completion_fail(c, status, sentence);
    for (uint32_t i = 0; i < e->options.slots; i++)
        if (e->slots[i] && !completion_over(e->slots[i]->completion))
            completion_fail(e->slots[i]->completion, status, sentence);
    drop_gone(e);
}

static void fail_waiting(struct Engine *e, int status, const char *sentence)
{
    for (struct Completion *c; (c = waiting_pop(e->options.waiting));) {
        completion_fail(c, status, sentence);
        free_when_over(e, c);
    }
}

// After an error of the device: those who run are told, and the others go on with a new session.
static void recover(struct Engine *e, const vkgpt_error *err)
{
    fprintf(stderr, "vkgpt: %s; the requests that ran are answered with status 500\n", err->text);
    metrics_add(e->options.metrics, METRIC_DEVICE_ERRORS, 1);
    fail_all(e, 500, err->text);
    e->reused = 0;
    if (!e->options.reopen(e->options.user, &e->session, &e->error)) return;
    waiting_end(e->options.waiting);
    fail_waiting(e, 503, e->error.text);
    atomic_store(&e->failed, true);
}

// ------------------------------------------------------------------------------------------- the thread

static void report(struct Engine *e)
{
    struct Metrics *m = e->options.metrics;
    size_t cached = 0;
    for (uint32_t i = 0; i < e->options.slots; i++)
        if (e->slots[i]) cached += vkgpt_batch_position(e->session, i);
    metrics_set(m, METRIC_RUNNING, e->running);
    metrics_set(m, METRIC_CACHE_TOKENS, (double)cached);
    uint64_t reused = vkgpt_session_counters(e->session).tokens_reused;
    metrics_add(m, METRIC_REUSED_TOKENS, (double)(reused - e->reused));
    e->reused = reused;
}

static void *run(void *user)
{
    struct Engine *e = user;
    os_name_thread("vkgpt-engine");
    while (!atomic_load(&e->ends) && !atomic_load(&e->failed)) {
        vkgpt_error err;
        drop_gone(e);
        int code = fill(e, &err);
        report(e);
        if (!code && e->running) code = vkgpt_batch_step(e->session, on_event, e, NULL, &err);
        else if (!code) waiting_sleep(e->options.waiting);
        if (code == VKGPT_BAD_LOGITS) fprintf(stderr, "vkgpt: %s\n", err.text); // on_event has ended that sequence
        else if (code && code != VKGPT_INTERRUPTED) recover(e, &err);
    }
    fail_all(e, 503, "the server ends");
    fail_waiting(e, 503, "the server ends");
    return NULL;
}

int engine_open(const struct EngineOptions *options, struct Engine **opened, vkgpt_error *err)
{
    struct Engine *e = calloc(1, sizeof *e);
    struct Choice **slots = calloc(options->slots, sizeof(struct Choice *));
    *opened = NULL;
    if (!e || !slots) {
        free(e);
        free(slots);
        return fail_memory(err, "the engine", sizeof *e);
    }
    *e = (struct Engine){.options = *options, .session = options->session, .slots = slots};
    waiting_set_idle(options->waiting, options->slots);
    *opened = e;
    if (thread_start(&e->thread, run, e)) return 0;
    *opened = NULL;
    free(e->slots);
    free(e);
    return fail(err, VKGPT_OUT_OF_MEMORY, "the thread of the engine cannot be started");
}

bool engine_failed(struct Engine *e, vkgpt_error *err)
{
    bool failed = atomic_load(&e->failed);
    if (failed) *err = e->error;
    return failed;
}

void engine_close(struct Engine *e)
{
    if (!e) return;
    atomic_store(&e->ends, true);
    waiting_end(e->options.waiting);
    pthread_join(e->thread, NULL);
    free(e->slots);
    free(e);
}
