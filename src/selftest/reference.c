#include "selftest/reference.h"

#include <math.h>

void reference_norm(size_t rows, size_t dim, const double *x, const float *gain, const float *bias, double eps,
                    double *out)
{
    for (size_t t = 0; t < rows; t++, x += dim, out += dim) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < dim; i++) mean += x[i];
        mean /= (double)dim;
        for (size_t i = 0; i < dim; i++) variance += (x[i] - mean) * (x[i] - mean);
        variance /= (double)dim;
        double inverse = 1 / sqrt(variance + eps);
        for (size_t i = 0; i < dim; i++)
            out[i] = (x[i] - mean) * inverse * (gain ? (double)gain[i] : 1) + (bias ? (double)bias[i] : 0);
    }
}

// Four partial sums: a quarter of the wait for additions, and the order is as good as any.
static double dot(size_t n, const double *x, const float *w)
{
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) sum[j] += x[i + j] * (double)w[i + j];
    for (; i < n; i++) sum[0] += x[i] * (double)w[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void reference_matmul(size_t rows, size_t in, size_t out_dim, const double *x, const float *w, const float *bias,
                      double *y)
{
    for (size_t o = 0; o < out_dim; o++) // a row of w stays in the processor's cache for all rows of x
        for (size_t t = 0; t < rows; t++)
            y[t * out_dim + o] = dot(in, x + t * in, w + o * in) + (bias ? (double)bias[o] : 0);
}

double reference_activation(enum Activation activation, double x)
{
    const double pi = 3.14159265358979323846;
    switch (activation) {
    case ACTIVATION_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
    case ACTIVATION_GELU_ERF: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case ACTIVATION_RELU: return x < 0 ? 0 : x; // in this order NaN stays NaN
    case ACTIVATION_SILU: return x / (1 + exp(-x));
    case ACTIVATION_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    }
    return NAN;
}

static double score(size_t head_dim, const double *q, const double *k, double scale)
{
    double sum = 0;
    for (size_t i = 0; i < head_dim; i++) sum += q[i] * k[i];
    return sum * scale;
}

// Attention of one query of one head over n positions, whose keys and values are `stride` apart. The scores are
// computed twice, for their maximum and for the weights, so that none has to be kept.
static void attend_one(size_t n, size_t head_dim, size_t stride, const double *q, const double *K, const double *V,
                       double scale, double *out)
{
    double most = -INFINITY, total = 0;
    for (size_t s = 0; s < n; s++) {
        double z = score(head_dim, q, K + s * stride, scale);
        if (!(z <= most)) most = z; // a NaN gets in
    }
    for (size_t i = 0; i < head_dim; i++) out[i] = 0;
    for (size_t s = 0; s < n; s++) {
        double weight = exp(score(head_dim, q, K + s * stride, scale) - most);
        total += weight;
        for (size_t i = 0; i < head_dim; i++) out[i] += weight * V[s * stride + i];
    }
    for (size_t i = 0; i < head_dim; i++) out[i] /= total;
}

void reference_attend(size_t rows, size_t first, size_t heads, size_t head_dim, const double *q, const double *K,
                      const double *V, double scale, size_t window, double *out)
{
    size_t dim = heads * head_dim;
    for (size_t t = 0; t < rows; t++)
        for (size_t h = 0; h < heads; h++) {
            size_t at = t * dim + h * head_dim, end = first + t + 1;
            size_t start = window && window < end ? end - window : 0, oldest = start * dim + h * head_dim;
            attend_one(end - start, head_dim, dim, q + at, K + oldest, V + oldest, scale, out + at);
        }
}

void reference_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53 * c0, b = (uint64_t)0xCD9E8D57 * c2;
        uint32_t next0 = (uint32_t)(b >> 32) ^ c1 ^ k0, next2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c0 = next0, c1 = (uint32_t)b, c2 = next2, c3 = (uint32_t)a;
        k0 += 0x9E3779B9; // the golden ratio and sqrt(3) - 1: Weyl sequences
        k1 += 0xBB67AE85;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}
