// A model that is cut over several devices. A call is ended from another thread: in a prompt and among the tokens. Two
// sessions of the model are used by two threads in turn, while the stages of both run. What they give is what one
// device gives.
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "check.h"

#define DEVICES 2
#define VOCAB 307
#define PROMPT 500 // several blocks of a software driver
#define TOKENS 40

static const struct SyntheticModel SMALL = {
    .layers = 4, .heads = 3, .dim = 96, .context = 600, .vocab = VOCAB, .inner = 256, .seed = 21, .dtype = DTYPE_F32};
static const vkgpt_sampling GREEDY = {.top_p = 1, .repeat_penalty = 1, .ignore_eos = true};

// A call that is under way, and the thread that ends it.
struct Call {
    vkgpt_session *session;
    atomic_bool seen, ended;
    size_t count;
    uint32_t ids[TOKENS];
};

struct World {
    vkgpt_device *devices[DEVICES];
    char dir[256];
    vkgpt_model *models[2];     // on one device, and cut
    vkgpt_session *sessions[2]; // of each
    struct Call call;           // of the second session
};

static void wait_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

// Tells the other thread, and holds the call until that has ended it: so it cannot end by itself before.
static void hold(struct Call *c)
{
    atomic_store(&c->seen, true);
    while (!atomic_load(&c->ended)) wait_ms(1);
}

static void *cancel_soon(void *user)
{
    struct Call *c = user;
    while (!atomic_load(&c->seen)) wait_ms(1);
    vkgpt_session_cancel(c->session);
    atomic_store(&c->ended, true);
    return NULL;
}

static bool held_block(void *user)
{
    struct Call *c = user;
    if (c->session) hold(c); // else nobody ends it
    return true;
}

static bool keep(void *user, uint32_t id)
{
    struct Call *c = user;
    assert_true(c->count < TOKENS);
    c->ids[c->count++] = id;
    if (c->session) hold(c);
    return true;
}

static int open_world(void **state)
{
    vkgpt_error err;
    struct World *w = calloc(1, sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < DEVICES; i++) CHECK(vkgpt_device_open(NULL, &w->devices[i], &err));
    CHECK(synthetic_model_temporary(&SMALL, w->dir, sizeof w->dir, &err));
    CHECK(vkgpt_model_open(w->devices[0], w->dir, NULL, &w->models[0], &err));
    CHECK(vkgpt_model_open_split(w->devices, DEVICES, (uint32_t[]){2, 2}, w->dir, NULL, &w->models[1], &err));
    for (int i = 0; i < 2; i++) {
        const vkgpt_session_options options = {.on_block = i ? held_block : NULL, .user = &w->call};
        CHECK(vkgpt_session_open(w->models[i], &options, &w->sessions[i], &err));
    }
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct World *w = *state;
    for (int i = 1; i >= 0; i--) vkgpt_session_close(w->sessions[i]);
    for (int i = 0; i < 2; i++) vkgpt_model_close(w->models[i]);
    for (int i = 0; i < DEVICES; i++) {
        assert_int_equal(w->devices[i]->validation_messages, 0);
        vkgpt_device_close(w->devices[i]);
    }
    synthetic_model_remove(w->dir);
    free(w);
    return 0;
}

// The tokens that follow the prompt on one device.
static void tokens_alone(struct World *w, const uint32_t *ids, struct Call *want)
{
    vkgpt_error err;
    *want = (struct Call){.count = 0};
    CHECK(vkgpt_session_rewind(w->sessions[0], 0, &err));
    CHECK(vkgpt_prompt(w->sessions[0], ids, PROMPT, &err));
    CHECK(vkgpt_generate(w->sessions[0], &GREEDY, TOKENS, keep, want, NULL, &err));
}

// Makes the next call of the cut session one that another thread ends.
static pthread_t begin(struct World *w)
{
    pthread_t thread;
    w->call = (struct Call){.session = w->sessions[1]};
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &w->call), 0);
    return thread;
}

static void end(struct World *w, pthread_t thread)
{
    pthread_join(thread, NULL);
    w->call.session = NULL;
}

static void test_cancel(void **state)
{
    struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[PROMPT];
    struct Call want;
    for (uint32_t i = 0; i < PROMPT; i++) ids[i] = (i % 40 * 97 + i / 40) % (VOCAB - 1);
    tokens_alone(w, ids, &want);

    pthread_t thread = begin(w);
    assert_int_equal(vkgpt_prompt(w->sessions[1], ids, PROMPT, &err), VKGPT_INTERRUPTED);
    end(w, thread);
    assert_int_equal(vkgpt_session_position(w->sessions[1]), PROMPT);

    CHECK(vkgpt_generate(w->sessions[1], &GREEDY, 1, NULL, NULL, NULL, &err)); // reads the rest of the prompt
    CHECK(vkgpt_session_rewind(w->sessions[1], PROMPT, &err));
    thread = begin(w);
    assert_int_equal(vkgpt_generate(w->sessions[1], &GREEDY, TOKENS, keep, &w->call, NULL, &err), VKGPT_INTERRUPTED);
    end(w, thread);
    assert_in_range(w->call.count, 1, TOKENS - 1);
    assert_int_equal(vkgpt_session_position(w->sessions[1]), PROMPT + w->call.count);

    CHECK(vkgpt_generate(w->sessions[1], &GREEDY, TOKENS - w->call.count, keep, &w->call, NULL, &err));
    assert_int_equal(w->call.count, TOKENS);
    assert_memory_equal(w->call.ids, want.ids, sizeof want.ids);
}

// ------------------------------------------------------------------------------------------------ two sessions

#define RUNNERS 2
#define SEQUENCES 2

// A thread with a session of its own, which it uses only while it holds `turn`.
struct Runner {
    struct World *world;
    pthread_mutex_t *turn;
    uint32_t number;
    vkgpt_session *session;
    uint32_t count[SEQUENCES], ids[SEQUENCES][TOKENS];
};

static bool keep_event(void *user, const vkgpt_batch_event *event)
{
    struct Runner *r = user;
    if (event->ended) return true;
    assert_true(r->count[event->sequence] < TOKENS);
    r->ids[event->sequence][r->count[event->sequence]++] = event->id;
    return true;
}

static void start(struct Runner *r, uint32_t sequence)
{
    vkgpt_error err;
    uint32_t ids[PROMPT];
    const vkgpt_batch_options options = {.sampling = GREEDY, .max_tokens = TOKENS};
    const uint32_t count = 40 + 100 * r->number;
    for (uint32_t i = 0; i < count; i++) ids[i] = (i * 7 + r->number * 11 + sequence) % (VOCAB - 1);
    CHECK(vkgpt_batch_start(r->session, sequence, ids, count, &options, &err));
}

static void run(struct Runner *r, int model)
{
    static const vkgpt_session_options options = {.sequences = SEQUENCES, .context = 200, .tokens_per_submission = 1};
    vkgpt_error err;
    uint32_t running = 1;
    pthread_mutex_lock(r->turn);
    CHECK(vkgpt_session_open(r->world->models[model], &options, &r->session, &err));
    for (uint32_t i = 0; i < SEQUENCES; i++) start(r, i);
    pthread_mutex_unlock(r->turn);
    while (running) {
        pthread_mutex_lock(r->turn);
        CHECK(vkgpt_batch_step(r->session, keep_event, r, &running, &err));
        pthread_mutex_unlock(r->turn);
        wait_ms(1); // lets the other one in
    }
    pthread_mutex_lock(r->turn);
    vkgpt_session_close(r->session);
    pthread_mutex_unlock(r->turn);
}

static void *run_cut(void *user)
{
    run(user, 1);
    return NULL;
}

static void test_two_sessions(void **state)
{
    struct World *w = *state;
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct Runner want[RUNNERS], got[RUNNERS];
    pthread_t threads[RUNNERS];
    for (uint32_t i = 0; i < RUNNERS; i++) {
        want[i] = got[i] = (struct Runner){.world = w, .turn = &turn, .number = i};
        run(&want[i], 0);
    }
    for (int i = 0; i < RUNNERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_cut, &got[i]), 0);
    for (int i = 0; i < RUNNERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < RUNNERS; i++) {
        for (int q = 0; q < SEQUENCES; q++) assert_int_equal(got[i].count[q], TOKENS);
        assert_memory_equal(got[i].ids, want[i].ids, sizeof got[i].ids);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_two_sessions),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
