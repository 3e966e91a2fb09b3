// Scores of continuations against the log softmax of vkgpt_logits, summed here: in any order, with and without a shared
// beginning, up to a full context; and what is refused. On a small model with random weights.
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h" // before cmocka, whose macro fail() hides a function
#include "synthetic_model.h"

#include "check.h"
#include "compare.h"

#define VOCAB 307
#define CONTEXT 150
#define MANY 24

struct World {
    vkgpt_device *device;
    vkgpt_model *model;
    vkgpt_session *session;
    uint32_t *ids[MANY]; // of the continuations
    vkgpt_continuation continuations[MANY];
    vkgpt_scored want[MANY];
};

static const struct SyntheticModel SMALL = {.layers = 2,
                                            .heads = 3,
                                            .dim = 45,
                                            .context = CONTEXT,
                                            .vocab = VOCAB,
                                            .inner = 77,
                                            .seed = 11,
                                            .dtype = DTYPE_F32};

// ------------------------------------------------------------------------------------------- what is to come out

struct Sum {
    const vkgpt_continuation *c;
    double logprob;
    bool greedy;
    size_t counted;
};

static bool add_rows(void *user, const float *logits, size_t first, size_t rows)
{
    struct Sum *sum = user;
    for (size_t row = first; row < first + rows; row++, logits += VOCAB) {
        if (row + 1 < sum->c->context || row + 1 == sum->c->count) continue;
        uint32_t target = sum->c->ids[row + 1];
        double total = 0; // the logits of such a small model do not overflow
        for (size_t i = 0; i < VOCAB; i++) total += exp((double)logits[i]);
        sum->logprob += (double)logits[target] - log(total);
        for (uint32_t i = 0; i < VOCAB; i++)
            sum->greedy = sum->greedy && (i < target ? logits[i] < logits[target] : logits[i] <= logits[target]);
        sum->counted++;
    }
    return true;
}

// The slow way: the logits of every token, from an empty cache.
static vkgpt_scored by_logits(vkgpt_session *session, const vkgpt_continuation *c)
{
    vkgpt_error err;
    struct Sum sum = {.c = c, .greedy = true};
    CHECK(vkgpt_session_rewind(session, 0, &err));
    CHECK(vkgpt_logits(session, c->ids, c->count < CONTEXT ? c->count : CONTEXT, add_rows, &sum, &err));
    CHECK(vkgpt_session_rewind(session, 0, &err));
    assert_int_equal(sum.counted, c->count - c->context);
    return (vkgpt_scored){sum.logprob, sum.greedy};
}

static void score(vkgpt_session *session, const vkgpt_continuation *c, size_t count, vkgpt_scored *scored)
{
    vkgpt_error err;
    memset(scored, 0xff, count * sizeof *scored);
    CHECK(vkgpt_score(session, c, count, scored, &err));
    assert_int_equal(vkgpt_session_position(session), 0);
}

static void same(const vkgpt_scored *got, const vkgpt_scored *want, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        assert_within(difference_f64(&got[i].logprob, &want[i].logprob, 1), 1e-4, "%s: continuation %zu", what, i);
        assert_int_equal(got[i].greedy, want[i].greedy);
    }
}

// Groups of four that share 3, 40 or 90 tokens of context, with continuations of 1 to 23 tokens; one with a single
// token of context; one with a full context and one more token; the same one twice.
static size_t context_of(size_t i) { return i == 5 ? 1 : i == 6 ? CONTEXT : (size_t[]){3, 40, 90}[i / 4 % 3]; }
static size_t length_of(size_t i) { return i == 6 ? 1 : i == 7 ? CONTEXT + 1 - context_of(7) : 1 + i * 7 % 23; }

static void make_continuations(struct World *w)
{
    for (size_t i = 0; i < MANY; i++) {
        size_t context = context_of(i), count = context + length_of(i);
        w->ids[i] = malloc(count * sizeof *w->ids[i]);
        assert_non_null(w->ids[i]);
        for (size_t j = 0; j < count; j++)
            w->ids[i][j] = (uint32_t)((j * 97 + 13 + i / 8 * 31 + (j >= context ? i * 5 : 0)) % VOCAB);
        w->continuations[i] = (vkgpt_continuation){w->ids[i], count, context};
    }
    w->continuations[12] = w->continuations[11];
}

// The model's own choice after some tokens, so that some continuations are greedy.
static bool keep_one(void *user, uint32_t id)
{
    *(uint32_t *)user = id;
    return true;
}

static void make_greedy(struct World *w, size_t i)
{
    vkgpt_error err;
    vkgpt_sampling argmax = {.top_p = 1.0f, .repeat_penalty = 1.0f, .ignore_eos = true};
    for (size_t j = w->continuations[i].context; j < w->continuations[i].count; j++) {
        CHECK(vkgpt_session_rewind(w->session, 0, &err));
        CHECK(vkgpt_prompt(w->session, w->ids[i], j, &err));
        CHECK(vkgpt_generate(w->session, &argmax, 1, keep_one, &w->ids[i][j], NULL, &err));
    }
}

// -------------------------------------------------------------------------------------------------- the tests

static void test_one_by_one(void **state)
{
    const struct World *w = *state;
    vkgpt_scored got[MANY];
    size_t greedy = 0;
    for (size_t i = 0; i < MANY; i++) score(w->session, &w->continuations[i], 1, &got[i]);
    same(got, w->want, MANY, "alone");
    for (size_t i = 0; i < MANY; i++) greedy += got[i].greedy;
    assert_true(greedy > 0 && greedy < MANY);
}

static void test_all_at_once(void **state)
{
    const struct World *w = *state;
    vkgpt_scored got[MANY];
    vkgpt_counters before = vkgpt_session_counters(w->session);
    score(w->session, w->continuations, MANY, got);
    same(got, w->want, MANY, "together");
    uint64_t rows = vkgpt_session_counters(w->session).tokens_prefilled - before.tokens_prefilled, all = 0;
    for (size_t i = 0; i < MANY; i++) all += w->continuations[i].count - 1;
    assert_true(rows < all); // neighbours shared something
}

static void test_any_order(void **state)
{
    const struct World *w = *state;
    vkgpt_continuation shuffled[MANY];
    vkgpt_scored got[MANY], want[MANY];
    for (size_t step = 5; step < MANY; step += 6) { // 5, 11, 17, 23: each step visits all 24
        size_t count = 0;
        for (size_t i = 0, at = MANY - 1; i < MANY; i++, at = (at + step) % MANY, count++) {
            shuffled[i] = w->continuations[at];
            want[i] = w->want[at];
        }
        score(w->session, shuffled, count, got);
        same(got, want, count, "in another order");
    }
}

// The cache of another use of the session, and of continuations scored before, is not reused by mistake.
static void test_used_session(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    vkgpt_scored got[MANY];
    uint32_t other[CONTEXT] = {0};
    CHECK(vkgpt_prompt(w->session, other, CONTEXT, &err));
    score(w->session, w->continuations, 1, got);
    score(w->session, w->continuations + 20, 1, got + 1);
    score(w->session, w->continuations, 1, got + 2);
    same(got, w->want, 1, "after a prompt");
    same(got + 1, w->want + 20, 1, "after another call");
    same(got + 2, w->want, 1, "once more");
}

static void test_none(void **state)
{
    const struct World *w = *state;
    vkgpt_error err;
    CHECK(vkgpt_prompt(w->session, w->ids[0], 2, &err));
    CHECK(vkgpt_score(w->session, NULL, 0, NULL, &err));
    assert_int_equal(vkgpt_session_position(w->session), 0);
}

static void refused(const struct World *w, vkgpt_continuation bad, const char *says)
{
    vkgpt_error err;
    vkgpt_scored scored[2];
    vkgpt_continuation pair[2] = {w->continuations[0], bad};
    assert_int_equal(vkgpt_score(w->session, pair, 2, scored, &err), VKGPT_BAD_ARGUMENT);
    assert_int_equal(err.code, VKGPT_BAD_ARGUMENT);
    if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    assert_int_equal(vkgpt_session_position(w->session), 0);
}

static void test_refusals(void **state)
{
    const struct World *w = *state;
    uint32_t ids[CONTEXT + 2] = {0};
    refused(w, (vkgpt_continuation){ids, 5, 0}, "continuation 1: 0 of its 5 tokens are context, 1 to 4 can be");
    refused(w, (vkgpt_continuation){ids, 5, 5}, "continuation 1: 5 of its 5 tokens");
    refused(w, (vkgpt_continuation){ids, 5, SIZE_MAX}, "of its 5 tokens");
    refused(w, (vkgpt_continuation){NULL, 0, 0}, "0 of its 0 tokens");
    refused(w, (vkgpt_continuation){ids, CONTEXT + 2, 5}, "152 tokens with its context, 151 at most");
    refused(w, (vkgpt_continuation){ids, SIZE_MAX, 5}, "151 at most");
    ids[4] = VOCAB; // the last one, which is only predicted
    refused(w, (vkgpt_continuation){ids, 5, 2}, "token id 307");
    ids[4] = 0;
    ids[0] = UINT32_MAX;
    refused(w, (vkgpt_continuation){ids, 5, 2}, "token id 4294967295");
    vkgpt_scored got;
    score(w->session, w->continuations, 1, &got); // the refused calls did no harm
    same(&got, w->want, 1, "after what was refused");
}

// ------------------------------------------------------------------------------------------------- the world

static int open_world(void **state)
{
    vkgpt_error err;
    char dir[256];
    struct World *w = calloc(1, sizeof *w);
    assert_non_null(w);
    CHECK(vkgpt_device_open(NULL, &w->device, &err));
    CHECK(synthetic_model_temporary(&SMALL, dir, sizeof dir, &err));
    CHECK(vkgpt_model_open(w->device, dir, &(vkgpt_model_options){.weights = VKGPT_F32}, &w->model, &err));
    synthetic_model_remove(dir);
    CHECK(vkgpt_session_open(w->model, &(vkgpt_session_options){.kv = VKGPT_F32}, &w->session, &err));
    make_continuations(w);
    make_greedy(w, 1);
    make_greedy(w, 6);
    for (size_t i = 0; i < MANY; i++) w->want[i] = by_logits(w->session, &w->continuations[i]);
    *state = w;
    return 0;
}

static void test_nothing_is_left_behind(void **state)
{
    struct World *w = *state;
    vkgpt_session_close(w->session);
    vkgpt_model_close(w->model);
    assert_int_equal(w->device->validation_messages, 0);
    vkgpt_device_close(w->device);
}

static int close_world(void **state)
{
    struct World *w = *state;
    for (size_t i = 0; i < MANY; i++) free(w->ids[i]);
    free(w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_used_session),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
