// What sample has to give. The device adds integer weights that sum to about 2^30, the reference float64: so the token
// has to be one whose exact share of [0, 1) holds the random number, or all but holds it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/reference_sample.h"
#include "engine/selftest.h"

#define CONTEXT 40
#define TOKEN_STRIDE (CONTEXT + 1)
#define GROUPS 300 // of head: more than sample has lanes

struct SampleTrial {
    struct Trial t;
    struct Array *state, *tokens, *logits, *parts, *ring;
    uint32_t vocab, stride, sequences;
    double *scratch, *probabilities; // (vocab)
};

static void sample_make(struct Selftest *test, uint32_t vocab, uint32_t sequences, struct SampleTrial *s)
{
    *s = (struct SampleTrial){.vocab = vocab, .stride = padded(vocab), .sequences = sequences};
    trial_begin(&s->t, test->device, test->err);
    s->state = selftest_state(&s->t, NULL, sequences);
    s->tokens = trial_array(&s->t, (size_t)sequences * TOKEN_STRIDE * 4);
    s->logits = trial_array(&s->t, (size_t)sequences * s->stride * 4);
    s->parts = trial_array(&s->t, sequences * GROUPS * sizeof(struct HeadPart));
    s->ring = trial_array(&s->t, (size_t)sequences * TOKEN_STRIDE * 4);
    s->scratch = trial_scratch(&s->t, vocab, sizeof *s->scratch);
    s->probabilities = trial_scratch(&s->t, vocab, sizeof *s->probabilities);
}

static struct Sequence *sequence_at(uint8_t *state, uint32_t i) { return selftest_sequences(state) + i; }

static float *logits_of(const struct SampleTrial *s, uint32_t i)
{
    return (float *)s->logits->before + (size_t)i * s->stride;
}

// As head leaves them: the maximum, its lowest index and whether any is bad, of a stretch of the vocabulary each.
static void fill_parts(struct SampleTrial *s, uint32_t sequence)
{
    uint32_t each = (s->vocab + GROUPS - 1) / GROUPS;
    for (uint32_t g = 0; g < GROUPS; g++) {
        struct HeadPart part = {-INFINITY, UINT32_MAX, 0, 0};
        const float *logits = logits_of(s, sequence);
        for (uint32_t i = g * each; i < (g + 1) * each && i < s->vocab; i++) {
            if (!isfinite(logits[i])) part.bad = 1;
            if (logits[i] > part.maximum) part.maximum = logits[i], part.index = i;
        }
        ((struct HeadPart *)s->parts->before)[sequence * GROUPS + g] = part;
    }
}

static void fill_tokens(struct SampleTrial *s, uint32_t sequence, uint32_t position)
{
    uint32_t few = s->vocab < 24 ? s->vocab : 24; // so that some come twice
    uint32_t *tokens = (uint32_t *)s->tokens->before + sequence * TOKEN_STRIDE;
    for (uint32_t p = 0; p <= position; p++) tokens[p] = trial_hash(131 + sequence, p) % few;
}

static void sample_run(struct SampleTrial *s, const struct Pipeline *pipeline)
{
    trial_start(&s->t);
    if (!s->t.status)
        dispatch(&s->t.rec, pipeline, (struct Grid){s->sequences, 1, 1},
                 BUFFERS(&s->state->slice, &s->tokens->slice, &s->logits->slice, &s->parts->slice, &s->ring->slice),
                 ARGS(SampleArgs, .step_rows = 1, .vocab = s->vocab, .logits_stride = s->stride, .groups = GROUPS,
                      .token_stride = TOKEN_STRIDE));
    trial_finish(&s->t);
}

// Takes a number out of what came back.
static uint32_t take_u32(struct Array *array, size_t index)
{
    uint32_t value = ((uint32_t *)array->after)[index];
    ((uint32_t *)array->after)[index] = ((uint32_t *)array->before)[index];
    return value;
}

// The token of a sequence that goes on, after a look at all that `sample` does besides choosing it.
static uint32_t take_token(struct SampleTrial *s, struct Measure *m, uint32_t i)
{
    struct Sequence *before = sequence_at(s->state->before, i), *after = sequence_at(s->state->after, i);
    struct Sequence want = *before;
    uint32_t next = before->position + 1, token = take_u32(s->ring, i * TOKEN_STRIDE + next);
    want.position = next;
    want.remaining--;
    want.stop = before->remaining == 1 || next == before->context ? STOP_FULL : STOP_NONE;
    measure_true(m, !memcmp(&want, after, sizeof want));
    measure_true(m, take_u32(s->tokens, i * TOKEN_STRIDE + next) == token);
    measure_true(m, token < s->vocab);
    *after = *before;
    return token;
}

// A sequence that stops leaves its reason in its state and in the ring, and nothing else.
static void measure_stop(struct SampleTrial *s, struct Measure *m, uint32_t i, uint32_t stop)
{
    struct Sequence *before = sequence_at(s->state->before, i), *after = sequence_at(s->state->after, i);
    struct Sequence want = *before;
    want.stop = stop;
    measure_true(m, !memcmp(&want, after, sizeof want));
    measure_true(m, take_u32(s->ring, i * TOKEN_STRIDE + before->position + 1) == (RING_STOP | stop));
    *after = *before;
}

static void measure_rest(const struct SampleTrial *s, struct Measure *m)
{
    measure_untouched(m, s->state);
    measure_untouched(m, s->tokens);
    measure_untouched(m, s->parts);
    measure_untouched(m, s->ring);
}

// ---------------------------------------------------------------------------------------- one choice

struct SampleCase {
    float temperature;
    uint32_t top_k;
    float top_p, min_p, repeat_penalty;
    uint32_t repeat_last_n;
};

static const struct SampleCase CASES[] = {
    {0.0f, 0, 1.0f, 0.0f, 1.0f, 0},       {0.0f, 0, 1.0f, 0.0f, 1.3f, 64},   {1.0f, 0, 1.0f, 0.0f, 1.0f, 0},
    {0.8f, 40, 0.95f, 0.05f, 1.0f, 64},   {1e-3f, 0, 1.0f, 0.0f, 1.0f, 0},   {1e-37f, 0, 1.0f, 0.0f, 1.0f, 0},
    {1000.0f, 0, 1.0f, 0.0f, 1.0f, 0},    {1.0f, 1, 1.0f, 0.0f, 1.0f, 0},    {1.0f, 2, 1.0f, 0.0f, 1.0f, 0},
    {2.0f, 300, 1.0f, 0.0f, 1.0f, 0},     {1.0f, 0, 0.0f, 0.0f, 1.0f, 0},    {1.0f, 0, 1e-6f, 0.0f, 1.0f, 0},
    {1.5f, 0, 0.5f, 0.0f, 1.0f, 0},       {1.0f, 0, 0.999f, 0.0f, 1.0f, 0},  {1.0f, 0, 1.0f, 1.0f, 1.0f, 0},
    {3.0f, 0, 1.0f, 0.3f, 1.0f, 0},       {1.0f, 0, 1.0f, 0.0f, 1.5f, 5},    {1.0f, 0, 1.0f, 0.0f, 0.8f, 1000},
    {1.3f, 20, 0.9f, 0.01f, 1.2f, 16},    {1.0f, 1000000, 1.0f, 0.0f, 2.0f, 1},
};
#define CASE_COUNT (sizeof CASES / sizeof *CASES)

// How far the random number is outside of the token's share, with the limits of the set moved by `slack`.
static double outside(const struct SampleTrial *s, uint32_t sequence, uint32_t token, double slack)
{
    const struct Sequence *q = sequence_at(s->state->before, sequence);
    uint32_t seen = q->position + 1 < q->repeat_last_n ? q->position + 1 : q->repeat_last_n;
    const struct ReferenceSampling sampling = {
        .temperature = (double)q->temperature,
        .top_k = q->top_k,
        .top_p = q->top_p < 1.0f ? fmin(fmax((double)q->top_p + slack, 0.0), 1.0) : 1.0,
        .min_p = (double)q->min_p * (1.0 - 10.0 * slack),
        .repeat_penalty = (double)q->repeat_penalty,
        .recent = (const uint32_t *)s->tokens->before + sequence * TOKEN_STRIDE + q->position + 1 - seen,
        .recent_count = seen,
    };
    reference_sample(&sampling, s->vocab, logits_of(s, sequence), s->scratch, s->probabilities);
    if (token >= s->vocab || s->probabilities[token] == 0.0) return INFINITY;
    double below = 0.0, random = reference_random((uint64_t)q->seed_high << 32 | q->seed_low, q->position);
    for (uint32_t i = 0; i < token; i++) below += s->probabilities[i];
    return fmax(fdim(below, random), fdim(random, below + s->probabilities[token]));
}

// Every weight is rounded down to an integer.
static double share_bound(uint32_t vocab) { return 1e-5 + vocab * 0x1p-30; }

// A limit that falls between two tokens may do so on either side.
static double choice_error(const struct SampleTrial *s, uint32_t sequence, uint32_t token)
{
    double slack = 1e-6 + s->vocab * 0x1p-30, error = outside(s, sequence, token, 0.0);
    if (!(error <= share_bound(s->vocab))) error = fmin(error, outside(s, sequence, token, slack));
    if (!(error <= share_bound(s->vocab))) error = fmin(error, outside(s, sequence, token, -slack));
    return error;
}

// Logits with some equals; every other row in steps of a half, with many.
static void fill_logits(struct SampleTrial *s, uint32_t sequence)
{
    float *logits = logits_of(s, sequence);
    for (uint32_t i = 0; i < s->vocab; i++) {
        double sum = 0.0;
        for (uint32_t j = 0; j < 4; j++) sum += 2.0 * trial_fine(141 + 4 * sequence + j, i);
        logits[i] = (float)(sequence % 2 ? floor(2.0 * sum) / 2.0 : sum);
        if (i % 7 == 3) logits[i] = logits[i - 1];
    }
    if (sequence % 2 && s->vocab > 50000) logits[100] = logits[43100] = 9.0f; // maxima that one lane of sample compares
}

static void set_case(struct SampleTrial *s, uint32_t sequence, const struct SampleCase *c)
{
    struct Sequence *q = sequence_at(s->state->before, sequence);
    *q = (struct Sequence){
        .position = trial_hash(151, sequence) % (CONTEXT - 1),
        .rows = 1,
        .remaining = 7,
        .context = CONTEXT,
        .seed_low = trial_hash(152, sequence),
        .seed_high = trial_hash(153, sequence),
        .top_k = c->top_k,
        .temperature = c->temperature,
        .top_p = c->top_p,
        .min_p = c->min_p,
        .repeat_penalty = c->repeat_penalty,
        .repeat_last_n = c->repeat_last_n,
    };
    fill_logits(s, sequence);
    fill_parts(s, sequence);
    fill_tokens(s, sequence, q->position);
}

static int test_choices(struct Selftest *test, const struct Pipeline *pipeline, uint32_t vocab, uint32_t draws)
{
    struct SampleTrial s;
    sample_make(test, vocab, CASE_COUNT * draws, &s);
    for (uint32_t i = 0; i < s.sequences && !s.t.status; i++) set_case(&s, i, &CASES[i / draws]);
    sample_run(&s, pipeline);
    for (uint32_t c = 0; c < CASE_COUNT && !s.t.status; c++) {
        const struct SampleCase *p = &CASES[c];
        struct Measure m = {0};
        for (uint32_t i = c * draws; i < (c + 1) * draws; i++)
            measure_number(&m, choice_error(&s, i, take_token(&s, &m, i)));
        if (c + 1 == CASE_COUNT) measure_rest(&s, &m);
        selftest_report(test, pipeline->kernel, m.error, share_bound(vocab),
                        "V %u, T %g, top-k %u, top-p %g, min-p %g, penalty %g", vocab, (double)p->temperature, p->top_k,
                        (double)p->top_p, (double)p->min_p, (double)p->repeat_penalty);
    }
    return trial_end(&s.t);
}

// ------------------------------------------------------------------------------------- how a run ends

struct Fate {
    const char *name;
    uint32_t stop;              // that is expected; STOP_NONE and STOP_FULL come with a token
    float temperature, penalty;
    float planted;              // a logit, unless 0
    uint32_t eos_count, eos_at; // the greedy token stands at eos[eos_at]
    uint32_t position, remaining;
};

static const struct Fate FATES[] = {
    {"goes on", STOP_NONE, 0.0f, 1.0f, 0.0f, 0, 0, 3, 2},
    {"a NaN", STOP_BAD_LOGITS, 0.0f, 1.0f, NAN, 0, 0, 3, 2},
    {"an infinity", STOP_BAD_LOGITS, 1.0f, 1.0f, INFINITY, 0, 0, 3, 2},
    {"a negative infinity", STOP_BAD_LOGITS, 1.0f, 1.3f, -INFINITY, 0, 0, 3, 2},
    {"an infinity by the penalty", STOP_BAD_LOGITS, 1.0f, 1e-6f, 1e35f, 0, 0, 3, 2},
    {"an end token", STOP_EOS, 0.0f, 1.0f, 0.0f, 1, 0, 3, 2},
    {"the last of 16 end tokens", STOP_EOS, 1e-3f, 1.0f, 0.0f, MAX_EOS, MAX_EOS - 1, 0, 2},
    {"an end token that is not listed", STOP_NONE, 0.0f, 1.0f, 0.0f, 2, 2, 3, 2},
    {"an end token as the last one", STOP_EOS, 0.0f, 1.0f, 0.0f, 1, 0, CONTEXT - 1, 1},
    {"the last one asked for", STOP_FULL, 0.0f, 1.0f, 0.0f, 0, 0, 3, 1},
    {"the context is full", STOP_FULL, 0.0f, 1.0f, 0.0f, 0, 0, CONTEXT - 1, 9},
};
#define FATE_COUNT (sizeof FATES / sizeof *FATES)
#define GREEDY 200u  // the token with the largest logit
#define PLANTED 7u   // where a strange logit stands, and a token of the history

static void set_fate(struct SampleTrial *s, uint32_t i, const struct Fate *f)
{
    struct Sequence *q = sequence_at(s->state->before, i);
    *q = (struct Sequence){
        .position = f->position,
        .rows = 1,
        .remaining = f->remaining,
        .context = CONTEXT,
        .temperature = f->temperature,
        .top_p = 1.0f,
        .repeat_penalty = f->penalty,
        .repeat_last_n = CONTEXT,
        .eos_count = f->eos_count,
    };
    for (uint32_t e = 0; e < MAX_EOS; e++) q->eos[e] = e == f->eos_at ? GREEDY : 300 + e;
    fill_logits(s, i);
    logits_of(s, i)[GREEDY] = 20.0f;
    if (f->planted != 0.0f) logits_of(s, i)[PLANTED] = f->planted;
    fill_parts(s, i);
    fill_tokens(s, i, f->position);
    ((uint32_t *)s->tokens->before)[i * TOKEN_STRIDE] = PLANTED;
}

// And one more sequence, which has stopped before.
static int test_fates(struct Selftest *test, const struct Pipeline *pipeline)
{
    struct SampleTrial s;
    sample_make(test, 307, FATE_COUNT + 1, &s);
    for (uint32_t i = 0; i < s.sequences && !s.t.status; i++) set_fate(&s, i, &FATES[i % FATE_COUNT]);
    if (!s.t.status) sequence_at(s.state->before, FATE_COUNT)->stop = STOP_EOS;
    sample_run(&s, pipeline);
    for (uint32_t i = 0; i < FATE_COUNT && !s.t.status; i++) {
        bool token = FATES[i].stop == STOP_NONE || FATES[i].stop == STOP_FULL;
        struct Measure m = {0};
        if (token) measure_true(&m, take_token(&s, &m, i) == GREEDY);
        else measure_stop(&s, &m, i, FATES[i].stop);
        selftest_report(test, pipeline->kernel, m.error, 0.0, "V %u, %s", s.vocab, FATES[i].name);
    }
    struct Measure m = {0};
    if (!s.t.status) {
        measure_rest(&s, &m);
        selftest_report(test, pipeline->kernel, m.error, 0.0, "V %u, a sequence that has stopped", s.vocab);
    }
    return trial_end(&s.t);
}

// ------------------------------------------------------------------------------------------ frequencies

#define DRAWS 4096
#define BINS 37

// Pearson's chi-square of 4096 draws. With 36 degrees of freedom it is above 90 once in 10^6 times.
static int test_frequencies(struct Selftest *test, const struct Pipeline *pipeline)
{
    struct SampleTrial s;
    const struct SampleCase plain = {1.0f, 0, 1.0f, 0.0f, 1.0f, 0};
    const struct ReferenceSampling reference = {.temperature = 1.0, .top_p = 1.0, .repeat_penalty = 1.0};
    uint32_t seen[BINS] = {0};
    struct Measure m = {0};
    sample_make(test, BINS, DRAWS, &s);
    for (uint32_t i = 0; i < DRAWS && !s.t.status; i++) {
        set_case(&s, i, &plain);
        for (uint32_t v = 0; v < BINS; v++) logits_of(&s, i)[v] = (float)trial_fine(161, v);
        fill_parts(&s, i);
        sequence_at(s.state->before, i)->seed_low = i; // seeds that differ little, as people give them
        sequence_at(s.state->before, i)->seed_high = 0;
    }
    sample_run(&s, pipeline);
    if (s.t.status) return trial_end(&s.t);
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t token = take_token(&s, &m, i);
        if (token < BINS) seen[token]++;
    }
    measure_rest(&s, &m);
    reference_sample(&reference, BINS, logits_of(&s, 0), s.scratch, s.probabilities);
    double chi_square = 0.0;
    for (uint32_t v = 0; v < BINS; v++) {
        double expected = DRAWS * s.probabilities[v];
        chi_square += (seen[v] - expected) * (seen[v] - expected) / expected;
    }
    measure_number(&m, chi_square);
    selftest_report(test, pipeline->kernel, m.error, 90.0, "V %u, chi-square of %u draws", BINS, DRAWS);
    return trial_end(&s.t);
}

int selftest_sample(struct Selftest *test, const struct Pipeline *pipeline)
{
    int status = test_choices(test, pipeline, 2, 8);
    if (!status) status = test_choices(test, pipeline, 307, 8);
    if (!status) status = test_choices(test, pipeline, 50257, 2);
    if (!status) status = test_fates(test, pipeline);
    return status ? status : test_frequencies(test, pipeline);
}
