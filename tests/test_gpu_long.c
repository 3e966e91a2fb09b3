// A long run: many tokens in eight sequences, with a new context each time it is full. The numbers of descriptors,
// mappings and bytes of memory do not grow, and the same seeds give the same tokens. test_gpu_openings has the other
// one.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "held.h"
#include "session_world.h"
#include "short_run.h"

#define SEQUENCES 8
#define PROMPT 5
#define EACH (CONTEXT - PROMPT) // tokens of a sequence until the context is full
#define SHORT_TOKENS 5000
#define ALL_TOKENS 100000
#define WARM 4 // rounds, until everything that is kept permanently exists

struct Round {
    uint32_t ids[SEQUENCES][EACH];
    size_t counts[SEQUENCES];
};

static bool keep_in_round(void *user, uint32_t sequence, uint32_t id)
{
    struct Round *round = user;
    assert_true(round->counts[sequence] < EACH);
    round->ids[sequence][round->counts[sequence]++] = id;
    return true;
}

static void run_round(vkgpt_session *session, struct Round *round)
{
    vkgpt_error err;
    vkgpt_sampling sampling[SEQUENCES];
    memset(round, 0, sizeof *round);
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        uint32_t ids[PROMPT];
        prompt_of(ids, PROMPT);
        sampling[i] = lively(i + 1);
        CHECK(vkgpt_batch_rewind(session, i, 0, &err));
        CHECK(vkgpt_batch_prompt(session, i, ids, PROMPT, &err));
    }
    CHECK(vkgpt_batch_generate(session, sampling, EACH, keep_in_round, round, NULL, &err));
    for (uint32_t i = 0; i < SEQUENCES; i++) assert_int_equal(round->counts[i], EACH);
}

static void test_many_tokens(void **state)
{
    struct World *w = *state;
    vkgpt_error err;
    vkgpt_session *session;
    static struct Round first, next;
    CHECK(vkgpt_session_open(w->model, &(vkgpt_session_options){.sequences = SEQUENCES}, &session, &err));
    size_t tokens = 0, most = short_run() || on_swiftshader() ? SHORT_TOKENS : ALL_TOKENS;
    struct Held before = {0};
    run_round(session, &first);
    for (unsigned round = 1; tokens < most; round++, tokens += SEQUENCES * EACH) {
        if (round == WARM) before = held();
        run_round(session, &next);
        assert_memory_equal(&next, &first, sizeof first);
    }
    expect_flat(before, held(), "tokens");
    vkgpt_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_tokens),
        cmocka_unit_test(test_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
