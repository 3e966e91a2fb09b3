// Calls from several threads: a session stopped from another thread, two devices on two threads, tokenizers shared by
// many.
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session_world.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define THREADS 8

// ------------------------------------------------------------------------------------------------ stopping

static void wait_ms(long ms) { nanosleep(&(struct timespec){0, ms * 1000000}, NULL); }

// A thread that cancels a session as soon as its callback has seen a token.
struct Canceller {
    vkgpt_session *session;
    atomic_bool seen;
    atomic_size_t tokens;
};

static void *cancel_soon(void *user)
{
    struct Canceller *c = user;
    while (!atomic_load(&c->seen)) wait_ms(1);
    vkgpt_session_cancel(c->session);
    return NULL;
}

// So slow that the call cannot end before it is cancelled.
static bool see_token(void *user, uint32_t id)
{
    struct Canceller *c = user;
    (void)id;
    atomic_store(&c->seen, true);
    atomic_fetch_add(&c->tokens, 1);
    wait_ms(20);
    return true;
}

static void test_cancel_generation(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Canceller c = {.session = open_session(w->model, 0, 1)};
    pthread_t thread;
    prompt(c.session, 10);
    vkgpt_session *alone = open_session(w->model, 0, 1);
    prompt(alone, 10);
    struct Tokens want = run(alone, 3, 100);
    vkgpt_sampling sampling = lively(3);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &c), 0);
    assert_int_equal(vkgpt_generate(c.session, &sampling, 100, see_token, &c, NULL, &err), VKGPT_INTERRUPTED);
    pthread_join(thread, NULL);
    assert_true(c.tokens >= 1 && c.tokens < 100);
    assert_int_equal(vkgpt_session_position(c.session), 10 + c.tokens);
    struct Tokens rest = run(c.session, 3, 100 - c.tokens); // it goes on from there
    same(&rest, &want, c.tokens, "after a cancelled call");
    vkgpt_session_close(alone);
    vkgpt_session_close(c.session);
}

// A cancel that comes too early ends the next call, of any kind, and no other.
static void test_cancel_before(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[20];
    size_t row = 19;
    float hidden[64];
    vkgpt_scored scored;
    struct Tokens tokens = {.count = 0};
    const vkgpt_continuation c = {ids, 20, 10};
    const vkgpt_sampling sampling = lively(1);
    prompt_of(ids, 20);
    vkgpt_session *session = open_session(w->model, 0, 4);
    for (int call = 0; call < 4; call++) {
        rewind_to(session, 0);
        if (call == 1) CHECK(vkgpt_prompt(session, ids, 20, &err));
        vkgpt_session_cancel(session);
        int status = call == 0   ? vkgpt_prompt(session, ids, 20, &err)
                     : call == 1 ? vkgpt_generate(session, &sampling, 5, keep, &tokens, NULL, &err)
                     : call == 2 ? vkgpt_score(session, &c, 1, &scored, &err)
                                 : vkgpt_hidden(session, ids, 20, &row, 1, hidden, &err);
        assert_int_equal(status, VKGPT_INTERRUPTED);
    }
    assert_int_equal(tokens.count, 0);
    rewind_to(session, 0);
    CHECK(vkgpt_prompt(session, ids, 20, &err));
    run(session, 1, 5);
    vkgpt_session_close(session);
}

// ------------------------------------------------------------------------------------------- two of everything

struct Worker {
    const char *dir;
    struct Tokens tokens;
    int status;
    vkgpt_error err;
};

static bool keep_quietly(void *user, uint32_t id)
{
    struct Worker *worker = user;
    worker->tokens.ids[worker->tokens.count++] = id;
    return true;
}

static void *run_device(void *user)
{
    struct Worker *worker = user;
    vkgpt_device *device = NULL;
    vkgpt_model *model = NULL;
    vkgpt_session *session = NULL;
    vkgpt_error *err = &worker->err;
    const vkgpt_model_options options = {.weights = VKGPT_F32};
    const vkgpt_sampling sampling = lively(9);
    uint32_t ids[40];
    prompt_of(ids, 40);
    worker->status = vkgpt_device_open(NULL, &device, err);
    if (!worker->status) worker->status = vkgpt_model_open(device, worker->dir, &options, &model, err);
    if (!worker->status) worker->status = vkgpt_session_open(model, NULL, &session, err);
    if (!worker->status) worker->status = vkgpt_prompt(session, ids, 40, err);
    if (!worker->status) worker->status = vkgpt_generate(session, &sampling, 60, keep_quietly, worker, NULL, err);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
    vkgpt_device_close(device);
    return NULL;
}

static void test_two_devices(void **state)
{
    const struct World *w = *state;
    struct Worker workers[2] = {{.dir = w->dir}, {.dir = w->dir}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, run_device, &workers[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    vkgpt_session *session = open_session(w->model, 0, 0);
    prompt(session, 40);
    struct Tokens want = run(session, 9, 60);
    for (int i = 0; i < 2; i++) {
        check(workers[i].status, &workers[i].err);
        assert_int_equal(workers[i].tokens.count, 60);
        same(&workers[i].tokens, &want, 0, "on a thread of its own");
    }
    vkgpt_session_close(session);
}

struct Reader {
    const vkgpt_tokenizer *tok;
    uint32_t *ids; // of the last round
    size_t count;
    bool good;
};

static const char TEXT[] = "Once upon a time, in 1910, they'd said: \"caf\xC3\xA9!\"  <|endoftext|> \xFF the end.\n\n";

static void *run_tokenizer(void *user)
{
    struct Reader *r = user;
    r->good = true;
    for (int round = 0; r->good && round < 50; round++) {
        char *text = NULL;
        size_t bytes = 0;
        free(r->ids);
        r->good = !vkgpt_encode(r->tok, TEXT, sizeof TEXT - 1, true, &r->ids, &r->count, NULL) &&
                  !vkgpt_decode(r->tok, r->ids, r->count, &text, &bytes, NULL) && bytes == sizeof TEXT - 1 &&
                  !memcmp(text, TEXT, bytes);
        free(text);
    }
    return NULL;
}

static void test_one_tokenizer(void **state)
{
    (void)state;
    vkgpt_error err;
    vkgpt_tokenizer *tok;
    struct Reader readers[THREADS];
    pthread_t threads[THREADS];
    CHECK(vkgpt_tokenizer_open(TALES, 0, &tok, &err));
    for (int i = 0; i < THREADS; i++) {
        readers[i] = (struct Reader){.tok = tok};
        assert_int_equal(pthread_create(&threads[i], NULL, run_tokenizer, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_true(readers[i].good);
        assert_int_equal(readers[i].count, readers[0].count);
        assert_memory_equal(readers[i].ids, readers[0].ids, readers[0].count * sizeof *readers[0].ids);
    }
    for (int i = 0; i < THREADS; i++) free(readers[i].ids);
    vkgpt_tokenizer_close(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel_generation),
        cmocka_unit_test(test_cancel_before),
        cmocka_unit_test(test_two_devices),
        cmocka_unit_test(test_one_tokenizer),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
