// Log probabilities of single tokens (vkgpt_logprobs), given and generated, against the log softmax of vkgpt_logits,
// computed here; and a vkgpt_sampling that is all zero.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session_world.h"

struct Logits {
    float rows[CONTEXT][VOCAB];
};

static bool keep_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Logits *l = user;
    memcpy(l->rows[first], logits, rows * sizeof l->rows[0]);
    return true;
}

static struct Logits *logits_of(vkgpt_session *session, const uint32_t *ids, size_t count)
{
    vkgpt_error err;
    struct Logits *l = calloc(1, sizeof *l);
    assert_non_null(l);
    rewind_to(session, 0);
    CHECK(vkgpt_logits(session, ids, count, keep_rows, l, &err));
    rewind_to(session, 0);
    return l;
}

static double logprob_of(const float *row, uint32_t id)
{
    double sum = 0;
    for (size_t i = 0; i < VOCAB; i++) sum += exp((double)row[i]); // the logits of such a small model do not overflow
    return (double)row[id] - log(sum);
}

static void assert_likely(float got, double want)
{
    if (!(fabs((double)got - want) <= 1e-3)) fail_msg("a log probability is %g, should be %g", (double)got, want);
}

struct Got {
    const uint32_t *ids;        // of the call
    const struct Logits *want;  // NULL: not compared
    size_t before, count, most; // tokens before the call; most: after which the callback stops it
    uint32_t top;
};

static bool compare(void *user, size_t index, const vkgpt_token *token)
{
    struct Got *g = user;
    assert_int_equal(index, g->count++);
    assert_int_equal(token->id, g->ids[index]);
    if (g->before + index == 0) {
        assert_true(isnan(token->logprob));
        assert_int_equal(token->top_count, 0);
        return true;
    }
    assert_int_equal(token->top_count, g->top);
    const float *row = g->want->rows[g->before + index - 1];
    assert_likely(token->logprob, logprob_of(row, token->id));
    for (uint32_t t = 0; t < token->top_count; t++) {
        uint32_t better = 0; // tokens that are likelier by more than rounding
        for (uint32_t i = 0; i < VOCAB; i++) better += row[i] > row[token->top[t].id] + 1e-3f;
        assert_true(better <= t);
        assert_likely(token->top[t].logprob, logprob_of(row, token->top[t].id));
        for (uint32_t u = 0; u < t; u++) assert_int_not_equal(token->top[t].id, token->top[u].id);
    }
    return g->count != g->most;
}

static void logprobs(vkgpt_session *session, const uint32_t *ids, size_t count, struct Got *got)
{
    vkgpt_error err;
    got->ids = ids;
    got->count = 0;
    got->before = vkgpt_session_position(session);
    CHECK(vkgpt_logprobs(session, ids, count, got->top, compare, got, &err));
    assert_int_equal(got->count, count);
    assert_int_equal(vkgpt_session_position(session), got->before + count);
}

static void test_given(void **state)
{
    const struct World *w = *state;
    uint32_t ids[CONTEXT + 1];
    prompt_of(ids, CONTEXT + 1);
    vkgpt_session *session = open_session(w->model, 0, 4);
    struct Logits *want = logits_of(session, ids, CONTEXT);
    struct Got got = {.want = want, .top = 5};
    logprobs(session, ids, CONTEXT + 1, &got); // the last one is only predicted
    rewind_to(session, 0);
    got.top = VKGPT_MAX_TOP;
    logprobs(session, ids, 1, &got);
    logprobs(session, ids + 1, 1, &got);
    logprobs(session, ids + 2, 70, &got);
    got.top = 0;
    logprobs(session, ids + 72, 3, &got);
    logprobs(session, ids + 75, 0, &got);
    rewind_to(session, 40); // later positions are forgotten
    logprobs(session, ids + 40, 2, &got);
    free(want);
    vkgpt_session_close(session);
}

// Generated tokens: the greedy one is the likeliest. The session goes on as if logprobs had not been called.
static void test_generated(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT];
    prompt_of(ids, 30);
    vkgpt_session *session = open_session(w->model, 0, 4);
    struct Tokens greedy = {.count = 0}, more = {.count = 0}, again = {.count = 0};
    vkgpt_sampling zero = {0};
    zero.ignore_eos = true;
    prompt(session, 30);
    generate(session, zero, 40, &greedy);
    generate(session, zero, 20, &more);
    memcpy(ids + 30, greedy.ids, greedy.count * sizeof *ids);
    struct Logits *want = logits_of(session, ids, 70);
    CHECK(vkgpt_prompt(session, ids, 30, &err));
    struct Got got = {.want = want, .top = 1};
    logprobs(session, greedy.ids, greedy.count, &got);
    for (size_t i = 0; i < greedy.count; i++) {
        const float *row = want->rows[29 + i];
        for (size_t v = 0; v < VOCAB; v++) assert_true(row[v] <= row[greedy.ids[i]] + 1e-3f);
    }
    generate(session, zero, 20, &again);
    same(&again, &more, 0, "after log probabilities");
    free(want);
    vkgpt_session_close(session);
}

static void test_refused(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    uint32_t ids[CONTEXT + 2] = {0};
    vkgpt_session *session = open_session(w->model, 0, 4);
    struct Logits *want = logits_of(session, ids, 5);
    struct Got got = {.ids = ids, .want = want, .top = 1, .most = 3};
    REFUSED(vkgpt_logprobs(session, ids, 5, VKGPT_MAX_TOP + 1, compare, &got, &err));
    REFUSED(vkgpt_logprobs(session, ids, CONTEXT + 2, 1, compare, &got, &err));
    REFUSED(vkgpt_logprobs(session, (uint32_t[]){VOCAB}, 1, 1, compare, &got, &err));
    assert_int_equal(vkgpt_session_position(session), 0);
    assert_int_equal(got.count, 0);
    assert_int_equal(vkgpt_logprobs(session, ids, 5, 1, compare, &got, &err), VKGPT_INTERRUPTED);
    assert_int_equal(got.count, 3);
    free(want);
    vkgpt_session_close(session);
}

// A zeroed vkgpt_sampling is greedy, the same as temperature 0 alone.
static void test_zero_sampling(void **state)
{
    const struct World *w = *state;
    struct Tokens zero = {.count = 0}, cold = {.count = 0};
    vkgpt_session *session = open_session(w->model, 0, 4);
    prompt(session, 20);
    generate(session, (vkgpt_sampling){0}, 10, &zero);
    rewind_to(session, 20);
    vkgpt_sampling sampling = vkgpt_sampling_default();
    sampling.temperature = 0;
    generate(session, sampling, 10, &cold);
    assert_int_equal(zero.count, cold.count);
    same(&zero, &cold, 0, "all zero");
    vkgpt_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_generated),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_zero_sampling),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
