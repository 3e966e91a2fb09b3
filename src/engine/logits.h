// Arithmetic on the logits of one row, on the host.
#ifndef VKGPT_ENGINE_LOGITS_H
#define VKGPT_ENGINE_LOGITS_H

#include <stddef.h>
#include <stdint.h>

// log(sum(exp(logits))), so that logits[id] - logits_log_sum is the log probability of id. In double, because float
// sums of 50,257 exponentials lose four digits.
double logits_log_sum(const float *logits, size_t vocab);
// The ids of the `top` largest logits, in order; of equal ones the lowest id comes first. Returns their number, which
// is `vocab` if that is smaller.
size_t logits_top(const float *logits, size_t vocab, size_t top, uint32_t *ids);
// The index of the first value that is a NaN or an infinity; `count` if all are finite.
size_t first_not_finite(const float *values, size_t count);

#endif
