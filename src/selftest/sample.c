// What sample must give: exactly the token that reference_sample.c draws, for each choice of settings, with every size
// of workgroup.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftest/reference_sample.h"
#include "selftest/selftest.h"

#define CONTEXT 40
#define TOKEN_STRIDE (CONTEXT + 1)
#define CHANGE_STRIDE (MAX_BIAS + TOKEN_STRIDE)
#define GROUPS 300    // of head: more than sample has lanes on a software driver
#define GREEDY 200u   // the token with the largest logit, where a sequence ends
#define FEW_GROUPS 11 // fewer than a usual top-k

struct SampleTrial {
    struct Trial t;
    struct Array *state, *tokens, *logits, *parts, *ring, *changes, *kept, *reports;
    uint32_t vocab, stride, sequences, step_rows, groups;
    float *changed;    // (vocab)
    uint32_t *scratch; // (2, vocab)
};

static void sample_make(struct Selftest *test, uint32_t vocab, uint32_t sequences, uint32_t step_rows, uint32_t groups,
                        struct SampleTrial *s)
{
    *s = (struct SampleTrial){.vocab = vocab, .stride = padded(vocab), .sequences = sequences};
    s->step_rows = step_rows, s->groups = groups;
    size_t rows = (size_t)sequences * step_rows;
    trial_begin(&s->t, test->device, test->err);
    s->state = selftest_state(&s->t, NULL, sequences);
    s->tokens = trial_array(&s->t, (size_t)sequences * TOKEN_STRIDE * 4);
    s->logits = trial_array(&s->t, rows * s->stride * 4);
    s->parts = trial_array(&s->t, rows * groups * sizeof(struct HeadPart));
    s->ring = trial_array(&s->t, (size_t)sequences * TOKEN_STRIDE * 4);
    s->changes = trial_array(&s->t, (size_t)sequences * CHANGE_STRIDE * sizeof(struct LogitChange));
    s->kept = trial_array(&s->t, rows * s->stride * 4);
    s->reports = trial_array(&s->t, rows * REPORTS_KEPT * sizeof(struct TokenReport));
    s->changed = trial_scratch(&s->t, vocab, sizeof *s->changed);
    s->scratch = trial_scratch(&s->t, 2 * (size_t)vocab, sizeof *s->scratch);
}

static struct Sequence *sequence_at(uint8_t *state, uint32_t i) { return selftest_sequences(state) + i; }

// Row: sequence * step_rows + row of the step.
static float *logits_of(const struct SampleTrial *s, uint32_t row)
{
    return (float *)s->logits->before + (size_t)row * s->stride;
}

// Parts as head writes them: each has the maximum of a part of the vocabulary, its lowest index, and whether any logit
// is bad.
static void fill_parts(struct SampleTrial *s, uint32_t row)
{
    uint32_t each = (s->vocab + s->groups - 1) / s->groups;
    for (uint32_t g = 0; g < s->groups; g++) {
        struct HeadPart part = {-INFINITY, UINT32_MAX, 0, 0};
        const float *logits = logits_of(s, row);
        for (uint32_t i = g * each; i < (g + 1) * each && i < s->vocab; i++) {
            if (!isfinite(logits[i])) part.bad = 1;
            if (logits[i] > part.maximum) part.maximum = logits[i], part.index = i;
        }
        ((struct HeadPart *)s->parts->before)[row * s->groups + g] = part;
    }
}

static void fill_tokens(struct SampleTrial *s, uint32_t sequence, uint32_t position)
{
    uint32_t few = s->vocab < 24 ? s->vocab : 24; // so that some occur twice
    uint32_t *tokens = (uint32_t *)s->tokens->before + sequence * TOKEN_STRIDE;
    for (uint32_t p = 0; p <= position; p++) tokens[p] = trial_hash(131 + sequence, p) % few;
}

static void sample_run(struct SampleTrial *s, const struct Pipeline *pipeline)
{
    trial_start(&s->t);
    if (!s->t.status)
        dispatch(&s->t.rec, pipeline, (struct Grid){s->sequences, 1, 1},
                 BUFFERS(&s->state->slice, &s->tokens->slice, &s->logits->slice, &s->parts->slice, &s->ring->slice,
                         &s->changes->slice, &s->kept->slice, &s->reports->slice),
                 ARGS(SampleArgs, .range = {0, s->sequences, s->step_rows}, .vocab = s->vocab,
                      .logits_stride = s->stride, .groups = s->groups, .token_stride = TOKEN_STRIDE));
    trial_finish(&s->t);
}

// Takes a number out of an array that came back.
static uint32_t take_u32(struct Array *array, size_t index)
{
    uint32_t value = ((uint32_t *)array->after)[index];
    ((uint32_t *)array->after)[index] = ((uint32_t *)array->before)[index];
    return value;
}

static void *element(uint8_t *data, size_t i, size_t size) { return data + i * size; }

// The report of a row and the logits that were kept for it.
static void take_report(struct SampleTrial *s, struct Measure *m, uint32_t i, uint32_t row, uint32_t position,
                        uint32_t token)
{
    const struct Sequence *q = sequence_at(s->state->before, i);
    uint32_t kept = REPORTS_KEPT * s->step_rows, at = i * kept + (position + 1) % kept;
    struct TokenReport *after = element(s->reports->after, at, sizeof *after),
                       *before = element(s->reports->before, at, sizeof *before);
    if (q->reports) {
        measure_true(m, selftest_report_holds(after, logits_of(s, row), s->vocab, token, q->reports - 1));
        memcpy(after, before, sizeof after->token + (q->reports - 1) * sizeof *after->top);
    }
    measure_true(m, !memcmp(after, before, sizeof *after));
}

static struct LogitChange *changes_at(uint8_t *data, uint32_t sequence)
{
    return (struct LogitChange *)data + (size_t)sequence * CHANGE_STRIDE;
}

// Counts a token in a list, as `sample` should. Returns how many different ones there are.
static uint32_t count_in(struct LogitChange *counts, uint32_t different, uint32_t token)
{
    uint32_t i = 0;
    while (i < different && counts[i].id != token) i++;
    counts[i] = (struct LogitChange){token, i < different ? counts[i].value + 1 : 1};
    return i < different ? different : different + 1;
}

// The counts of a sequence after it has made `made` tokens. Returns how many there are.
static uint32_t take_counts(struct SampleTrial *s, struct Measure *m, uint32_t i, const uint32_t *tokens, uint32_t made)
{
    const struct Sequence *q = sequence_at(s->state->before, i);
    struct LogitChange *before = changes_at(s->changes->before, i), *after = changes_at(s->changes->after, i),
                       want[CHANGE_STRIDE];
    uint32_t different = q->counted;
    memcpy(want, before, sizeof want);
    for (uint32_t r = 0; r < made && (q->presence != 0.0f || q->frequency != 0.0f); r++)
        different = count_in(want + MAX_BIAS, different, tokens[r]);
    measure_true(m, !memcmp(want, after, sizeof want));
    memcpy(after, before, sizeof want);
    return different;
}

// The token of a sequence that goes on. Also checks what else `sample` does.
static uint32_t take_token(struct SampleTrial *s, struct Measure *m, uint32_t i)
{
    struct Sequence *before = sequence_at(s->state->before, i), *after = sequence_at(s->state->after, i);
    struct Sequence want = *before;
    uint32_t next = before->position + 1, token = take_u32(s->ring, i * TOKEN_STRIDE + next);
    want.position = next;
    want.remaining--;
    want.stop = before->remaining == 1 || next == before->context ? STOP_FULL : STOP_NONE;
    want.counted = take_counts(s, m, i, &token, 1);
    take_report(s, m, i, i, before->position, token);
    measure_true(m, !memcmp(&want, after, sizeof want));
    measure_true(m, take_u32(s->tokens, i * TOKEN_STRIDE + next) == token);
    measure_true(m, token < s->vocab);
    *after = *before;
    return token;
}

// A stop must write its reason into the state of the sequence and into the ring, and nothing else.
static void measure_stop(struct SampleTrial *s, struct Measure *m, uint32_t i, uint32_t stop)
{
    struct Sequence *before = sequence_at(s->state->before, i), *after = sequence_at(s->state->after, i);
    struct Sequence want = *before;
    want.stop = stop;
    measure_true(m, !memcmp(&want, after, sizeof want));
    measure_true(m, take_u32(s->ring, i * TOKEN_STRIDE + before->position + 1) == (RING_STOP | stop));
    if (stop == STOP_EOS) take_report(s, m, i, i, before->position, GREEDY);
    *after = *before;
}

static void measure_rest(const struct SampleTrial *s, struct Measure *m)
{
    measure_untouched(m, s->state);
    measure_untouched(m, s->tokens);
    measure_untouched(m, s->parts);
    measure_untouched(m, s->ring);
    measure_untouched(m, s->changes);
    measure_untouched(m, s->reports);
}

// ---------------------------------------------------------------------------------------- one choice

struct SampleCase {
    float temperature;
    uint32_t top_k;
    float top_p, min_p, repeat_penalty;
    uint32_t repeat_last_n;
};

static const struct SampleCase CASES[] = {
    {0.0f, 0, 1.0f, 0.0f, 1.0f, 0},     {0.0f, 0, 1.0f, 0.0f, 1.3f, 64},      {1.0f, 0, 1.0f, 0.0f, 1.0f, 0},
    {0.8f, 40, 0.95f, 0.05f, 1.0f, 64}, {1e-3f, 0, 1.0f, 0.0f, 1.0f, 0},      {1e-37f, 0, 1.0f, 0.0f, 1.0f, 0},
    {1000.0f, 0, 1.0f, 0.0f, 1.0f, 0},  {1.0f, 1, 1.0f, 0.0f, 1.0f, 0},       {1.0f, 2, 1.0f, 0.0f, 1.0f, 0},
    {2.0f, 300, 1.0f, 0.0f, 1.0f, 0},   {1.0f, 0, 0.0f, 0.0f, 1.0f, 0},       {1.0f, 0, 1e-6f, 0.0f, 1.0f, 0},
    {1.5f, 0, 0.5f, 0.0f, 1.0f, 0},     {1.0f, 0, 0.999f, 0.0f, 1.0f, 0},     {1.0f, 0, 1.0f, 1.0f, 1.0f, 0},
    {3.0f, 0, 1.0f, 0.3f, 1.0f, 0},     {1.0f, 0, 1.0f, 0.0f, 1.5f, 5},       {1.0f, 0, 1.0f, 0.0f, 0.8f, 1000},
    {1.3f, 20, 0.9f, 0.01f, 1.2f, 16},  {1.0f, 1000000, 1.0f, 0.0f, 2.0f, 1},
};
#define CASE_COUNT (sizeof CASES / sizeof *CASES)

// The position of the first token that counts as generated.
static uint32_t begin_of(const struct Sequence *q) { return q->position < 9 ? 1 : q->position - 8; }

struct ChangeCase {
    float presence, frequency;
    uint32_t biases, reports;
};

static const struct ChangeCase CHANGES[] = {
    {0.0f, 0.0f, 0, 0},    {0.7f, 0.0f, 0, 0},  {0.0f, 0.3f, 3, 6}, {0.0f, 0.0f, 0, 21},
    {-0.5f, 1.1f, 300, 1}, {0.0f, 0.0f, 17, 4}, {0.0f, 0.0f, 0, 1}, {2.0f, -2.0f, 1, 2},
};
#define CHANGE_COUNT (sizeof CHANGES / sizeof *CHANGES)

// What else changes the logits of a sequence whose tokens are there, and which reports it wants.
static void set_changes(struct SampleTrial *s, uint32_t sequence, uint32_t number)
{
    const struct ChangeCase *c = &CHANGES[number % CHANGE_COUNT];
    struct Sequence *q = sequence_at(s->state->before, sequence);
    struct LogitChange *changes = changes_at(s->changes->before, sequence);
    const uint32_t *tokens = (const uint32_t *)s->tokens->before + sequence * TOKEN_STRIDE;
    q->presence = c->presence, q->frequency = c->frequency;
    q->biases = c->biases < s->vocab ? c->biases : s->vocab;
    q->reports = c->reports < s->vocab + 1 ? c->reports : s->vocab + 1;
    for (uint32_t i = 0; i < q->biases; i++) {
        float value = (float)(4.0 * trial_fine(157 + number, i));
        changes[i].id = i * (s->vocab / q->biases); // among them tokens that occur
        memcpy(&changes[i].value, &value, sizeof value);
    }
    if (q->presence == 0.0f && q->frequency == 0.0f) return;
    for (uint32_t p = begin_of(q); p <= q->position; p++)
        q->counted = count_in(changes + MAX_BIAS, q->counted, tokens[p]);
}

// The token after `position`, in plain C, from a row of logits.
static uint32_t reference_token(const struct SampleTrial *s, uint32_t sequence, uint32_t row, uint32_t position)
{
    const struct Sequence *q = sequence_at(s->state->before, sequence);
    const uint32_t *tokens = (const uint32_t *)s->tokens->before + sequence * TOKEN_STRIDE;
    uint32_t begin = begin_of(q), seen = position + 1 < q->repeat_last_n ? position + 1 : q->repeat_last_n;
    const struct ReferenceSampling sampling = {
        .temperature = (double)q->temperature,
        .top_k = q->top_k,
        .top_p = (double)q->top_p,
        .min_p = (double)q->min_p,
        .repeat_penalty = (double)q->repeat_penalty,
        .recent = tokens + position + 1 - seen,
        .recent_count = seen,
        .biases = (const struct ReferenceBias *)changes_at(s->changes->before, sequence),
        .bias_count = q->biases,
        .presence = (double)q->presence,
        .frequency = (double)q->frequency,
        .generated = tokens + begin,
        .generated_count = q->presence != 0.0f || q->frequency != 0.0f ? position + 1 - begin : 0,
    };
    return reference_draw(&sampling, s->vocab, logits_of(s, row), (uint64_t)q->seed_high << 32 | q->seed_low, position,
                          s->changed, s->scratch);
}

// Logits, some of them equal; every other row is in steps of a half, with many equal ones.
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
    fill_tokens(s, sequence, q->position);
}

static void measure_choice(struct SampleTrial *s, struct Measure *m, uint32_t i)
{
    uint32_t position = sequence_at(s->state->before, i)->position;
    measure_true(m, take_token(s, m, i) == reference_token(s, i, i, position));
}

static int test_choices(struct Selftest *test, const struct Pipeline *pipeline, uint32_t vocab, uint32_t draws)
{
    struct SampleTrial s;
    sample_make(test, vocab, CASE_COUNT * draws, 1, GROUPS, &s);
    for (uint32_t i = 0; i < s.sequences && !s.t.status; i++) {
        set_case(&s, i, &CASES[i / draws]);
        set_changes(&s, i, i + i / draws);
        fill_logits(&s, i);
        fill_parts(&s, i);
    }
    sample_run(&s, pipeline);
    for (uint32_t c = 0; c < CASE_COUNT && !s.t.status; c++) {
        const struct SampleCase *p = &CASES[c];
        struct Measure m = {0};
        for (uint32_t i = c * draws; i < (c + 1) * draws; i++) measure_choice(&s, &m, i);
        if (c + 1 == CASE_COUNT) measure_rest(&s, &m);
        selftest_report(test, pipeline->kernel, m.error, 0.0, "V %u, T %g, top-k %u, top-p %g, min-p %g, penalty %g",
                        vocab, (double)p->temperature, p->top_k, (double)p->top_p, (double)p->min_p,
                        (double)p->repeat_penalty);
    }
    return trial_end(&s.t);
}

// ------------------------------------------------------------------------------- all kinds of settings

#define KINDS 8 // of logits

// One logit of a row of a kind, from a random number `bell` of a bell-shaped distribution.
static float logit_of_kind(uint32_t kind, uint32_t row, uint32_t i, double bell)
{
    switch (kind) {
    case 0: return (float)(3.0 * bell - 60.0); // as GPT-2's
    case 1: return (float)(3.0 * bell);
    case 2: return (float)floor(2.0 * bell);               // many equal
    case 3: return i % 2 ? 0.0f : -0.0f;                   // all equal
    case 4: return (float)(1e-4 * bell + 8.0);             // nearly so
    case 5: return (float)(1e37 * bell);                   // infinitely far apart
    case 6: return i == row % 7 ? 30.0f : (float)bell;     // one far above
    default: return i % 3 ? -1.0f : (float)(i % 5) - 2.0f; // the k-th of many, with few steps
    }
}

static void fill_kind(struct SampleTrial *s, uint32_t row, uint32_t kind)
{
    float *logits = logits_of(s, row);
    for (uint32_t i = 0; i < s->vocab; i++) {
        double bell = 0.0;
        for (uint32_t j = 0; j < 4; j++) bell += trial_fine(181 + 4 * row + j, i);
        logits[i] = logit_of_kind(kind, row, i, bell);
    }
    fill_parts(s, row);
}

// Settings of each sort, mixed at random.
static void set_mixed(struct SampleTrial *s, uint32_t sequence, uint32_t seed)
{
    const uint32_t k[] = {0, 1, 2, 40, 40, 130, s->vocab - 1, s->vocab, s->vocab + 5};
    static const float t[] = {1e-30f, 0.1f, 0.8f, 0.8f, 1.5f, 1e6f}, p[] = {0.0f, 0.1f, 0.95f, 0.95f, 1.0f, 1.0f};
    static const float min_p[] = {0.0f, 0.0f, 0.05f, 1.0f}, penalties[] = {1.0f, 1.0f, 0.7f, 1.3f};
#define MIX(list, n) list[trial_hash(seed + (n), sequence) % (sizeof list / sizeof *list)]
    const struct SampleCase c = {MIX(t, 1),     MIX(k, 2),         MIX(p, 3),
                                 MIX(min_p, 4), MIX(penalties, 5), trial_hash(seed + 6, sequence) % CONTEXT};
#undef MIX
    uint32_t row = sequence * s->step_rows, kind = trial_hash(seed + 7, sequence) % KINDS;
    set_case(s, sequence, &c);
    set_changes(s, sequence, trial_hash(seed + 8, sequence));
    for (uint32_t r = 0; r < s->step_rows; r++) fill_kind(s, row + r, kind);
}

static int test_mixed(struct Selftest *test, const struct Pipeline *pipeline, uint32_t vocab, uint32_t sequences,
                      uint32_t groups)
{
    struct SampleTrial s;
    struct Measure m = {0};
    sample_make(test, vocab, sequences, 1, groups, &s);
    for (uint32_t i = 0; i < sequences && !s.t.status; i++) set_mixed(&s, i, 191);
    sample_run(&s, pipeline);
    for (uint32_t i = 0; i < sequences && !s.t.status; i++) measure_choice(&s, &m, i);
    if (!s.t.status) {
        measure_rest(&s, &m);
        selftest_report(test, pipeline->kernel, m.error, 0.0, "V %u, %u parts, %u mixed settings, workgroups of %u",
                        vocab, groups, sequences, pipeline->constants[CONSTANT_SIZE]);
    }
    return trial_end(&s.t);
}

// With any size of the workgroup, sample draws what the reference draws.
static int test_sizes(struct Selftest *test)
{
    int status = VKGPT_OK;
    for (uint32_t size = 64; size <= test->device->info.max_workgroup && size <= 1024 && !status; size *= 4) {
        const uint32_t constants[] = {[CONSTANT_SIZE] = size};
        const struct Pipeline *pipeline;
        status = pipeline_get(test->device, "sample", constants, 1, &pipeline, test->err);
        if (!status) status = test_mixed(test, pipeline, 50257, 16, GROUPS);
        if (!status) status = test_mixed(test, pipeline, 1023, 64, FEW_GROUPS);
    }
    return status;
}

// ------------------------------------------------------------------------------------------- drafts

#define DRAFTED 3 // rows of a step

// A step of three rows whose drafts are right, or fail at the second or at the first. Returns how many tokens it makes.
static uint32_t set_drafts(struct SampleTrial *s, uint32_t sequence)
{
    set_mixed(s, sequence, 211);
    struct Sequence *q = sequence_at(s->state->before, sequence);
    uint32_t *tokens = (uint32_t *)s->tokens->before + sequence * TOKEN_STRIDE, right = sequence % DRAFTED;
    q->position = 5 + sequence % 20;
    q->rows = DRAFTED;
    q->counted = 0;
    fill_tokens(s, sequence, q->position);
    set_changes(s, sequence, sequence);
    for (uint32_t r = 0; r + 1 < DRAFTED; r++) {
        uint32_t at = q->position + r;
        tokens[at + 1] = reference_token(s, sequence, sequence * DRAFTED + r, at);
        if (r == right) tokens[at + 1] = (tokens[at + 1] + 1) % s->vocab;
    }
    return right + 1;
}

static void measure_drafts(struct SampleTrial *s, struct Measure *m, uint32_t sequence, uint32_t made)
{
    struct Sequence *before = sequence_at(s->state->before, sequence), *after = sequence_at(s->state->after, sequence);
    struct Sequence want = *before;
    uint32_t tokens[DRAFTED];
    for (uint32_t r = 0; r < made; r++) {
        size_t at = sequence * TOKEN_STRIDE + before->position + r + 1;
        uint32_t token = reference_token(s, sequence, sequence * DRAFTED + r, before->position + r);
        measure_true(m, take_u32(s->ring, at) == token);
        measure_true(m, take_u32(s->tokens, at) == token);
        take_report(s, m, sequence, sequence * DRAFTED + r, before->position + r, token);
        tokens[r] = token;
    }
    want.counted = take_counts(s, m, sequence, tokens, made);
    want.position += made, want.remaining -= made, want.rows = 1;
    measure_true(m, !memcmp(&want, after, sizeof want));
    *after = *before;
}

static int test_drafts(struct Selftest *test, const struct Pipeline *pipeline)
{
    struct SampleTrial s;
    struct Measure m = {0};
    uint32_t made[36];
    sample_make(test, 257, sizeof made / sizeof *made, DRAFTED, GROUPS, &s);
    for (uint32_t i = 0; i < s.sequences && !s.t.status; i++) made[i] = set_drafts(&s, i);
    sample_run(&s, pipeline);
    for (uint32_t i = 0; i < s.sequences && !s.t.status; i++) measure_drafts(&s, &m, i, made[i]);
    if (!s.t.status) {
        measure_rest(&s, &m);
        selftest_report(test, pipeline->kernel, m.error, 0.0, "V %u, steps of %u rows", s.vocab, DRAFTED);
    }
    return trial_end(&s.t);
}

// ------------------------------------------------------------------------------------- how a run ends

struct Fate {
    const char *name;
    uint32_t stop; // that is expected; STOP_NONE and STOP_FULL come with a token
    float temperature, penalty;
    float planted;              // a logit, unless 0
    uint32_t eos_count, eos_at; // the greedy token is at eos[eos_at]
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
#define PLANTED 7u // the token with a strange logit, which is in the history too

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
        .reports = 3,
    };
    for (uint32_t e = 0; e < MAX_EOS; e++) q->eos[e] = e == f->eos_at ? GREEDY : 300 + e;
    fill_logits(s, i);
    logits_of(s, i)[GREEDY] = 20.0f;
    if (f->planted != 0.0f) logits_of(s, i)[PLANTED] = f->planted;
    fill_parts(s, i);
    fill_tokens(s, i, f->position);
    ((uint32_t *)s->tokens->before)[i * TOKEN_STRIDE] = PLANTED;
}

// One more sequence is there, which has stopped before.
static int test_fates(struct Selftest *test, const struct Pipeline *pipeline)
{
    struct SampleTrial s;
    sample_make(test, 307, FATE_COUNT + 1, 1, GROUPS, &s);
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
    double scratch[BINS], probabilities[BINS];
    struct Measure m = {0};
    sample_make(test, BINS, DRAWS, 1, GROUPS, &s);
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
    reference_sample(&reference, BINS, logits_of(&s, 0), scratch, probabilities);
    double chi_square = 0.0;
    for (uint32_t v = 0; v < BINS; v++) {
        double expected = DRAWS * probabilities[v];
        chi_square += (seen[v] - expected) * (seen[v] - expected) / expected;
    }
    measure_number(&m, chi_square);
    selftest_report(test, pipeline->kernel, m.error, 90.0, "V %u, chi-square of %u draws", BINS, DRAWS);
    return trial_end(&s.t);
}

int selftest_sample(struct Selftest *test, const struct Pipeline *pipeline)
{
    static const uint32_t vocabs[] = {1, 7, 255, 256, 257};
    int status = test_choices(test, pipeline, 2, 8);
    if (!status) status = test_choices(test, pipeline, 307, 8);
    if (!status) status = test_choices(test, pipeline, 50257, 2);
    for (size_t i = 0; i < sizeof vocabs / sizeof *vocabs && !status; i++)
        status = test_mixed(test, pipeline, vocabs[i], 96, i % 2 ? FEW_GROUPS : GROUPS);
    if (!status) status = test_mixed(test, pipeline, 50257, 64, GROUPS);
    if (!status) status = test_sizes(test);
    if (!status) status = test_drafts(test, pipeline);
    if (!status) status = test_fates(test, pipeline);
    return status ? status : test_frequencies(test, pipeline);
}
