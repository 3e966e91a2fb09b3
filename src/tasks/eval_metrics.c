// The reported numbers, each with its standard error, from the scores of the items.
#include <math.h>

#include "tasks/eval.h"

// A mean and its standard error: the standard deviation of the sample divided by the root of n.
struct Mean {
    double n, mean, squares; // sum of squared deviations (Welford 1962)
};

static void mean_add(struct Mean *m, double x)
{
    double before = x - m->mean;
    m->n++;
    m->mean += before / m->n;
    m->squares += before * (x - m->mean);
}

static double mean_error(const struct Mean *m) { return m->n > 1 ? sqrt(m->squares / (m->n - 1) / m->n) : (double)NAN; }

// The harness finds the errors of perplexities by resampling. These are the first-order values: if x changes by d, e^x
// changes by about e^x * d.
static size_t last_word(const struct EvalTask *task, struct EvalMetric *metrics)
{
    struct Mean right = {0}, logprob = {0};
    for (size_t i = 0; i < task->count; i++) {
        const struct EvalItem *item = &task->items[i];
        if (!item->done) continue;
        mean_add(&right, item->greedy);
        mean_add(&logprob, item->logprobs[0]);
    }
    double perplexity = exp(-logprob.mean);
    metrics[0] = (struct EvalMetric){"acc", "acc_stderr", right.mean, mean_error(&right)};
    metrics[1] = (struct EvalMetric){"perplexity", "perplexity_stderr", perplexity, perplexity * mean_error(&logprob)};
    return 2;
}

// The likeliest answer, or the likeliest per character; of equal ones the first, as with numpy's argmax. An empty
// answer is never the likeliest per character.
static size_t likeliest(const struct EvalItem *item, bool by_character)
{
    size_t best = 0;
    double most = -INFINITY;
    for (size_t i = 0; i < item->count; i++) {
        double value = item->logprobs[i];
        if (by_character) value /= (double)item->answers[i].characters;
        if (value <= most) continue;
        most = value;
        best = i;
    }
    return best;
}

static size_t choices(const struct EvalTask *task, struct EvalMetric *metrics)
{
    struct Mean right = {0}, right_norm = {0};
    for (size_t i = 0; i < task->count; i++) {
        const struct EvalItem *item = &task->items[i];
        if (!item->done) continue;
        mean_add(&right, likeliest(item, false) == item->gold);
        mean_add(&right_norm, likeliest(item, true) == item->gold);
    }
    metrics[0] = (struct EvalMetric){"acc", "acc_stderr", right.mean, mean_error(&right)};
    metrics[1] = (struct EvalMetric){"acc_norm", "acc_norm_stderr", right_norm.mean, mean_error(&right_norm)};
    return task->normalized ? 2 : 1;
}

// The log likelihood of all pages, divided by the words, or bytes, of all pages.
struct Ratio {
    double ratio, error;
};

static struct Ratio ratio_of(const struct EvalTask *task, bool words)
{
    double n = 0, sum = 0, size = 0, squares = 0;
    for (size_t i = 0; i < task->count; i++) {
        const struct EvalItem *item = &task->items[i];
        if (!item->done) continue;
        n++;
        sum += item->logprobs[0];
        size += (double)(words ? item->words : item->bytes);
    }
    double ratio = sum / size;
    for (size_t i = 0; i < task->count; i++) {
        const struct EvalItem *item = &task->items[i];
        double rest = item->done ? item->logprobs[0] - ratio * (double)(words ? item->words : item->bytes) : 0;
        squares += rest * rest;
    }
    return (struct Ratio){ratio, n > 1 ? sqrt(n / (n - 1) * squares) / size : (double)NAN};
}

static size_t pages(const struct EvalTask *task, struct EvalMetric *metrics)
{
    struct Ratio words = ratio_of(task, true), bytes = ratio_of(task, false);
    double word = exp(-words.ratio), byte = exp(-bytes.ratio);
    metrics[0] = (struct EvalMetric){"word_perplexity", "word_perplexity_stderr", word, word * words.error};
    metrics[1] = (struct EvalMetric){"byte_perplexity", "byte_perplexity_stderr", byte, byte * bytes.error};
    metrics[2] =
        (struct EvalMetric){"bits_per_byte", "bits_per_byte_stderr", -bytes.ratio / log(2), bytes.error / log(2)};
    return 3;
}

size_t eval_metrics(const struct EvalTask *task, struct EvalMetric metrics[EVAL_MAX_METRICS])
{
    switch (task->kind) {
    case EVAL_LAST_WORD: return last_word(task, metrics);
    case EVAL_CHOICES: return choices(task, metrics);
    default: return pages(task, metrics);
    }
}
