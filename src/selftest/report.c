// What a report of a token must be (shaders/report.glsl): log softmax and the likeliest tokens, in float64.
#include <math.h>
#include <string.h>

#include "selftest/reference.h"
#include "selftest/selftest.h"

#define TOP 7

static bool is_near(float got, double want) { return fabs((double)got - want) <= 2e-6 * fmax(1.0, fabs(want)); }

// The likeliest token after `last`, the lowest id on ties; last >= vocab: of all.
static uint32_t next_likely(const float *logits, uint32_t vocab, uint32_t last)
{
    uint32_t best = vocab;
    for (uint32_t i = 0; i < vocab; i++) {
        bool after = last >= vocab || logits[i] < logits[last] || (logits[i] == logits[last] && i > last);
        if (after && (best == vocab || logits[i] > logits[best])) best = i;
    }
    return best;
}

bool selftest_report_holds(const struct TokenReport *report, const float *logits, uint32_t vocab, uint32_t token,
                           uint32_t top)
{
    uint32_t likely = next_likely(logits, vocab, vocab);
    double most = (double)logits[likely], sum = 0.0;
    for (uint32_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - most);
    double all = most + log(sum);
    bool holds = report->token.id == token && is_near(report->token.logprob, (double)logits[token] - all);
    for (uint32_t i = 0; i < top; i++) {
        holds = holds && report->top[i].id == likely && is_near(report->top[i].logprob, (double)logits[likely] - all);
        likely = next_likely(logits, vocab, likely);
    }
    return holds;
}

// Of rows of a block: the first has two maxima, the second a logit that is not finite.
int selftest_reports(const struct Stage *stage)
{
    uint32_t vocab = stage->layer->size->vocab, stride = stage->layer->size->context + 1, sequence, position,
             top = vocab < TOP ? vocab : TOP;
    const struct Pipeline *report;
    struct Trial t;
    double *values;
    int status = kernel_for_reports(stage->test->device, stage->test->deterministic, &report, stage->test->err);
    if (status) return status;
    trial_begin(&t, stage->test->device, stage->test->err);
    struct Array *state = stage_state(stage, &t), *tokens = trial_array(&t, (size_t)SEQUENCES * stride * 4),
                 *logits = stage_input(stage, &t, axis_of(vocab), 181, 3.0, &values),
                 *reports = trial_array(&t, stage->rows * sizeof(struct TokenReport));
    float *first = (float *)logits->before;
    uint32_t *ids = (uint32_t *)tokens->before;
    for (uint32_t i = 0; i < SEQUENCES * stride && !t.status; i++) ids[i] = trial_hash(182, i) % vocab;
    for (uint32_t i = 0; i < SEQUENCES && !t.status; i++) selftest_sequences(state->before)[i].reports = 1 + top;
    if (!t.status) first[vocab - 1] = first[0] = 9.0f;
    if (!t.status) first[padded(vocab) + vocab / 2] = NAN;
    trial_start(&t);
    if (!t.status)
        dispatch(&t.rec, report, (struct Grid){1, stage->rows, 1},
                 BUFFERS(&state->slice, &tokens->slice, &logits->slice, &reports->slice),
                 ARGS(ReportArgs, .vocab = vocab, .logits_stride = padded(vocab), .token_stride = stride));
    trial_finish(&t);
    struct Measure m = {0};
    for (uint32_t r = 0; r < stage->rows && !t.status; r++) {
        if (!stage_row(stage, r, &sequence, &position)) continue;
        struct TokenReport *got = (struct TokenReport *)reports->after + r,
                           *before = (struct TokenReport *)reports->before + r;
        uint32_t token = ids[sequence * stride + position + 1];
        if (r == 1) measure_true(&m, got->token.id == REPORT_BAD), *got = *before;
        else measure_true(&m, selftest_report_holds(got, first + (size_t)r * padded(vocab), vocab, token, top));
        memcpy(got, before, sizeof got->token + top * sizeof *got->top);
    }
    if (!t.status) {
        measure_untouched(&m, reports);
        stage_report(stage, report, m, 0.0);
    }
    return trial_end(&t);
}
