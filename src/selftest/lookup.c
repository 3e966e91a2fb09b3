// What lookup must write: the drafts after the newest token, and how many rows the next step reads.
#include <string.h>

#include "selftest/selftest.h"

#define CONTEXT 40
#define TOKEN_STRIDE (CONTEXT + 1)

struct LookupCase {
    const char *name, *text; // one letter per token; the last is the newest
    uint32_t remaining, context;
    const char *drafts;
};

// Steps have 5 rows, so at most 4 drafts.
static const struct LookupCase CASES[] = {
    {"nothing before", "a", 9, CONTEXT, ""},
    {"no match", "abcdefgh", 9, CONTEXT, ""},
    {"one token is no match", "abcdxb", 9, CONTEXT, ""},
    {"a match", "xabcdefxab", 9, CONTEXT, "cdef"},
    {"the later of two", "abcdxabefghab", 9, CONTEXT, "efgh"},
    {"the longer of two", "xyabcdefzabghijxyab", 9, CONTEXT, "cdef"},
    {"a text that goes round", "zababab", 9, CONTEXT, "abab"},
    {"one token again and again", "qaaa", 9, CONTEXT, "aaaa"},
    {"few tokens remain", "xabcdefxab", 3, CONTEXT, "cd"},
    {"the last token", "xabcdefxab", 1, CONTEXT, ""},
    {"the context ends", "xabcdefxab", 9, 11, "c"},
};
#define CASE_COUNT (sizeof CASES / sizeof *CASES)

static void fill(struct Trial *t, struct Array *state, struct Array *tokens)
{
    struct Sequence *sequences = selftest_sequences(state->before);
    for (uint32_t i = 0; i < CASE_COUNT && !t->status; i++) {
        const struct LookupCase *c = &CASES[i];
        uint32_t length = (uint32_t)strlen(c->text);
        sequences[i] =
            (struct Sequence){.position = length - 1, .rows = 1, .remaining = c->remaining, .context = c->context};
        for (uint32_t p = 0; p < length; p++) ((uint32_t *)tokens->before)[i * TOKEN_STRIDE + p] = (uint8_t)c->text[p];
    }
}

static void measure(struct Measure *m, uint32_t i, struct Array *state, struct Array *tokens)
{
    const struct LookupCase *c = &CASES[i];
    struct Sequence *before = selftest_sequences(state->before) + i, *after = selftest_sequences(state->after) + i,
                    want = *before;
    uint32_t count = (uint32_t)strlen(c->drafts), at = i * TOKEN_STRIDE + before->position + 1;
    want.rows = 1 + count;
    measure_true(m, !memcmp(&want, after, sizeof want));
    *after = *before;
    for (uint32_t d = 0; d < count; d++) {
        uint32_t *token = (uint32_t *)tokens->after + at + d;
        measure_true(m, *token == (uint8_t)c->drafts[d]);
        *token = ((uint32_t *)tokens->before)[at + d];
    }
}

int selftest_lookup(struct Selftest *test, const struct Pipeline *pipeline)
{
    struct Trial t;
    trial_begin(&t, test->device, test->err);
    struct Array *state = selftest_state(&t, NULL, CASE_COUNT),
                 *tokens = trial_array(&t, CASE_COUNT * TOKEN_STRIDE * 4);
    fill(&t, state, tokens);
    trial_start(&t);
    if (!t.status)
        dispatch(&t.rec, pipeline, (struct Grid){CASE_COUNT, 1, 1}, BUFFERS(&state->slice, &tokens->slice),
                 ARGS(LookupArgs, .range = {0, CASE_COUNT, 5}, .token_stride = TOKEN_STRIDE));
    trial_finish(&t);
    for (uint32_t i = 0; i < CASE_COUNT && !t.status; i++) {
        struct Measure m = {0};
        measure(&m, i, state, tokens);
        if (i + 1 == CASE_COUNT) {
            measure_untouched(&m, state);
            measure_untouched(&m, tokens);
        }
        selftest_report(test, pipeline->kernel, m.error, 0.0, "%s", CASES[i].name);
    }
    return trial_end(&t);
}
