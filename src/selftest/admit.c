// What admit must write: the groups, and of the sequences that are admitted the state, the tokens and the emptied ring.
#include <string.h>

#include "selftest/selftest.h"

#define CONTEXT 300
#define TOKEN_STRIDE (CONTEXT + 1)
#define CHANGE_STRIDE (MAX_BIAS + TOKEN_STRIDE)
#define GIVEN_WORDS (2 * TOKEN_STRIDE + 2 * MAX_BIAS)
#define COUNT 6 // sequences
#define MOST 4  // admissions

struct AdmitCase {
    const char *name;
    uint32_t admissions;
    struct Admission list[MOST];
};

// Sequences that start, with tokens and without; that stop; that only get tokens.
static const struct AdmitCase CASES[] = {
    {"none", 0, {{0}}},
    {"a sequence starts", 1, {{.sequence = 2, .count = 5, .state = {.position = 4, .top_k = 7}}}},
    {"the last one gets all tokens", 1, {{.sequence = 5, .count = TOKEN_STRIDE, .state = {.stop = STOP_FULL}}}},
    {"some, in any order",
     4,
     {{.sequence = 4, .first = 3, .count = 130, .state = {.position = 132, .eos = {[MAX_EOS - 1] = 9}}},
      {.sequence = 0, .at = 130, .state = {.stop = STOP_FULL}},
      {.sequence = 1, .first = 299, .count = 2, .at = 130, .state = {.position = CONTEXT}},
      {.sequence = 3, .first = 1, .count = 1, .at = 132, .state = {.stop = STOP_EOS, .seed_high = 5}}}},
    {"biases",
     2,
     {{.sequence = 1, .first = 2, .count = 3, .state = {.position = 4, .biases = 5, .reports = 3}},
      {.sequence = 5, .at = 13, .state = {.position = 9, .biases = MAX_BIAS}}}},
};
#define CASE_COUNT (sizeof CASES / sizeof *CASES)

struct AdmitTrial {
    struct Trial t;
    struct Array *state, *tokens, *ring, *inbox, *given, *changes;
};

static void make(struct Selftest *test, const struct AdmitCase *c, struct AdmitTrial *a)
{
    trial_begin(&a->t, test->device, test->err);
    a->state = selftest_state(&a->t, NULL, COUNT);
    a->tokens = trial_array(&a->t, COUNT * TOKEN_STRIDE * 4);
    a->ring = trial_array(&a->t, COUNT * TOKEN_STRIDE * 4);
    a->inbox = trial_array(&a->t, sizeof(struct InboxHead) + COUNT * sizeof(struct Admission));
    a->given = trial_array(&a->t, GIVEN_WORDS * 4);
    a->changes = trial_array(&a->t, COUNT * CHANGE_STRIDE * sizeof(struct LogitChange));
    if (a->t.status) return;
    struct InboxHead *head = (struct InboxHead *)a->inbox->before;
    head->admissions = c->admissions;
    for (uint32_t i = 0; i < MAX_GROUPS; i++) head->groups[i] = (struct Group){i, trial_hash(191, i), i % 17, 0};
    memcpy(head + 1, c->list, c->admissions * sizeof *c->list);
    for (uint32_t i = 0; i < GIVEN_WORDS; i++) ((uint32_t *)a->given->before)[i] = trial_hash(193, i);
    memset(a->ring->before, 0, a->ring->bytes); // RING_EMPTY is what memory holds before anything is written
}

// Takes a word that must have a value out of an array that came back.
static void take(struct Measure *m, struct Array *array, size_t at, uint32_t want)
{
    uint32_t *word = (uint32_t *)array->after + at;
    measure_true(m, *word == want);
    *word = ((uint32_t *)array->before)[at];
}

static void take_admission(struct AdmitTrial *a, struct Measure *m, const struct Admission *admission)
{
    const struct Sequence *want = &admission->state;
    struct Sequence *state = selftest_sequences(a->state->after) + admission->sequence;
    size_t first = (size_t)admission->sequence * TOKEN_STRIDE;
    measure_true(m, !memcmp(state, want, sizeof *want));
    *state = selftest_sequences(a->state->before)[admission->sequence];
    for (uint32_t i = 0; i < admission->count; i++)
        take(m, a->tokens, first + admission->first + i, ((uint32_t *)a->given->before)[admission->at + i]);
    const uint32_t *biases = (uint32_t *)a->given->before + admission->at + admission->count;
    for (uint32_t i = 0; i < 2 * want->biases; i++)
        take(m, a->changes, (size_t)admission->sequence * 2 * CHANGE_STRIDE + i, biases[i]);
    for (uint32_t i = want->position + 1; want->stop == STOP_NONE && i < TOKEN_STRIDE; i++)
        take(m, a->ring, first + i, RING_EMPTY);
}

static int run(struct Selftest *test, const struct Pipeline *pipeline, const struct AdmitCase *c)
{
    struct AdmitTrial a;
    struct Measure m = {0};
    make(test, c, &a);
    trial_start(&a.t);
    if (!a.t.status)
        dispatch(&a.t.rec, pipeline, (struct Grid){COUNT, 1, 1},
                 BUFFERS(&a.state->slice, &a.tokens->slice, &a.ring->slice, &a.inbox->slice, &a.given->slice,
                         &a.changes->slice),
                 ARGS(AdmitArgs, .sequences = COUNT, .token_stride = TOKEN_STRIDE));
    trial_finish(&a.t);
    if (a.t.status) return trial_end(&a.t);
    const struct InboxHead *head = (const struct InboxHead *)a.inbox->before;
    measure_true(&m, !memcmp(a.state->after, head->groups, sizeof head->groups));
    memcpy(a.state->after, a.state->before, sizeof head->groups);
    for (uint32_t i = 0; i < c->admissions; i++) take_admission(&a, &m, &c->list[i]);
    measure_untouched(&m, a.state);
    measure_untouched(&m, a.tokens);
    measure_untouched(&m, a.ring);
    measure_untouched(&m, a.inbox);
    measure_untouched(&m, a.given);
    measure_untouched(&m, a.changes);
    selftest_report(test, pipeline->kernel, m.error, 0.0, "%s", c->name);
    return trial_end(&a.t);
}

int selftest_admit(struct Selftest *test, const struct Pipeline *admit)
{
    int status = VKGPT_OK;
    for (size_t i = 0; !status && i < CASE_COUNT; i++) status = run(test, admit, &CASES[i]);
    return status;
}
