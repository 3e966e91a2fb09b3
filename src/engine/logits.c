#include "engine/logits.h"

#include <math.h>

double logits_log_sum(const float *logits, size_t vocab)
{
    double most = (double)logits[0], sum = 0.0;
    for (size_t i = 1; i < vocab; i++)
        if ((double)logits[i] > most) most = (double)logits[i];
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - most);
    return most + log(sum);
}

size_t logits_top(const float *logits, size_t vocab, size_t top, uint32_t *ids)
{
    size_t found = 0;
    for (uint32_t i = 0; top && i < vocab; i++) {
        if (found == top && !(logits[i] > logits[ids[top - 1]])) continue;
        size_t at = found < top ? found++ : top - 1;
        for (; at && logits[i] > logits[ids[at - 1]]; at--) ids[at] = ids[at - 1];
        ids[at] = i;
    }
    return found;
}

size_t first_not_finite(const float *values, size_t count)
{
    size_t i = 0;
    while (i < count && values[i] - values[i] == 0.0f) i++; // an infinity minus itself is NaN
    return i;
}
