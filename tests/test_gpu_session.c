// The promises of the public calls on a session: the same tokens no matter how they are asked for, how a run ends, what
// is refused, and that a token costs the host nothing. On a small model with random weights, and on the default model.
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session_world.h"
#include "short_run.h"

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

// Other tokens after a rewind do not see the tokens that were there before.
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

// Another session of the same model, with another context length, gives the same bits: splits are at fixed positions.
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
    run(session, 1, 3); // as many as there is room for, which is the number asked for
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

// The first index, from 3 on, of a token that has not come before.
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

// The model again, with a generation_config.json that names some end tokens.
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
        got = run(session, 10, 40 - end); // end tokens are ignored here
        same(&got, &want, end, "past the end token");
        vkgpt_session_close(session);
    }
    vkgpt_model_close(model);
}

// ---------------------------------------------------------------------------------------------- what is refused

static bool no_rows(void *user, const float *logits, size_t first, size_t rows)
{
    (void)user, (void)logits, (void)first, (void)rows;
    fail_msg("there are logits of what is refused");
    return false;
}

static void test_bad_prompts(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1];
    struct Tokens tokens = {.count = 0};
    prompt_of(ids, CONTEXT + 1);
    vkgpt_session *session = open_session(w->model, 0, 8);
    REFUSED(vkgpt_generate(session, NULL, 5, keep, &tokens, &tokens.stop, &err)); // there is no token to continue from
    REFUSED(vkgpt_prompt(session, ids, CONTEXT + 1, &err));
    REFUSED(vkgpt_prompt(session, ids, SIZE_MAX, &err));
    REFUSED(vkgpt_logits(session, ids, CONTEXT + 1, no_rows, NULL, &err));
    REFUSED(vkgpt_session_rewind(session, 1, &err));
    ids[3] = VOCAB;
    REFUSED(vkgpt_prompt(session, ids, 5, &err));
    REFUSED(vkgpt_logits(session, ids, 5, no_rows, NULL, &err));
    ids[3] = UINT32_MAX;
    REFUSED(vkgpt_prompt(session, ids, 5, &err));
    assert_int_equal(vkgpt_session_position(session), 0);
    prompt(session, 5);
    run(session, 1, 5); // the refused calls did no harm
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
    const float bad[][4] = {// temperature, top-p, min-p, repeat penalty
                            {-1, 1, 0, 1},    {NAN, 1, 0, 1}, {INFINITY, 1, 0, 1}, {1e7f, 1, 0, 1}, {1, 1.5f, 0, 1},
                            {1, -0.1f, 0, 1}, {1, NAN, 0, 1}, {1, 1, -1, 1},       {1, 1, 1.5f, 1}, {1, 1, NAN, 1},
                            {1, 1, 0, -1},    {1, 1, 0, NAN}, {1, 1, 0, 1e7f}};
    struct Tokens tokens = {.count = 0};
    vkgpt_session *session = open_session(w->model, 0, 8);
    prompt(session, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vkgpt_sampling sampling = {bad[i][0], 40, bad[i][1], bad[i][2], bad[i][3], 64, 0, false};
        REFUSED(vkgpt_generate(session, &sampling, 5, keep, &tokens, &tokens.stop, &err));
    }
    vkgpt_sampling large = {1, UINT32_MAX, 1, 0, 1.1f, UINT32_MAX, UINT64_MAX, true}; // all values are allowed
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

// 64 tokens, whose inputs are in the second split of the cache, 8 in a submission.
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
    if (short_run_on_swiftshader()) skip(); // the host does the same with each driver
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
        cmocka_unit_test(test_bad_prompts),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_sampling),
        cmocka_unit_test(test_a_token_costs_the_host_nothing),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
