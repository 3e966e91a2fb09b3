// A stage runs its flights in a thread of its own, one by one: it takes x from the stage before it, runs its layers,
// and offers x to the stage after it. Its session belongs to that thread while a flight is on its way, and else to the
// thread that uses the last stage's session. Several sessions of a model have such threads on the same device: who
// uses the device holds the model's lock `in_use`, and waits for no other stage meanwhile, but to open or close one
// before it.
#define _POSIX_C_SOURCE 200809L
#include "engine/stages.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/thread.h"
#include "engine/buffers.h"
#include "engine/recordings.h"
#include "engine/save.h"
#include "engine/session_open.h"

struct Stage {
    struct Upstream upstream; // what the session after it sees; the first member
    vkgpt_session *session;
    pthread_t thread;
    bool started, ends;
    pthread_mutex_t lock; // protects all that follows
    pthread_cond_t changed;
    struct StageFlight flights[MAX_IN_FLIGHT]; // in the order in which they were sent
    uint32_t oldest, count;                    // of those that wait or run
    bool done[MAX_IN_FLIGHT];                  // by their turns: whether it has run and was not received
    vkgpt_error errors[MAX_IN_FLIGHT];         // and why it failed
    // of the thread alone
    vkgpt_error failure; // of the last flight that failed; code VKGPT_OK: none since a fresh one
};

static struct Stage *stage_of(struct Upstream *upstream) { return (struct Stage *)upstream; }

// ------------------------------------------------------------------------------------------------ the thread

static int recording_of(struct vkgpt_session *s, const struct StageFlight *f, struct Recording **rec, vkgpt_error *err)
{
    const struct StepsAsk ask = {
        .range = {f->first, f->sequences, s->step_rows}, .split_size = f->split_size, .turn = f->turn};
    if (f->kind == FLIGHT_STEPS) return recordings_steps(s, &ask, rec, err);
    if (f->kind == FLIGHT_COPIES) return recordings_share(s, f->turn, rec, err);
    return recordings_block(s, f->kind, f->turn, rec, err);
}

// Runs a flight. The stage before it has run it too then, or has failed.
static int run(struct vkgpt_session *s, const struct StageFlight *f, vkgpt_error *err)
{
    pthread_mutex_t *in_use = &s->model->in_use;
    struct Recording *rec;
    pthread_mutex_lock(in_use);
    int status = recording_of(s, f, &rec, err);
    pthread_mutex_unlock(in_use);
    if (s->upstream) {
        size_t bytes = (size_t)f->rows * s->model->dim * 4;
        int arrived =
            s->upstream->receive(s->upstream, f->turn, s->b.arrival[f->turn].host, bytes, status ? NULL : err);
        if (!status) status = arrived;
    }
    if (status) return status;
    pthread_mutex_lock(in_use);
    status = recording_submit(rec, err);
    if (!status) status = recording_wait(rec, err);
    pthread_mutex_unlock(in_use);
    return status;
}

// What was sent after a flight that failed does not run: its rows stand behind those that are missing.
static void run_or_fail(struct Stage *stage, const struct StageFlight *f, vkgpt_error *error)
{
    vkgpt_session *s = stage->session;
    if (f->fresh) stage->failure = (vkgpt_error){0};
    if (!stage->failure.code) run(s, f, &stage->failure);
    else if (s->upstream) s->upstream->receive(s->upstream, f->turn, NULL, 0, NULL);
    *error = stage->failure;
}

static void *work(void *argument)
{
    struct Stage *stage = argument;
    pthread_mutex_lock(&stage->lock);
    for (;;) {
        while (!stage->count && !stage->ends) pthread_cond_wait(&stage->changed, &stage->lock);
        if (!stage->count) break;
        const struct StageFlight flight = stage->flights[stage->oldest];
        vkgpt_error error;
        pthread_mutex_unlock(&stage->lock);
        run_or_fail(stage, &flight, &error);
        pthread_mutex_lock(&stage->lock);
        stage->oldest = (stage->oldest + 1) % MAX_IN_FLIGHT;
        stage->count--;
        stage->errors[flight.turn] = error;
        stage->done[flight.turn] = true;
        pthread_cond_broadcast(&stage->changed);
    }
    pthread_mutex_unlock(&stage->lock);
    return NULL;
}

// ------------------------------------------------------------------------------- for the session after it

static int stage_send(struct Upstream *upstream, const struct StageFlight *flight, const void *inbox,
                      const uint32_t *given, vkgpt_error *err)
{
    struct Stage *stage = stage_of(upstream);
    vkgpt_session *s = stage->session;
    int status = s->upstream ? s->upstream->send(s->upstream, flight, inbox, given, err) : VKGPT_OK;
    if (status) return status;
    size_t bytes = sizeof(struct InboxHead) + flight->admissions * sizeof(struct Admission);
    memcpy(s->b.inbox[flight->turn].host, inbox, bytes); // the last flight of this turn has ended
    if (flight->words) memcpy(s->b.given[flight->turn].host, given, (size_t)flight->words * 4);
    pthread_mutex_lock(&stage->lock);
    stage->flights[(stage->oldest + stage->count++) % MAX_IN_FLIGHT] = *flight;
    pthread_cond_broadcast(&stage->changed);
    pthread_mutex_unlock(&stage->lock);
    return VKGPT_OK;
}

static int stage_receive(struct Upstream *upstream, uint32_t turn, void *x, size_t bytes, vkgpt_error *err)
{
    struct Stage *stage = stage_of(upstream);
    pthread_mutex_lock(&stage->lock);
    while (!stage->done[turn]) pthread_cond_wait(&stage->changed, &stage->lock);
    stage->done[turn] = false;
    const vkgpt_error error = stage->errors[turn];
    pthread_mutex_unlock(&stage->lock);
    if (error.code) return fail(err, error.code, "%s", error.text);
    if (x) memcpy(x, stage->session->b.departure[turn].host, bytes);
    return VKGPT_OK;
}

// Waits until the thread has nothing to do, so that the caller may use the session.
static void wait_until_idle(struct Stage *stage)
{
    pthread_mutex_lock(&stage->lock);
    while (stage->count) pthread_cond_wait(&stage->changed, &stage->lock);
    pthread_mutex_unlock(&stage->lock);
}

static int stage_move_cache(struct Upstream *upstream, uint32_t layer, uint32_t half, uint32_t positions, bool write,
                            uint8_t *bytes, vkgpt_error *err)
{
    struct Stage *stage = stage_of(upstream);
    vkgpt_session *s = stage->session;
    wait_until_idle(stage);
    if (layer < s->model->first) return s->upstream->move_cache(s->upstream, layer, half, positions, write, bytes, err);
    pthread_mutex_lock(&s->model->in_use);
    int status = session_move_cache(s, layer, half, positions, write, bytes, err);
    pthread_mutex_unlock(&s->model->in_use);
    return status;
}

static void stage_close(struct Upstream *upstream)
{
    struct Stage *stage = stage_of(upstream);
    pthread_mutex_t *in_use = stage->session ? &stage->session->model->in_use : NULL;
    if (stage->started) {
        pthread_mutex_lock(&stage->lock);
        stage->ends = true;
        pthread_cond_broadcast(&stage->changed);
        pthread_mutex_unlock(&stage->lock);
        pthread_join(stage->thread, NULL);
    }
    if (in_use) pthread_mutex_lock(in_use);
    vkgpt_session_close(stage->session);
    if (in_use) pthread_mutex_unlock(in_use);
    pthread_mutex_destroy(&stage->lock);
    pthread_cond_destroy(&stage->changed);
    free(stage);
}

// ------------------------------------------------------------------------------------------------- opening

int stages_open(const struct vkgpt_model *model, const struct StageOptions *options, struct Upstream **upstream,
                vkgpt_error *err)
{
    return stages_open_before(model->before, options, upstream, err);
}

int stages_open_before(vkgpt_model *before, const struct StageOptions *options, struct Upstream **upstream,
                       vkgpt_error *err)
{
    pthread_mutex_lock(&before->in_use);
    struct Stage *stage = device_alloc(before->device, 1, sizeof *stage);
    pthread_mutex_unlock(&before->in_use);
    if (!stage) return fail_memory(err, "a stage", sizeof *stage);
    stage->upstream = (struct Upstream){
        .send = stage_send, .receive = stage_receive, .move_cache = stage_move_cache, .close = stage_close};
    pthread_mutex_init(&stage->lock, NULL);
    pthread_cond_init(&stage->changed, NULL);
    pthread_mutex_lock(&before->in_use);
    int status = session_open_stage(before, options, &stage->session, err);
    pthread_mutex_unlock(&before->in_use);
    if (!status) {
        stage->started = thread_start(&stage->thread, work, stage);
        if (!stage->started) status = fail(err, VKGPT_OUT_OF_MEMORY, "a thread for a stage cannot be started");
    }
    if (status) stage_close(&stage->upstream);
    else *upstream = &stage->upstream;
    return status;
}

void stages_most_rows(vkgpt_model *last)
{
    uint32_t most = UINT32_MAX;
    for (vkgpt_model *m = last; m; m = m->before) {
        uint32_t rows = buffers_most_rows(m, KV_Q8_0); // the widest
        if (rows < most) most = rows;
    }
    for (vkgpt_model *m = last; m; m = m->before) m->most_rows = most;
}
