// Sampling in plain C: the part of the reference that `sample` is compared with.
#ifndef VKGPT_ENGINE_REFERENCE_SAMPLE_H
#define VKGPT_ENGINE_REFERENCE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

// How the next token is chosen, as in vkgpt_sampling. `recent`: the tokens that the repeat penalty looks back on.
struct ReferenceSampling {
    double temperature, top_p, min_p, repeat_penalty;
    size_t top_k;
    const uint32_t *recent;
    size_t recent_count;
};

// The probability (vocab) of each token to be next, in llama.cpp's order: repeat penalty (Keskar et al. 2019), top-k,
// top-p, min-p, temperature. Tokens as likely as the last one inside a limit are inside, too. Temperature 0: 1 for the
// lowest id of the largest logit. scratch (vocab).
void reference_sample(const struct ReferenceSampling *sampling, size_t vocab, const float *logits, double *scratch,
                      double *probabilities);

// The number in [0, 1) that draws the token behind `position`: it is the first whose summed probability passes it.
double reference_random(uint64_t seed, uint32_t position);

#endif
