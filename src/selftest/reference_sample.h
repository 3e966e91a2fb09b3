// Sampling in plain C: what it means, in float64, and what `sample` must give, token by token.
#ifndef VKGPT_SELFTEST_REFERENCE_SAMPLE_H
#define VKGPT_SELFTEST_REFERENCE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

struct ReferenceBias {
    uint32_t id;
    float value;
};

// How the next token is chosen, as in vkgpt_sampling. `recent`: the tokens that the repeat penalty looks back on;
// `generated`: those that OpenAI's presence and frequency penalties count.
struct ReferenceSampling {
    double temperature, top_p, min_p, repeat_penalty;
    size_t top_k;
    const uint32_t *recent;
    size_t recent_count;
    const struct ReferenceBias *biases; // of different ids
    size_t bias_count;
    double presence, frequency;
    const uint32_t *generated;
    size_t generated_count;
};

// The probability (vocab) of each token to be next, in llama.cpp's order: biases, repeat penalty (Keskar et al. 2019),
// frequency and presence penalty, top-k, top-p, min-p, temperature. Tokens as likely as the last one inside a limit are
// inside, too. Temperature 0: 1 for the lowest id of the largest logit. scratch (vocab).
void reference_sample(const struct ReferenceSampling *sampling, size_t vocab, const float *logits, double *scratch,
                      double *probabilities);

// The token after `position`, as `sample` draws it. Weights are integers of up to 2^30, computed from the logits in
// steps that every device rounds alike, so that the token is the same everywhere. It is the one that the probabilities
// above give, unless the random number is within about 10^-6 of a boundary. The penalty must not make an infinity.
// changed (vocab), scratch (2, vocab).
uint32_t reference_draw(const struct ReferenceSampling *sampling, size_t vocab, const float *logits, uint64_t seed,
                        uint32_t position, float *changed, uint32_t *scratch);

// The number in [0, 1) that draws the token after `position`, which is the first whose summed probability exceeds it.
double reference_random(uint64_t seed, uint32_t position);

#endif
