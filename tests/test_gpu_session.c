// What the public calls on a session promise: the same tokens however they are asked for, how a run ends, what is
// refused, and that a token costs the host nothing. On a small model with random weights, and on the default model.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/session.h"
#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "compare.h"

#define VOCAB 307
#define CONTEXT 150
#define MAX_TOKENS 512

struct World { // of all tests
    vkgpt_device *device;
    vkgpt_model *model;
    char dir[256];
};

static const struct SyntheticModel SMALL = {
    .layers = 2, .heads = 3, .dim = 45, .context = CONTEXT, .vocab = VOCAB, .inner = 77, .seed = 11, .dtype = DTYPE_F32};

static void check(int status, const vkgpt_error *err)
{
    if (status) fail_msg("%s", err->text);
}

#define CHECK(call) check(call, &err)

static void refused(int status, const vkgpt_error *err)
{
    if (status != VKGPT_BAD_ARGUMENT || err->code != VKGPT_BAD_ARGUMENT || !err->text[0])
        fail_msg("should be a bad argument, is %d", status);
}

#define REFUSED(call) refused(call, &err)

// ------------------------------------------------------------------------------------------------ tokens

struct Tokens {
    uint32_t ids[MAX_TOKENS];
    size_t count;
    size_t most; // the callback asks to stop after so many; 0: never
    vkgpt_stop stop;
};

static bool keep(void *user, uint32_t id)
{
    struct Tokens *tokens = user;
    assert_true(tokens->count < MAX_TOKENS);
    tokens->ids[tokens->count++] = id;
    return tokens->count != tokens->most;
}

// Lively, with everything that looks back switched on; no end tokens.
static vkgpt_sampling lively(uint64_t seed) { return (vkgpt_sampling){1.5f, 0, 0.98f, 0.0f, 1.2f, 32, seed, true}; }

static void prompt_of(uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) ids[i] = (i * 97 + 13) % (VOCAB - 1);
}

static vkgpt_session *open_session(vkgpt_model *model, uint32_t context, uint32_t per_submission)
{
    vkgpt_error err;
    vkgpt_session *session;
    vkgpt_session_options options = {.context = context, .tokens_per_submission = per_submission};
    CHECK(vkgpt_session_open(model, &options, &session, &err));
    return session;
}

static void prompt(vkgpt_session *session, uint32_t count)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1];
    prompt_of(ids, count);
    CHECK(vkgpt_prompt(session, ids, count, &err));
}

static void generate(vkgpt_session *session, vkgpt_sampling sampling, size_t count, struct Tokens *tokens)
{
    vkgpt_error err;
    CHECK(vkgpt_generate(session, &sampling, count, keep, tokens, &tokens->stop, &err));
}

static struct Tokens run(vkgpt_session *session, uint64_t seed, size_t count)
{
    struct Tokens tokens = {.count = 0};
    generate(session, lively(seed), count, &tokens);
    assert_int_equal(tokens.count, count);
    assert_int_equal(tokens.stop, VKGPT_STOP_LENGTH);
    return tokens;
}

static void same(const struct Tokens *got, const struct Tokens *want, size_t from, const char *what)
{
    for (size_t i = 0; i < got->count; i++)
        if (got->ids[i] != want->ids[from + i])
            fail_msg("%s: token %zu is %u, should be %u", what, from + i, got->ids[i], want->ids[from + i]);
}

static void rewind_to(vkgpt_session *session, uint32_t position)
{
    vkgpt_error err;
    CHECK(vkgpt_session_rewind(session, position, &err));
    assert_int_equal(vkgpt_session_position(session), position);
}

// ------------------------------------------------------------------------------------------ the same tokens

static void test_any_submission_size(void **state)
{
    const struct World *w = *state;
    const uint32_t sizes[] = {1, 3, 8, 32, 0};
    struct Tokens want = {.count = 0};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char what[64];
        snprintf(what, sizeof what, "%u tokens per submission", sizes[i]);
        vkgpt_session *session = open_session(w->model, 0, sizes[i]);
        prompt(session, 5);
        struct Tokens got = run(session, 3, 100);
        if (!i) want = got;
        same(&got, &want, 0, what);
        if (sizes[i]) assert_true(vkgpt_session_counters(session).tokens_per_submission <= sizes[i]);
        vkgpt_session_close(session);
    }
}

static void test_seeds_differ(void **state)
{
    const struct World *w = *state;
    vkgpt_session *session = open_session(w->model, 0, 8);
    const uint64_t seeds[] = {3, 4, 3 + (1ull << 32)};
    struct Tokens tokens[3];
    for (size_t i = 0; i < 3; i++) {
        rewind_to(session, 0);
        prompt(session, 5);
        tokens[i] = run(session, seeds[i], 20);
    }
    for (size_t i = 0; i < 3; i++)
        assert_memory_not_equal(tokens[i].ids, tokens[(i + 1) % 3].ids, 20 * sizeof tokens[i].ids[0]);
    vkgpt_session_close(session);
}

static void test_rewind(void **state)
{
    const struct World *w = *state;
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 40);
    struct Tokens want = run(session, 5, 60);
    const uint32_t positions[] = {40, 40, 63, 64, 65, 99};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        rewind_to(session, positions[i]);
        struct Tokens got = run(session, 5, 100 - positions[i]);
        same(&got, &want, positions[i] - 40, "after a rewind");
    }
    vkgpt_session_close(session);
}

// Other tokens after a rewind do not see those that stood there before.
static void test_rewind_forgets(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[40];
    prompt_of(ids, 40);
    vkgpt_session *fresh = open_session(w->model, 0, 8), *used = open_session(w->model, 0, 8);
    prompt(used, 60);
    run(used, 5, 40);
    rewind_to(used, 2);
    CHECK(vkgpt_prompt(used, ids + 10, 30, &err));
    CHECK(vkgpt_prompt(fresh, ids, 2, &err));
    CHECK(vkgpt_prompt(fresh, ids + 10, 30, &err));
    struct Tokens got = run(used, 5, 40), want = run(fresh, 5, 40);
    same(&got, &want, 0, "other tokens after a rewind");
    vkgpt_session_close(fresh);
    vkgpt_session_close(used);
}

static void test_parts_of_a_run(void **state)
{
    const struct World *w = *state;
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 5);
    struct Tokens want = run(session, 6, 40);
    rewind_to(session, 5);
    const size_t parts[] = {1, 2, 9, 0, 28};
    size_t done = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; done += parts[i++]) {
        struct Tokens got = run(session, 6, parts[i]);
        same(&got, &want, done, "in parts");
    }
    vkgpt_session_close(session);
}

static void test_prompt_in_pieces(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    prompt_of(ids, CONTEXT);
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 110);
    struct Tokens want = run(session, 7, 30);
    const uint32_t pieces[][4] = {{1, 33, 36, 40}, {109, 1, 0, 0}, {64, 1, 1, 44}};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        rewind_to(session, 0);
        for (size_t j = 0; j < 4; j++) {
            uint32_t at = vkgpt_session_position(session);
            CHECK(vkgpt_prompt(session, ids + at, pieces[i][j], &err));
        }
        struct Tokens got = run(session, 7, 30);
        same(&got, &want, 0, "a prompt in pieces");
    }
    vkgpt_session_close(session);
}

// Another session of the same model, of another length, gives the same bits: splits stand at fixed positions.
static void test_any_context(void **state)
{
    const struct World *w = *state;
    struct Tokens want = {.count = 0};
    for (uint32_t context = CONTEXT; context >= 100; context -= 25) {
        vkgpt_session *session = open_session(w->model, context, 4);
        prompt(session, 50);
        struct Tokens got = run(session, 8, 50);
        if (!want.count) want = got;
        same(&got, &want, 0, "a shorter context");
        vkgpt_session_close(session);
    }
}

// ---------------------------------------------------------------------------------------------- how runs end

// Blocks are groups of rows of one sequence: five times 20 tokens take 160 rows, not 100.
static void test_short_sequences(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_session *session;
    uint32_t ids[20];
    prompt_of(ids, 20);
    CHECK(vkgpt_session_open(w->model, &(vkgpt_session_options){.context = 20, .sequences = 5}, &session, &err));
    for (uint32_t i = 0; i < 5; i++) CHECK(vkgpt_batch_prompt(session, i, ids, 20, &err));
    assert_true(session->rows >= 5 * 2 * GROUP_ROWS);
    CHECK(vkgpt_batch_prefill(session, &err));
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(session->slots[i].cached, 19);
    vkgpt_session_close(session);
}

static void test_full_context(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[21];
    prompt_of(ids, 21);
    vkgpt_session *session = open_session(w->model, 20, 8);
    REFUSED(vkgpt_prompt(session, ids, 21, &err));
    assert_int_equal(vkgpt_session_position(session), 0);
    prompt(session, 20);
    struct Tokens one = {.count = 0}, none = {.count = 0};
    generate(session, lively(1), 5, &one);
    assert_int_equal(one.count, 1);
    assert_int_equal(one.stop, VKGPT_STOP_CONTEXT);
    assert_true(one.ids[0] < VOCAB);
    generate(session, lively(1), 5, &none);
    assert_int_equal(none.count, 0);
    assert_int_equal(none.stop, VKGPT_STOP_CONTEXT);
    REFUSED(vkgpt_prompt(session, ids, 1, &err));

    rewind_to(session, 18);
    struct Tokens rest = {.count = 0};
    generate(session, lively(1), SIZE_MAX, &rest);
    assert_int_equal(rest.count, 3);
    assert_int_equal(rest.stop, VKGPT_STOP_CONTEXT);
    rewind_to(session, 18);
    run(session, 1, 3); // as many as there is room for: that is what was asked for
    vkgpt_session_close(session);
}

static void test_no_tokens(void **state)
{
    const struct World *w = *state;
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 4);
    run(session, 1, 0);
    assert_int_equal(vkgpt_session_position(session), 4);
    vkgpt_session_close(session);
}

static void test_callback_stops(void **state)
{
    const struct World *w = *state;
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 5);
    struct Tokens want = run(session, 9, 40);
    rewind_to(session, 5);
    size_t done = 0;
    for (size_t most = 1; done + most <= 30; done += most++) {
        struct Tokens got = {.most = most};
        generate(session, lively(9), 40 - done, &got);
        assert_int_equal(got.count, most);
        assert_int_equal(got.stop, VKGPT_STOP_CALLBACK);
        assert_int_equal(vkgpt_session_position(session), 5 + done + most);
        same(&got, &want, done, "up to the callback");
    }
    struct Tokens got = run(session, 9, 40 - done);
    same(&got, &want, done, "after the callback");
    vkgpt_session_close(session);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// The first place, from 3 on, where a token comes that has not come before.
static size_t fresh_token(const struct Tokens *tokens)
{
    for (size_t i = 3; i < tokens->count; i++) {
        bool again = false;
        for (size_t j = 0; j < i; j++) again = again || tokens->ids[j] == tokens->ids[i];
        if (!again) return i;
    }
    fail_msg("all of %zu tokens came before", tokens->count);
    return 0;
}

// The model once more, with a generation_config.json that names some end tokens.
static vkgpt_model *open_with_end_tokens(const struct World *w, uint32_t end)
{
    vkgpt_error err;
    vkgpt_model *model;
    char text[64], path[320];
    snprintf(text, sizeof text, "{\"eos_token_id\": [%u, %u]}", VOCAB - 1, end);
    write_text(w->dir, "generation_config.json", text);
    CHECK(vkgpt_model_open(w->device, w->dir, &(vkgpt_model_options){.weights = VKGPT_F32}, &model, &err));
    snprintf(path, sizeof path, "%s/generation_config.json", w->dir);
    unlink(path);
    return model;
}

static void test_end_token(void **state)
{
    const struct World *w = *state;
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 5);
    struct Tokens want = run(session, 10, 40);
    vkgpt_session_close(session);
    size_t end = fresh_token(&want);

    vkgpt_model *model = open_with_end_tokens(w, want.ids[end]);
    const uint32_t sizes[] = {1, 8, 32};
    for (size_t i = 0; i < 3; i++) {
        vkgpt_sampling sampling = lively(10);
        sampling.ignore_eos = false;
        session = open_session(model, 0, sizes[i]);
        prompt(session, 5);
        struct Tokens got = {.count = 0};
        generate(session, sampling, 40, &got);
        assert_int_equal(got.count, end);
        assert_int_equal(got.stop, VKGPT_STOP_EOS);
        assert_int_equal(vkgpt_session_position(session), 5 + end);
        same(&got, &want, 0, "up to the end token");
        got = run(session, 10, 40 - end); // which is ignored here
        same(&got, &want, end, "past the end token");
        vkgpt_session_close(session);
    }
    vkgpt_model_close(model);
}

// ---------------------------------------------------------------------------------------------------- logits

struct Rows {
    float *logits; // (count, VOCAB)
    size_t count, most;
};

static bool keep_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Rows *r = user;
    assert_int_equal(first, r->count);
    assert_true(first + rows <= CONTEXT);
    memcpy(r->logits + first * VOCAB, logits, rows * VOCAB * sizeof *logits);
    r->count += rows;
    return r->most == 0;
}

static struct Rows logits_of(vkgpt_session *session, const uint32_t *ids, size_t count)
{
    vkgpt_error err;
    struct Rows rows = {malloc(CONTEXT * VOCAB * sizeof(float)), 0, 0};
    assert_non_null(rows.logits);
    CHECK(vkgpt_logits(session, ids, count, keep_rows, &rows, &err));
    assert_int_equal(rows.count, count);
    return rows;
}

static uint32_t argmax(const float *row)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < VOCAB; i++)
        if (row[i] > row[best]) best = i;
    return best;
}

static void test_logits_and_tokens(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    prompt_of(ids, CONTEXT);
    vkgpt_session *a = open_session(w->model, 0, 8), *b = open_session(w->model, 0, 8);
    struct Rows rows = logits_of(a, ids, 70);
    prompt(b, 70);
    struct Tokens after_logits = run(a, 12, 20), want = run(b, 12, 20);
    same(&after_logits, &want, 0, "after logits");

    rewind_to(a, 70);
    struct Tokens greedy = {.count = 0};
    vkgpt_sampling sampling = {.top_p = 1.0f, .repeat_penalty = 1.0f, .ignore_eos = true}; // temperature 0
    generate(a, sampling, 1, &greedy);
    assert_int_equal(greedy.ids[0], argmax(rows.logits + 69 * VOCAB));

    // tokens made one by one have left in the cache what a prompt would have
    memcpy(ids + 70, want.ids, 20 * sizeof *ids);
    struct Rows behind = logits_of(b, ids + 90, 5);
    rewind_to(a, 0);
    CHECK(vkgpt_prompt(a, ids, 90, &err));
    struct Rows fresh = logits_of(a, ids + 90, 5);
    double scale = scale_f32(fresh.logits, 5 * VOCAB);
    assert_within(difference_f32(behind.logits, fresh.logits, 5 * VOCAB), 2e-3 * scale, "logits behind generated tokens");
    free(rows.logits), free(behind.logits), free(fresh.logits);
    vkgpt_session_close(a);
    vkgpt_session_close(b);
}

static void test_logits_interrupted(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[10];
    prompt_of(ids, 10);
    vkgpt_session *session = open_session(w->model, 0, 8);
    struct Rows rows = {malloc(CONTEXT * VOCAB * sizeof(float)), 0, 1};
    assert_non_null(rows.logits);
    assert_int_equal(vkgpt_logits(session, ids, 10, keep_rows, &rows, &err), VKGPT_INTERRUPTED);
    struct Tokens got = run(session, 2, 10);
    rewind_to(session, 0);
    prompt(session, 10);
    struct Tokens want = run(session, 2, 10);
    same(&got, &want, 0, "after an interruption");
    free(rows.logits);
    vkgpt_session_close(session);
}

// Overwrites the first number of a tensor of a model of floats.
static void plant(const char *dir, const char *name, float value)
{
    char path[320], quoted[96];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    FILE *file = fopen(path, "r+b");
    uint64_t length;
    char header[16384] = "";
    unsigned long long at = 0;
    assert_non_null(file);
    assert_int_equal(fread(&length, 8, 1, file), 1);
    assert_true(length < sizeof header);
    assert_int_equal(fread(header, 1, length, file), length);
    const char *tensor = strstr(header, quoted);
    assert_non_null(tensor);
    tensor = strstr(tensor, "data_offsets\":[");
    assert_int_equal(sscanf(tensor, "data_offsets\":[%llu", &at), 1);
    assert_int_equal(fseek(file, (long)(8 + length + at), SEEK_SET), 0);
    assert_int_equal(fwrite(&value, 4, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void bad_logits(const struct World *w, const char *tensor, float value, vkgpt_format weights)
{
    vkgpt_error err;
    vkgpt_model *model;
    char dir[256];
    uint32_t ids[5];
    prompt_of(ids, 5);
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    plant(dir, tensor, value);
    CHECK(vkgpt_model_open(w->device, dir, &(vkgpt_model_options){.weights = weights}, &model, &err));
    synthetic_model_remove(dir);
    vkgpt_session *session = open_session(model, 0, 8);
    prompt(session, 5);
    struct Tokens tokens = {.count = 0};
    assert_int_equal(vkgpt_generate(session, NULL, 10, keep, &tokens, &tokens.stop, &err), VKGPT_BAD_LOGITS);
    assert_int_equal(tokens.count, 0);
    assert_int_equal(vkgpt_session_position(session), 5);
    rewind_to(session, 0);
    struct Rows rows = {malloc(CONTEXT * VOCAB * sizeof(float)), 0, 0};
    assert_non_null(rows.logits);
    assert_int_equal(vkgpt_logits(session, ids, 5, keep_rows, &rows, &err), VKGPT_BAD_LOGITS);
    free(rows.logits);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
}

static void test_bad_logits(void **state)
{
    bad_logits(*state, "transformer.ln_f.weight", NAN, VKGPT_F32);
    bad_logits(*state, "transformer.wte.weight", INFINITY, VKGPT_F32); // one logit of 307
    bad_logits(*state, "transformer.h.0.mlp.c_fc.weight", NAN, VKGPT_F32);
    bad_logits(*state, "transformer.h.0.mlp.c_fc.weight", NAN, VKGPT_F16);
    bad_logits(*state, "transformer.h.0.mlp.c_fc.bias", INFINITY, VKGPT_F16);
}

// ---------------------------------------------------------------------------------------------- what is refused

static void test_bad_prompts(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1];
    struct Tokens tokens = {.count = 0};
    struct Rows rows = {NULL, 0, 0};
    prompt_of(ids, CONTEXT + 1);
    vkgpt_session *session = open_session(w->model, 0, 8);
    REFUSED(vkgpt_generate(session, NULL, 5, keep, &tokens, &tokens.stop, &err)); // nothing to go on from
    REFUSED(vkgpt_prompt(session, ids, CONTEXT + 1, &err));
    REFUSED(vkgpt_prompt(session, ids, SIZE_MAX, &err));
    REFUSED(vkgpt_logits(session, ids, CONTEXT + 1, keep_rows, &rows, &err));
    REFUSED(vkgpt_session_rewind(session, 1, &err));
    ids[3] = VOCAB;
    REFUSED(vkgpt_prompt(session, ids, 5, &err));
    REFUSED(vkgpt_logits(session, ids, 5, keep_rows, &rows, &err));
    ids[3] = UINT32_MAX;
    REFUSED(vkgpt_prompt(session, ids, 5, &err));
    assert_int_equal(vkgpt_session_position(session), 0);
    prompt(session, 5);
    run(session, 1, 5); // none of it did any harm
    vkgpt_session_close(session);
}

static void test_bad_options(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_session *session;
    REFUSED(vkgpt_session_open(w->model, &(vkgpt_session_options){.context = CONTEXT + 1}, &session, &err));
    assert_null(session);
    REFUSED(vkgpt_session_open(w->model, &(vkgpt_session_options){.tokens_per_submission = 33}, &session, &err));
    assert_null(session);
    vkgpt_session_close(session);
}

static void test_bad_sampling(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    const float bad[][4] = { // temperature, top-p, min-p, repeat penalty
        {-1, 1, 0, 1},  {NAN, 1, 0, 1}, {INFINITY, 1, 0, 1}, {1e7f, 1, 0, 1}, {1, 1.5f, 0, 1}, {1, -0.1f, 0, 1},
        {1, NAN, 0, 1}, {1, 1, -1, 1},  {1, 1, 1.5f, 1},     {1, 1, NAN, 1},  {1, 1, 0, 0},    {1, 1, 0, -1},
        {1, 1, 0, NAN}, {1, 1, 0, 1e7f}};
    struct Tokens tokens = {.count = 0};
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vkgpt_sampling sampling = {bad[i][0], 40, bad[i][1], bad[i][2], bad[i][3], 64, 0, false};
        REFUSED(vkgpt_generate(session, &sampling, 5, keep, &tokens, &tokens.stop, &err));
    }
    vkgpt_sampling large = {1, UINT32_MAX, 1, 0, 1.1f, UINT32_MAX, UINT64_MAX, true}; // all of it is lawful
    generate(session, large, 20, &tokens);
    assert_int_equal(tokens.count, 20);
    vkgpt_session_close(session);
}

// ------------------------------------------------------------------------------------------- the default model

struct Watch {
    vkgpt_session *session;
    vkgpt_counters warm; // after 40 tokens
    size_t count;
};

static bool watch(void *user, uint32_t id)
{
    struct Watch *watch = user;
    (void)id;
    if (++watch->count == 40) watch->warm = vkgpt_session_counters(watch->session);
    return true;
}

static void costs_nothing(const vkgpt_counters *before, const vkgpt_counters *after)
{
    assert_int_equal(after->recordings, before->recordings);
    assert_int_equal(after->descriptor_writes, before->descriptor_writes);
    assert_int_equal(after->device_allocations, before->device_allocations);
    assert_int_equal(after->host_allocations, before->host_allocations);
}

// 64 tokens, the inputs of which stand in the second split of the cache, 8 in a submission.
static void watch_tokens(vkgpt_session *session, struct Watch *watched)
{
    vkgpt_error err;
    vkgpt_stop stop;
    vkgpt_sampling sampling = VKGPT_SAMPLING_DEFAULT;
    sampling.ignore_eos = true;
    *watched = (struct Watch){.session = session};
    CHECK(vkgpt_generate(session, &sampling, 64, watch, watched, &stop, &err));
    assert_int_equal(watched->count, 64);
    assert_int_equal(stop, VKGPT_STOP_LENGTH);
    assert_int_equal(vkgpt_session_counters(session).tokens_per_submission, 8);
}

static void test_a_token_costs_the_host_nothing(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_model *model;
    struct Watch watched;
    CHECK(vkgpt_model_open(w->device, VKGPT_SOURCE_DIR "/models/tales", NULL, &model, &err));
    vkgpt_session *session = open_session(model, 0, 8);
    prompt(session, 65);
    watch_tokens(session, &watched);
    vkgpt_counters first = vkgpt_session_counters(session);
    costs_nothing(&watched.warm, &first);

    rewind_to(session, 65);
    watch_tokens(session, &watched);
    vkgpt_counters second = vkgpt_session_counters(session);
    costs_nothing(&first, &second);
    assert_true(second.submissions - first.submissions <= 64 / 8 + 1);
    assert_int_equal(second.tokens_decoded - first.tokens_decoded, 64);
    assert_int_equal(second.tokens_prefilled, first.tokens_prefilled);
    vkgpt_session_close(session);
    vkgpt_model_close(model);
}

// ------------------------------------------------------------------------------------------------- the world

static int open_world(void **state)
{
    vkgpt_error err;
    struct World *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CHECK(vkgpt_device_open(NULL, &w->device, &err));
    CHECK(synthetic_model_temporary(&SMALL, w->dir, sizeof w->dir, &err));
    CHECK(vkgpt_model_open(w->device, w->dir, &(vkgpt_model_options){.weights = VKGPT_F32}, &w->model, &err));
    *state = w;
    return 0;
}

// Whatever is printed while the device closes is the validation layer's, on what was left behind.
static long printed_by_closing(vkgpt_device *device)
{
    FILE *file = tmpfile();
    int kept = dup(2);
    if (!file || kept < 0) return -1;
    fflush(stderr);
    dup2(fileno(file), 2);
    vkgpt_device_close(device);
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    for (int c; (c = getc(file)) != EOF;) putc(c, stderr);
    fclose(file);
    return bytes;
}

// The last test: the layer had nothing to say in all the others, and nothing is left when the device closes.
static void test_nothing_is_left_behind(void **state)
{
    struct World *w = *state;
    uint32_t messages = w->device->validation_messages;
    vkgpt_model_close(w->model);
    w->model = NULL;
    long bytes = printed_by_closing(w->device);
    w->device = NULL;
    assert_int_equal(messages, 0);
    assert_int_equal(bytes, 0);
}

static int close_world(void **state)
{
    struct World *w = *state;
    synthetic_model_remove(w->dir);
    free(w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_submission_size),
        cmocka_unit_test(test_seeds_differ),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_rewind_forgets),
        cmocka_unit_test(test_parts_of_a_run),
        cmocka_unit_test(test_prompt_in_pieces),
        cmocka_unit_test(test_any_context),
        cmocka_unit_test(test_short_sequences),
        cmocka_unit_test(test_full_context),
        cmocka_unit_test(test_no_tokens),
        cmocka_unit_test(test_callback_stops),
        cmocka_unit_test(test_end_token),
        cmocka_unit_test(test_logits_and_tokens),
        cmocka_unit_test(test_logits_interrupted),
        cmocka_unit_test(test_bad_logits),
        cmocka_unit_test(test_bad_prompts),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_sampling),
        cmocka_unit_test(test_a_token_costs_the_host_nothing),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
