#include "engine/reference_sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "engine/reference.h"

static void penalise(const struct ReferenceSampling *s, size_t vocab, double *logits)
{
    for (size_t i = 0; i < s->recent_count; i++) {
        uint32_t id = s->recent[i];
        bool again = id >= vocab;
        for (size_t j = 0; j < i && !again; j++) again = s->recent[j] == id;
        if (!again) logits[id] = logits[id] > 0 ? logits[id] / s->repeat_penalty : logits[id] * s->repeat_penalty;
    }
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// The least logit that may be drawn; sorted (count) falls.
static double sample_limit(const struct ReferenceSampling *s, size_t count, const double *sorted)
{
    if (s->top_k > 0 && s->top_k < count)
        while (count > s->top_k && sorted[count - 1] < sorted[s->top_k - 1]) count--;
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++) total += exp(sorted[i] - sorted[0]);
    size_t last = count - 1;
    if (s->top_p < 1)
        for (last = 0; last + 1 < count; last++) {
            sum += exp(sorted[last] - sorted[0]);
            if (sum >= s->top_p * total) break;
        }
    double limit = sorted[last];
    if (s->min_p > 0) limit = fmax(limit, sorted[0] + log(s->min_p));
    return fmin(limit, sorted[0]);
}

void reference_sample(const struct ReferenceSampling *s, size_t vocab, const float *logits, double *scratch,
                      double *probabilities)
{
    double *p = probabilities;
    for (size_t i = 0; i < vocab; i++) p[i] = (double)logits[i];
    penalise(s, vocab, p);
    for (size_t i = 0; i < vocab; i++) scratch[i] = p[i];
    qsort(scratch, vocab, sizeof *scratch, falling);
    double most = scratch[0], limit = sample_limit(s, vocab, scratch), total = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (s->temperature > 0) p[i] = p[i] >= limit ? exp((p[i] - most) / s->temperature) : 0;
        else p[i] = p[i] == most && total == 0 ? 1 : 0;
        total += p[i];
    }
    for (size_t i = 0; i < vocab; i++) p[i] /= total;
}

double reference_random(uint64_t seed, uint32_t position)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, counter[4] = {position, 0, 0, 0};
    uint32_t words[4];
    reference_philox(key, counter, words);
    return words[0] * 0x1p-32;
}
