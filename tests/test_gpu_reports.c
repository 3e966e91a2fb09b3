// What a sequence may ask for besides tokens: log probabilities of generated and given tokens, against vkgpt_logprobs;
// and what changes its logits: biases, presence and frequency penalty.
#include "session_world.h" // before cmocka, whose macro fail() hides a function

#include <math.h>
#include <stdlib.h>

#define EOS (VOCAB - 1)

struct Said {
    uint32_t ids[2 * CONTEXT], given, count;
    float logprobs[2 * CONTEXT];
    uint32_t tops[2 * CONTEXT];
    vkgpt_logprob top[2 * CONTEXT][VKGPT_MAX_TOP];
    bool ended, has_end;
    vkgpt_stop stop;
};

static void keep_token(struct Said *said, const vkgpt_token *token)
{
    assert_true(said->count < 2 * CONTEXT);
    said->ids[said->count] = token->id;
    said->logprobs[said->count] = token->logprob;
    said->tops[said->count] = token->top_count;
    for (uint32_t i = 0; i < token->top_count; i++) said->top[said->count][i] = token->top[i];
    said->count++;
}

static bool on_event(void *user, const vkgpt_batch_event *event)
{
    struct Said *said = user;
    assert_false(said->ended);
    said->ended = event->ended, said->stop = event->stop;
    if (event->given) assert_int_equal(said->given++, said->count);
    if (!event->ended) assert_int_equal(event->id, event->token->id);
    if (event->ended) said->has_end = event->token != NULL;
    if (event->token) keep_token(said, event->token);
    return true;
}

static struct Said *said_by(vkgpt_session *s, uint32_t sequence, const uint32_t *ids, size_t count,
                            const vkgpt_batch_options *options)
{
    vkgpt_error err;
    uint32_t running;
    struct Said *said = calloc(1, sizeof *said);
    assert_non_null(said);
    CHECK(vkgpt_batch_start(s, sequence, ids, count, options, &err));
    do CHECK(vkgpt_batch_step(s, on_event, said, &running, &err));
    while (running);
    assert_true(said->ended);
    return said;
}

struct Compared {
    const struct Said *said;
    uint32_t top, count;
};

static bool compare(void *user, size_t index, const vkgpt_token *token)
{
    struct Compared *c = user;
    float bound = index < c->said->given ? 1e-5f : 1e-3f; // decode rounds otherwise than a block
    assert_int_equal(index, c->count++);
    assert_int_equal(c->said->ids[index], token->id);
    assert_int_equal(c->said->tops[index], index ? c->top : 0);
    if (!index) assert_true(isnan(c->said->logprobs[0]));
    else if (!(fabsf(c->said->logprobs[index] - token->logprob) <= bound))
        fail_msg("token %zu: %g, not %g", index, (double)c->said->logprobs[index], (double)token->logprob);
    for (uint32_t i = 0; index && i < c->top; i++) {
        const vkgpt_logprob *got = &c->said->top[index][i], *want = &token->top[i];
        if (!(fabsf(got->logprob - want->logprob) <= bound))
            fail_msg("token %zu, the %u. likeliest: %g, not %g", index, i + 1, (double)got->logprob,
                     (double)want->logprob);
    }
    return true;
}

static void compare_with_logprobs(const struct World *w, const struct Said *said, uint32_t top)
{
    vkgpt_error err;
    vkgpt_session *alone = open_session(w->model, 0, 0);
    struct Compared c = {said, top, 0};
    CHECK(vkgpt_logprobs(alone, said->ids, said->count, top, compare, &c, &err));
    assert_int_equal(c.count, said->count);
    vkgpt_session_close(alone);
}

static vkgpt_session *open_two(const struct World *w, uint32_t lookup, bool deterministic)
{
    vkgpt_error err;
    vkgpt_session *s;
    const vkgpt_session_options options = {
        .sequences = 2, .tokens_per_submission = 2, .lookup = lookup, .deterministic = deterministic};
    CHECK(vkgpt_session_open(w->model, &options, &s, &err));
    return s;
}

static void check_given(const struct World *w, uint32_t lookup, bool deterministic)
{
    uint32_t ids[CONTEXT + 1];
    const uint32_t lengths[][2] = {{1, 0}, {1, 4}, {2, 0}, {90, 12}, {90, 0}, {CONTEXT, 5}, {CONTEXT + 1, 0}, {90, 3}};
    vkgpt_session *s = open_two(w, lookup, deterministic);
    prompt_of(ids, CONTEXT + 1);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const vkgpt_batch_options options = {.sampling = lively(i),
                                             .max_tokens = lengths[i][1],
                                             .presence_penalty = 0.5f,
                                             .logprobs = true,
                                             .top = i % 3 * 10,
                                             .given = true};
        struct Said *said = said_by(s, i % 2, ids, lengths[i][0], &options);
        assert_int_equal(said->given, lengths[i][0]);
        assert_int_equal(said->count, lengths[i][0] + (lengths[i][0] == CONTEXT ? 1 : lengths[i][1]));
        assert_int_equal(said->stop, lengths[i][0] == CONTEXT ? VKGPT_STOP_CONTEXT : VKGPT_STOP_LENGTH);
        if (!deterministic) compare_with_logprobs(w, said, options.top);
        free(said);
    }
    vkgpt_session_close(s);
}

static void test_given(void **state) { check_given(*state, 0, false); }
static void test_given_with_drafts(void **state) { check_given(*state, 3, false); }
static void test_given_deterministic(void **state) { check_given(*state, 0, true); }

// The end token has a log probability too, in the event of the end; a bias brings it about, and does not show in it.
static void test_end_token(void **state)
{
    uint32_t ids[CONTEXT];
    vkgpt_session *s = open_two(*state, 0, false);
    const vkgpt_bias bias[] = {{EOS, 60.0f}, {EOS, 40.0f}};
    vkgpt_batch_options options = {.sampling = {.temperature = 1.0f, .top_p = 1.0f},
                                   .max_tokens = 9,
                                   .bias = bias,
                                   .bias_count = 2,
                                   .logprobs = true,
                                   .top = 2,
                                   .given = true};
    prompt_of(ids, CONTEXT);
    struct Said *said = said_by(s, 1, ids, 20, &options);
    assert_int_equal(said->stop, VKGPT_STOP_EOS);
    assert_true(said->has_end);
    assert_int_equal(said->count, 21);
    assert_int_equal(said->ids[20], EOS);
    assert_true(said->logprobs[20] < -1.0f);
    compare_with_logprobs(*state, said, 2);
    free(said);
    vkgpt_session_close(s);
}

static uint32_t different(const struct Said *said)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < said->count; i++) {
        bool again = false;
        for (uint32_t j = 0; j < i; j++) again = again || said->ids[j] == said->ids[i];
        count += !again;
    }
    return count;
}

// Greedy tokens of a model with random weights repeat; penalties and biases change that as they say.
static void test_penalties(void **state)
{
    uint32_t ids[CONTEXT];
    vkgpt_session *s = open_two(*state, 0, false);
    const vkgpt_bias bias[] = {{5, 1e5f}, {6, 1e5f - 50.0f}};
    vkgpt_batch_options options = {.sampling = {.ignore_eos = true}, .max_tokens = 8, .bias = bias, .logprobs = true};
    prompt_of(ids, CONTEXT);
    ids[0] = 5; // in the prompt: not generated
    options.bias_count = 1;
    struct Said *said = said_by(s, 0, ids, 20, &options);
    for (uint32_t i = 0; i < 8; i++) assert_int_equal(said->ids[i], 5);
    free(said);

    options.presence_penalty = 2e5f;
    said = said_by(s, 0, ids, 20, &options);
    assert_int_equal(said->ids[0], 5);
    assert_int_equal(different(said), 8); // each once
    free(said);

    options.presence_penalty = 0.0f, options.frequency_penalty = 500.0f, options.bias_count = 2;
    said = said_by(s, 0, ids, 20, &options);
    for (uint32_t i = 0; i < 8; i++) assert_int_equal(said->ids[i], 5 + i % 2); // in turn
    free(said);
    vkgpt_session_close(s);
}

static void test_refused(void **state)
{
    vkgpt_error err;
    uint32_t ids[CONTEXT + 1];
    vkgpt_bias bias[VKGPT_MAX_BIAS + 1] = {{0}};
    vkgpt_session *s = open_two(*state, 0, false);
    const vkgpt_batch_options good = {.max_tokens = 3, .bias = bias, .bias_count = 1, .logprobs = true, .given = true};
    vkgpt_batch_options o = good;
    prompt_of(ids, CONTEXT + 1);
    o.bias_count = VKGPT_MAX_BIAS + 1;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    o = good, o.top = VKGPT_MAX_TOP + 1;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    o = good, o.presence_penalty = NAN;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    o = good, o.frequency_penalty = INFINITY;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    o = good, bias[0].id = VOCAB;
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    bias[0] = (vkgpt_bias){0, NAN};
    REFUSED(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    bias[0].value = 1.0f;
    REFUSED(vkgpt_batch_start(s, 0, ids, CONTEXT + 1, &o, &err));
    CHECK(vkgpt_batch_start(s, 0, ids, 5, &o, &err));
    vkgpt_session_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_given_with_drafts),
        cmocka_unit_test(test_given_deterministic),
        cmocka_unit_test(test_end_token),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests_name("gpu_reports", tests, open_world, close_world);
}
