// A model that is cut by layers over several devices, here the same driver opened several times: it gives the same
// logits, bit for bit, and the same tokens as on one device, whatever runs on it.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/memory_plan.h" // before cmocka, whose macro fail() hides a function
#include "engine/session_open.h"
#include "gpu/device.h"
#include "fixture.h"
#include "short_run.h"
#include "synthetic_model.h"

#include "check.h"

#define TALES VKGPT_SOURCE_DIR "/models/tales"
#define DEVICES 3
#define LAYERS 4
#define SEQUENCES 3
#define CONTEXT 600 // more than the largest block of a software driver
#define VOCAB 307
#define MAX_TOKENS 96

static const struct SyntheticModel SMALL = {.layers = LAYERS,
                                            .heads = 3,
                                            .dim = 96,
                                            .context = CONTEXT,
                                            .vocab = VOCAB,
                                            .inner = 256,
                                            .seed = 21,
                                            .dtype = DTYPE_F32};

struct World {
    vkgpt_device *devices[DEVICES];
    char dir[256];
};

static int open_world(void **state)
{
    vkgpt_error err;
    struct World *w = calloc(1, sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < DEVICES; i++) CHECK(vkgpt_device_open(NULL, &w->devices[i], &err));
    CHECK(synthetic_model_temporary(&SMALL, w->dir, sizeof w->dir, &err));
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct World *w = *state;
    for (int i = 0; i < DEVICES; i++) {
        assert_int_equal(w->devices[i]->validation_messages, 0);
        vkgpt_device_close(w->devices[i]);
    }
    synthetic_model_remove(w->dir);
    free(w);
    return 0;
}

// The same model twice: on one device, and cut.
struct Both {
    vkgpt_model *models[2];
    vkgpt_session *sessions[2];
};

// split ends with a 0; NULL: as the library cuts it over two devices.
static void open_both(const struct World *w, const char *dir, const uint32_t *split, vkgpt_format weights,
                      const vkgpt_session_options *options, struct Both *b)
{
    vkgpt_error err;
    size_t count = split ? 0 : 2;
    while (split && split[count]) count++;
    const vkgpt_model_options model = {.weights = weights};
    CHECK(vkgpt_model_open(w->devices[0], dir, &model, &b->models[0], &err));
    CHECK(vkgpt_model_open_split(w->devices, count, split, dir, &model, &b->models[1], &err));
    for (int i = 0; i < 2; i++) CHECK(vkgpt_session_open(b->models[i], options, &b->sessions[i], &err));
}

static void close_both(struct Both *b)
{
    for (int i = 1; i >= 0; i--) vkgpt_session_close(b->sessions[i]); // the first one uses a device of the second
    for (int i = 0; i < 2; i++) vkgpt_model_close(b->models[i]);
}

// ---------------------------------------------------------------------------------------------- logits, tokens

struct Rows {
    float *logits;
    size_t vocab;
};

static bool keep_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    memcpy(r->logits + first * r->vocab, logits, rows * r->vocab * sizeof *logits);
    return true;
}

static void same_logits(const struct Both *b, const uint32_t *ids, size_t count, const char *what)
{
    vkgpt_error err;
    size_t vocab = vkgpt_model_describe(b->models[0])->vocab;
    struct Rows rows[2];
    for (int i = 0; i < 2; i++) {
        rows[i] = (struct Rows){calloc(count * vocab, sizeof(float)), vocab};
        assert_non_null(rows[i].logits);
        CHECK(vkgpt_session_rewind(b->sessions[i], 0, &err));
        CHECK(vkgpt_logits(b->sessions[i], ids, count, keep_rows, &rows[i], &err));
    }
    for (size_t i = 0; i < count * vocab; i++)
        if (memcmp(&rows[0].logits[i], &rows[1].logits[i], sizeof(float)))
            fail_msg("%s: the logit of id %zu after token %zu is %.9g, on one device it is %.9g", what, i % vocab,
                     i / vocab, (double)rows[1].logits[i], (double)rows[0].logits[i]);
    for (int i = 0; i < 2; i++) free(rows[i].logits);
}

struct Tokens {
    uint32_t ids[SEQUENCES][MAX_TOKENS];
    float logprobs[SEQUENCES][MAX_TOKENS];
    size_t count[SEQUENCES];
    size_t most; // the callback stops after this many; 0: never
};

static bool keep(void *user, uint32_t sequence, uint32_t id)
{
    struct Tokens *t = user;
    assert_true(sequence < SEQUENCES && t->count[sequence] < MAX_TOKENS);
    t->ids[sequence][t->count[sequence]++] = id;
    return t->count[sequence] != t->most;
}

static bool keep_first(void *user, uint32_t id) { return keep(user, 0, id); }

static const vkgpt_sampling GREEDY = {.top_p = 1, .repeat_penalty = 1, .ignore_eos = true};
static const vkgpt_sampling LIVELY = {1.5f, 0, 0.98f, 0.0f, 1.2f, 32, 5, true};

static void same_tokens(const struct Both *b, const uint32_t *ids, size_t count, vkgpt_sampling sampling, size_t most,
                        const char *what)
{
    vkgpt_error err;
    struct Tokens t[2] = {{.count = {0}}, {.count = {0}}};
    for (int i = 0; i < 2; i++) {
        CHECK(vkgpt_session_rewind(b->sessions[i], 0, &err));
        CHECK(vkgpt_prompt(b->sessions[i], ids, count, &err));
        CHECK(vkgpt_generate(b->sessions[i], &sampling, most, keep_first, &t[i], NULL, &err));
        assert_int_equal(t[i].count[0], most);
    }
    for (size_t i = 0; i < most; i++)
        if (t[0].ids[0][i] != t[1].ids[0][i])
            fail_msg("%s: token %zu is %u, on one device it is %u", what, i, t[1].ids[0][i], t[0].ids[0][i]);
}

static void prompt_of(uint32_t *ids, uint32_t count, uint32_t salt)
{
    for (uint32_t i = 0; i < count; i++) ids[i] = (i % 40 * 97 + 13 * salt + i / 40) % (VOCAB - 1);
}

// ------------------------------------------------------------------------------------------------ the models

static void fixture_agrees(const struct World *w, const char *name)
{
    vkgpt_error err;
    struct Fixture f;
    struct Config config;
    struct Both b;
    CHECK(fixture_open(name, &f, &err));
    CHECK(config_read(f.dir, &config, &err));
    if (config.layers > 1) { // else it cannot be cut
        open_both(w, f.dir, NULL, VKGPT_F32, &(vkgpt_session_options){.kv = VKGPT_F32}, &b);
        same_logits(&b, f.ids, f.id_count, name);
        size_t most = f.greedy_count < 8 ? f.greedy_count : 8;
        if (most) same_tokens(&b, f.prompt, f.prompt_count, GREEDY, most, name);
        close_both(&b);
    }
    fixture_close(&f);
}

// One of each class: GPT-2, GPT-1, GPT-Neo and OPT, also with projected embeddings; all in the long run.
static void test_model_classes(void **state)
{
    const char *class = "";
    for (size_t i = 0; fixture_name(i) && !(i && short_run()); i++) fixture_agrees(*state, fixture_name(i));
    for (size_t i = 0; fixture_family_name(i); i++) {
        const char *name = fixture_family_name(i);
        bool seen = !strncmp(name, class, strcspn(name, "/") + 1);
        if (short_run() && seen && !strstr(name, "350m") && !strstr(name, "projected")) continue;
        class = name;
        fixture_agrees(*state, name);
    }
}

static void test_default_model(void **state)
{
    struct Both b;
    uint32_t ids[60];
    prompt_of(ids, 60, 3);
    open_both(*state, TALES, NULL, VKGPT_AUTO, NULL, &b);
    same_logits(&b, ids, 60, "tales");
    same_tokens(&b, ids, 60, LIVELY, 40, "tales");
    close_both(&b);
}

static void test_splits_and_formats(void **state)
{
    const struct World *w = *state;
    const struct {
        uint32_t split[DEVICES + 1];
        vkgpt_format weights, kv;
        const char *name;
    } cases[] = {{{1, 3}, VKGPT_F32, VKGPT_F32, "1, 3 layers in f32"},
                 {{1, 2, 1}, VKGPT_F16, VKGPT_F16, "1, 2, 1 layers in f16"},
                 {{3, 1}, VKGPT_Q8_0, VKGPT_Q8_0, "3, 1 layers in q8_0"},
                 {{2, 1, 1}, VKGPT_Q4_0, VKGPT_F16, "2, 1, 1 layers in q4_0"},
                 {{2, 2}, VKGPT_Q4_K, VKGPT_Q8_0, "2, 2 layers in q4_k"}};
    uint32_t ids[CONTEXT];
    prompt_of(ids, CONTEXT, 1);
    size_t most = on_swiftshader() ? 1 : sizeof cases / sizeof *cases; // which compiles for seconds
    for (size_t i = 0; i < most; i += short_run() ? 2 : 1) {
        struct Both b;
        open_both(w, w->dir, cases[i].split, cases[i].weights, &(vkgpt_session_options){.kv = cases[i].kv}, &b);
        same_logits(&b, ids, 100, cases[i].name);
        same_tokens(&b, ids, CONTEXT - 20, LIVELY, 20, cases[i].name); // over several blocks
        const vkgpt_model_info *one = vkgpt_model_describe(b.models[0]), *cut = vkgpt_model_describe(b.models[1]);
        assert_int_equal(one->layers, cut->layers);
        assert_true(cut->step_bytes >= one->step_bytes && cut->step_bytes < one->step_bytes + 8192);
        close_both(&b);
    }
}

// ------------------------------------------------------------------------------------------------- sequences

// Several sequences at once, with drafts; then one is copied, one rewound, and all go on.
static void test_batch(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    const vkgpt_sampling sampling[SEQUENCES] = {LIVELY, GREEDY, LIVELY};
    for (uint32_t lookup = 0; lookup <= 3; lookup += 3) {
        struct Both b;
        struct Tokens t[2] = {{.count = {0}}, {.count = {0}}};
        open_both(w, w->dir, (uint32_t[]){1, 2, 1, 0}, VKGPT_F32,
                  &(vkgpt_session_options){.sequences = SEQUENCES, .lookup = lookup, .context = 200}, &b);
        for (int i = 0; i < 2; i++) {
            vkgpt_session *s = b.sessions[i];
            for (uint32_t q = 0; q < SEQUENCES; q++) {
                uint32_t ids[100];
                prompt_of(ids, 100, q % 2);
                CHECK(vkgpt_batch_prompt(s, q, ids, 10 + 30 * q, &err));
            }
            CHECK(vkgpt_batch_generate(s, sampling, 12, keep, &t[i], NULL, &err));
            CHECK(vkgpt_batch_copy(s, 2, (uint32_t[]){0}, 1, &err));
            CHECK(vkgpt_batch_rewind(s, 1, 20, &err));
            CHECK(vkgpt_batch_generate(s, sampling, 12, keep, &t[i], NULL, &err));
            assert_int_equal(t[i].count[0], 24);
        }
        assert_memory_equal(&t[0], &t[1], sizeof t[0]);
        close_both(&b);
    }
}

static bool keep_event(void *user, const vkgpt_batch_event *event)
{
    struct Tokens *t = user;
    uint32_t sequence = event->sequence;
    if (event->ended) return true;
    if (event->token) t->logprobs[sequence][t->count[sequence]] = event->token->logprob;
    return keep(t, sequence, event->id);
}

static void start(vkgpt_session *s, uint32_t sequence, uint32_t count, uint32_t salt, vkgpt_batch_options options)
{
    vkgpt_error err;
    uint32_t ids[MAX_TOKENS];
    prompt_of(ids, count, salt);
    options.sampling = LIVELY;
    CHECK(vkgpt_batch_start(s, sequence, ids, count, &options, &err));
}

// Sequences that join and leave while others run, with log probabilities, biases and penalties; a beginning that is
// copied from a sequence that runs, to one that was stopped in the middle.
static void arrive(vkgpt_session *s, struct Tokens *t)
{
    vkgpt_error err;
    uint32_t running = 0;
    const vkgpt_bias bias = {7, 2.0f};
    start(s, 0, 40, 0, (vkgpt_batch_options){.max_tokens = 40, .logprobs = true, .top = 2, .given = true});
    for (int i = 0; i < 12; i++) CHECK(vkgpt_batch_step(s, keep_event, t, &running, &err));
    start(s, 1, 30, 5, (vkgpt_batch_options){.max_tokens = 30, .presence_penalty = 0.5f, .frequency_penalty = 0.2f});
    start(s, 2, 3, 4, (vkgpt_batch_options){.max_tokens = 50, .bias = &bias, .bias_count = 1, .logprobs = true});
    for (int i = 0; i < 9; i++) CHECK(vkgpt_batch_step(s, keep_event, t, &running, &err));
    CHECK(vkgpt_batch_stop(s, 2, &err));
    t->count[2] = 0; // how many it had made depends on the number of submissions
    for (int i = 0; i < MAX_TOKENS; i++) t->ids[2][i] = 0, t->logprobs[2][i] = 0;
    start(s, 2, 45, 0, (vkgpt_batch_options){.max_tokens = 20});
    do CHECK(vkgpt_batch_step(s, keep_event, t, &running, &err));
    while (running);
}

static void test_arrivals(void **state)
{
    const struct World *w = *state;
    struct Both b;
    struct Tokens t[2] = {{.count = {0}}, {.count = {0}}};
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32,
              &(vkgpt_session_options){.sequences = SEQUENCES, .context = 200, .tokens_per_submission = 1}, &b);
    for (int i = 0; i < 2; i++) arrive(b.sessions[i], &t[i]);
    for (int q = 0; q < SEQUENCES; q++) {
        assert_int_equal(t[0].count[q], t[1].count[q]);
        assert_memory_equal(t[0].ids[q], t[1].ids[q], sizeof t[0].ids[q]);
        assert_memory_equal(t[0].logprobs[q] + 1, t[1].logprobs[q] + 1, sizeof t[0].logprobs[q] - sizeof(float));
    }
    close_both(&b);
}

// ------------------------------------------------------------------------------------- scores, states, files

static void test_scores_and_hidden_states(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    uint32_t ids[3][60];
    vkgpt_continuation c[3];
    vkgpt_ids texts[3];
    vkgpt_scored scored[2][3];
    float hidden[2][96], embedded[2][3 * 96];
    for (uint32_t i = 0; i < 3; i++) {
        prompt_of(ids[i], 60, i / 2);
        c[i] = (vkgpt_continuation){ids[i], 60 - i, 50};
        texts[i] = (vkgpt_ids){ids[i], 60 - i};
    }
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32, &(vkgpt_session_options){.sequences = 2}, &b);
    for (int i = 0; i < 2; i++) {
        CHECK(vkgpt_score(b.sessions[i], c, 3, scored[i], &err));
        CHECK(vkgpt_embed(b.sessions[i], texts, 3, VKGPT_POOL_MEAN, embedded[i], &err));
        CHECK(vkgpt_hidden(b.sessions[i], ids[0], 60, &(size_t){59}, 1, hidden[i], &err));
    }
    for (int i = 0; i < 3; i++) {
        assert_memory_equal(&scored[0][i].logprob, &scored[1][i].logprob, sizeof(double));
        assert_int_equal(scored[0][i].greedy, scored[1][i].greedy);
    }
    assert_memory_equal(hidden[0], hidden[1], sizeof hidden[0]);
    assert_memory_equal(embedded[0], embedded[1], sizeof embedded[0]);
    close_both(&b);
}

// A session that was saved on one device goes on over several, and the other way around.
static void test_saved(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    struct Tokens t[2] = {{.count = {0}}, {.count = {0}}};
    uint32_t ids[60];
    char path[300];
    snprintf(path, sizeof path, "%s/saved", w->dir);
    prompt_of(ids, 60, 2);
    open_both(w, w->dir, (uint32_t[]){1, 2, 1, 0}, VKGPT_F32, &(vkgpt_session_options){.kv = VKGPT_Q8_0}, &b);
    for (int i = 0; i < 2; i++) {
        CHECK(vkgpt_prompt(b.sessions[i], ids, 60, &err));
        CHECK(vkgpt_session_save(b.sessions[i], path, NULL, 0, &err));
        CHECK(vkgpt_session_load(b.sessions[1 - i], path, NULL, NULL, &err));
        CHECK(vkgpt_generate(b.sessions[1 - i], &LIVELY, 20, keep_first, &t[i], NULL, &err));
        CHECK(vkgpt_session_rewind(b.sessions[1 - i], 0, &err));
        unlink(path);
    }
    assert_memory_equal(&t[0], &t[1], sizeof t[0]);
    close_both(&b);
}

// ------------------------------------------------------------------------------------------------- the pipeline

// What a session asks of the stages before it, in order: 'a' + number of the flight is sent, 'A' + number is received.
static struct {
    struct Upstream upstream, *real;
    char events[256];
    size_t count, sent, received;
} watched;

static int watch_send(struct Upstream *u, const struct StageFlight *flight, const void *inbox, const uint32_t *given,
                      vkgpt_error *err)
{
    (void)u;
    watched.events[watched.count++] = (char)('a' + watched.sent++);
    return watched.real->send(watched.real, flight, inbox, given, err);
}

static int watch_receive(struct Upstream *u, uint32_t turn, void *x, size_t bytes, vkgpt_error *err)
{
    (void)u;
    watched.events[watched.count++] = (char)('A' + watched.received++);
    return watched.real->receive(watched.real, turn, x, bytes, err);
}

static void watch(vkgpt_session *s)
{
    memset(&watched, 0, sizeof watched);
    watched.real = s->upstream;
    watched.upstream = *s->upstream;
    watched.upstream.send = watch_send, watched.upstream.receive = watch_receive;
    s->upstream = &watched.upstream;
}

// While the last stage waits for a block and runs it, the stages before it have the next ones.
static void test_blocks_are_pipelined(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    uint32_t ids[CONTEXT];
    prompt_of(ids, CONTEXT, 1);
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32, NULL, &b);
    vkgpt_session *s = b.sessions[1];
    s->block_rows = GROUP_ROWS * 4;
    watch(s);
    CHECK(vkgpt_prompt(s, ids, 6 * 64 + 1, &err)); // after the first block, whose time is measured
    s->upstream = watched.real;
    assert_string_equal(watched.events, "aAbcdBeCfDEF");
    close_both(&b);
}

// While one micro-batch is on the last stage, the stages before it have the other one. With one micro-batch no two
// stages work at the same time.
static void test_steps_are_pipelined(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    const vkgpt_sampling sampling[2] = {GREEDY, GREEDY};
    for (uint32_t parts = 1; parts <= 2; parts++) {
        struct Both b;
        uint32_t ids[20];
        prompt_of(ids, 20, 1);
        open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32,
                  &(vkgpt_session_options){.sequences = 2, .micro_batches = parts, .context = 64}, &b);
        for (uint32_t q = 0; q < 2; q++) CHECK(vkgpt_batch_prompt(b.sessions[1], q, ids, 20, &err));
        CHECK(vkgpt_batch_prefill(b.sessions[1], &err));
        watch(b.sessions[1]);
        CHECK(vkgpt_batch_generate(b.sessions[1], sampling, 3, NULL, NULL, NULL, &err));
        b.sessions[1]->upstream = watched.real;
        assert_string_equal(watched.events, parts == 1 ? "aAbBcC" : "abAcBdCeDfEF");
        close_both(&b);
    }
}

// New sequences go to the micro-batch with the fewest that run.
static void test_chosen_places(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    uint32_t place, ids[20], want[] = {0, 2, 1, 3};
    prompt_of(ids, 20, 1);
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32, &(vkgpt_session_options){.sequences = 4, .context = 64}, &b);
    for (uint32_t i = 0; i < 4; i++) {
        ids[0] = i;
        assert_true(vkgpt_batch_choose(b.sessions[1], ids, 20, &place));
        assert_int_equal(place, want[i]);
        CHECK(vkgpt_batch_start(b.sessions[1], place, ids, 20,
                                &(vkgpt_batch_options){.sampling = GREEDY, .max_tokens = 4}, &err));
    }
    assert_false(vkgpt_batch_choose(b.sessions[1], ids, 20, &place));
    close_both(&b);
}

// ------------------------------------------------------------------------------------------------ ends in the middle

static bool goes_on(void *user) { return --*(int *)user > 0; }

// A prompt that ends after two blocks, and a text that ends in the callback, go on as on one device.
static void test_interrupted(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    struct Tokens t[2] = {{.most = 5}, {.most = 5}};
    uint32_t ids[CONTEXT];
    int blocks;
    prompt_of(ids, CONTEXT, 6);
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32,
              &(vkgpt_session_options){.on_block = goes_on, .user = &blocks}, &b);
    for (int i = 0; i < 2; i++) {
        vkgpt_session *s = b.sessions[i];
        blocks = 2;
        s->block_rows = GROUP_ROWS * 4;
        assert_int_equal(vkgpt_prompt(s, ids, 500, &err), VKGPT_INTERRUPTED);
        blocks = 100;
        CHECK(vkgpt_generate(s, &LIVELY, 20, keep_first, &t[i], NULL, &err));
        t[i].most = 0;
        CHECK(vkgpt_generate(s, &LIVELY, 20, keep_first, &t[i], NULL, &err));
    }
    assert_int_equal(t[0].count[0], 25);
    assert_memory_equal(&t[0], &t[1], sizeof t[0]);
    close_both(&b);
}

static void test_closed_while_it_runs(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    struct Tokens t = {.count = {0}};
    open_both(w, w->dir, (uint32_t[]){1, 2, 1, 0}, VKGPT_F32, &(vkgpt_session_options){.sequences = 2}, &b);
    for (int i = 0; i < 2; i++) {
        start(b.sessions[i], 0, 90, 0, (vkgpt_batch_options){.max_tokens = 40});
        start(b.sessions[i], 1, 10, 1, (vkgpt_batch_options){.max_tokens = 40});
        for (int n = 0; n < 5; n++) CHECK(vkgpt_batch_step(b.sessions[i], keep_event, &t, NULL, &err));
    }
    close_both(&b);
}

// A stage that fails gives its own sentence to the caller, at once; what was in flight does not count.
static void test_a_stage_fails(void **state)
{
    const struct World *w = *state;
    vkgpt_error err, lost = {VKGPT_OUT_OF_MEMORY, "the stage has no memory"};
    struct Both b;
    uint32_t ids[CONTEXT];
    prompt_of(ids, CONTEXT, 1);
    open_both(w, w->dir, (uint32_t[]){1, 2, 1, 0}, VKGPT_F32, NULL, &b);
    for (int stage = 0; stage < 2; stage++) {
        CHECK(vkgpt_session_rewind(b.sessions[1], 0, &err));
        w->devices[stage]->failure = lost;
        assert_int_equal(vkgpt_prompt(b.sessions[1], ids, 300, &err), VKGPT_OUT_OF_MEMORY);
        assert_string_equal(err.text, lost.text);
        assert_int_equal(vkgpt_generate(b.sessions[1], &GREEDY, 4, NULL, NULL, NULL, &err), VKGPT_OUT_OF_MEMORY);
        w->devices[stage]->failure = (vkgpt_error){0};
        same_tokens(&b, ids, 300, LIVELY, 10, "after a failure");
    }
    close_both(&b);
}

// --------------------------------------------------------------------------------------------------------- memory

static void near(const char *what, uint64_t planned, uint64_t held)
{
    double off = (double)planned / (double)held - 1;
    if (!(off >= -0.03 && off <= 0.03))
        fail_msg("%s: %llu bytes planned, %llu held", what, (unsigned long long)planned, (unsigned long long)held);
}

// Each stage has the memory that the plan says for its layers, and nothing of the others.
static void test_memory_of_stages(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_model *last;
    CHECK(vkgpt_model_open_split(w->devices, 3, (uint32_t[]){1, 3, 2}, TALES, NULL, &last, &err));
    for (vkgpt_model *m = last; m; m = m->before) {
        struct MemoryPlan plan;
        vkgpt_session *s;
        const struct MemoryAsk ask = {.config = &m->config,
                                      .context = 200,
                                      .batch = 2,
                                      .first = m->first,
                                      .end = m->end,
                                      .stages = 3,
                                      .limits = vkgpt_device_describe(m->device)};
        const struct StageOptions options = {
            .context = 200, .sequences = 2, .step_rows = 1, .in_flight = chain_in_flight(3)};
        CHECK(memory_plan(&ask, &plan, &err));
        CHECK(session_open_stage(m, &options, &s, &err));
        near("weights", plan.weight_blocks, pool_bytes(&m->pool));
        near("session", plan.session_blocks, pool_bytes(&s->device_pool));
        near("upload", plan.upload, pool_bytes(&s->upload_pool));
        near("read back", plan.read, pool_bytes(&s->read_pool));
        for (uint32_t l = 0; l < m->config.layers; l++) {
            bool own = l >= m->first && l < m->end;
            assert_int_equal(m->layers[l].c_fc.chunk_count != 0, own);
            assert_int_equal(s->b.k[l].bytes != 0, own);
        }
        vkgpt_session_close(s);
    }
    vkgpt_model_close(last);
}

// Plays a device with a heap of that many bytes.
static void set_memory(const struct World *w, bool software, uint64_t bytes)
{
    for (int i = 0; i < 2; i++) {
        w->devices[i]->software = software;
        w->devices[i]->info.memory_budget = false;
        w->devices[i]->info.memory_bytes = bytes;
    }
}

// 100 MB of weights on devices of 95 MiB.
static void test_larger_than_a_device(void **state)
{
    static const struct SyntheticModel large = {
        .layers = 8, .heads = 8, .dim = 512, .context = 64, .vocab = VOCAB, .seed = 3, .dtype = DTYPE_F16};
    const struct World *w = *state;
    vkgpt_error err;
    const vkgpt_session_options session = {.context = 64};
    const vkgpt_model_options model = {.weights = VKGPT_F32, .session = &session};
    char dir[256];
    if (on_swiftshader()) skip();
    const vkgpt_device_info info = w->devices[0]->info;
    CHECK(synthetic_model_temporary(&large, dir, sizeof dir, &err));
    struct Both b = {{NULL}, {NULL}};
    set_memory(w, false, UINT64_C(95) << 20);
    assert_int_equal(vkgpt_model_open(w->devices[0], dir, &model, &b.models[0], &err), VKGPT_OUT_OF_MEMORY);
    CHECK(vkgpt_model_open_split(w->devices, 2, NULL, dir, &model, &b.models[1], &err));
    CHECK(vkgpt_session_open(b.models[1], &session, &b.sessions[1], &err));
    set_memory(w, false, UINT64_C(40) << 20);
    vkgpt_model *none;
    assert_int_equal(vkgpt_model_open_split(w->devices, 2, NULL, dir, &model, &none, &err), VKGPT_OUT_OF_MEMORY);
    assert_non_null(strstr(err.text, "the weights need"));
    set_memory(w, true, info.memory_bytes);
    CHECK(vkgpt_model_open(w->devices[0], dir, &model, &b.models[0], &err));
    CHECK(vkgpt_session_open(b.models[0], &session, &b.sessions[0], &err));
    uint32_t ids[60];
    prompt_of(ids, 60, 2);
    same_logits(&b, ids, 60, "a large model");
    same_tokens(&b, ids, 30, LIVELY, 10, "a large model");
    close_both(&b);
    for (int i = 0; i < 2; i++) w->devices[i]->info = info;
    synthetic_model_remove(dir);
}

// ------------------------------------------------------------------------------------------------------- refusals

static void refuse(const struct World *w, vkgpt_device *const *devices, size_t count, const uint32_t *split,
                   const char *sentence)
{
    vkgpt_error err;
    vkgpt_model *model;
    assert_int_equal(vkgpt_model_open_split(devices, count, split, w->dir, NULL, &model, &err), VKGPT_BAD_ARGUMENT);
    assert_null(model);
    if (!strstr(err.text, sentence)) fail_msg("\"%s\" does not say \"%s\"", err.text, sentence);
}

static void test_wrong_splits(void **state)
{
    const struct World *w = *state;
    vkgpt_device *five[5] = {w->devices[0], w->devices[1], w->devices[2], NULL, NULL},
                 *twice[] = {w->devices[0], w->devices[1], w->devices[0]};
    refuse(w, five, 0, NULL, "no device is given");
    refuse(w, five, 5, NULL, "5 devices for 4 layers: each needs one at least");
    refuse(w, twice, 3, NULL, "is given twice");
    refuse(w, w->devices, 2, (uint32_t[]){2, 3}, "the split has 5 layers, the model has 4");
    refuse(w, w->devices, 2, (uint32_t[]){4, 0}, "the split has no layer for device 2");
    vkgpt_error err;
    struct Both b;
    vkgpt_session *s;
    const vkgpt_session_options many = {.sequences = 2, .micro_batches = 3};
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32, NULL, &b);
    assert_int_equal(vkgpt_session_open(b.models[1], &many, &s, &err), VKGPT_BAD_ARGUMENT);
    assert_string_equal(err.text, "3 micro-batches of 2 sequences: at most one for each");
    close_both(&b);
}

static void test_what_needs_one_device(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    struct Both b;
    uint32_t ids[40];
    double seconds;
    prompt_of(ids, 40, 0);
    open_both(w, w->dir, (uint32_t[]){2, 2, 0}, VKGPT_F32, NULL, &b);
    assert_int_equal(vkgpt_tune(b.models[1], NULL, NULL, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "cut over several"));
    CHECK(vkgpt_prompt(b.sessions[1], ids, 40, &err));
    assert_int_equal(vkgpt_profile(b.sessions[1], 0, 1, NULL, NULL, &seconds, &err), VKGPT_BAD_ARGUMENT);
    assert_non_null(strstr(err.text, "cut over several"));
    close_both(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits_and_formats),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_arrivals),
        cmocka_unit_test(test_scores_and_hidden_states),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_blocks_are_pipelined),
        cmocka_unit_test(test_steps_are_pipelined),
        cmocka_unit_test(test_chosen_places),
        cmocka_unit_test(test_interrupted),
        cmocka_unit_test(test_closed_while_it_runs),
        cmocka_unit_test(test_a_stage_fails),
        cmocka_unit_test(test_memory_of_stages),
        cmocka_unit_test(test_larger_than_a_device),
        cmocka_unit_test(test_wrong_splits),
        cmocka_unit_test(test_what_needs_one_device),
        cmocka_unit_test(test_default_model),
        cmocka_unit_test(test_model_classes),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
