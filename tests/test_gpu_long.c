// A long run: many tokens in eight sequences, with a new context each time it is full. The numbers of descriptors,
// mappings and bytes of memory do not grow, the same seeds give the same tokens, and the last ones come as fast as the
// first. test_gpu_openings has the other one.
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "held.h"
#include "session_world.h"
#include "short_run.h"

#define SEQUENCES 8
#define PROMPT 5
#define EACH (CONTEXT - PROMPT) // tokens of a sequence until the context is full
#define SHORT_TOKENS 5000
#define ALL_TOKENS 100000
#define ROUNDS (ALL_TOKENS / (SEQUENCES * EACH) + 2)
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
    static double seconds[ROUNDS];
    CHECK(vkgpt_session_open(w->model, &(vkgpt_session_options){.sequences = SEQUENCES}, &session, &err));
    bool all = !short_run() && !on_swiftshader();
    size_t most = all ? ALL_TOKENS : SHORT_TOKENS, round = 1;
    struct Held before = {0};
    run_round(session, &first);
    for (; (round - 1) * SEQUENCES * EACH < most; round++) {
        if (round == WARM) before = held();
        double start = os_processor_seconds();
        run_round(session, &next);
        seconds[round] = os_processor_seconds() - start;
        assert_memory_equal(&next, &first, sizeof first);
    }
    expect_flat(before, held(), "tokens");
    expect_as_fast(seconds + 1, round - 1, all, "rounds of tokens");
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
