#include "serve/metrics.h"

#include <inttypes.h>
#include <stdbool.h>

static const struct Row {
    const char *name, *help;
    bool gauge;
} ROWS[METRIC_COUNT] = {
    [METRIC_PROMPT_TOKENS] = {"vkgpt_prompt_tokens_total", "Tokens of prompts that were begun.", false},
    [METRIC_REUSED_TOKENS] = {"vkgpt_prompt_tokens_reused_total", "Tokens of prompts that were in a cache already.",
                              false},
    [METRIC_TOKENS] = {"vkgpt_generated_tokens_total", "Tokens generated.", false},
    [METRIC_COMPLETIONS] = {"vkgpt_completions_total", "Requests for completions that were answered in full.", false},
    [METRIC_LEFT] = {"vkgpt_completions_left_total", "Requests for completions whose client went away.", false},
    [METRIC_REFUSED] = {"vkgpt_queue_full_total", "Requests that found the queue full.", false},
    [METRIC_DEVICE_ERRORS] = {"vkgpt_device_errors_total", "Errors of the device; each ends what was running.", false},
    [METRIC_RUNNING] = {"vkgpt_sequences_running", "Sequences that run on the device.", true},
    [METRIC_WAITING] = {"vkgpt_requests_waiting", "Requests in the queue.", true},
    [METRIC_SLOTS] = {"vkgpt_slots", "Sequences that can run at once.", true},
    [METRIC_CACHE_TOKENS] = {"vkgpt_cache_tokens", "Positions of the KV cache that running sequences use.", true},
    [METRIC_CACHE_SIZE] = {"vkgpt_cache_tokens_max", "Positions of the KV cache.", true},
};

static const struct Row TIMINGS[TIMING_COUNT] = {
    [TIMING_FIRST_TOKEN] = {"vkgpt_time_to_first_token_seconds", "From a request to its first token.", false},
    [TIMING_NEXT_TOKEN] = {"vkgpt_time_between_tokens_seconds", "From a token of a sequence to its next one.", false},
};

static const double BOUNDS[BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30};

void metrics_open(struct Metrics *m)
{
    *m = (struct Metrics){.values = {0}};
    pthread_mutex_init(&m->lock, NULL);
}

void metrics_close(struct Metrics *m) { pthread_mutex_destroy(&m->lock); }

void metrics_add(struct Metrics *m, enum Metric metric, double more)
{
    pthread_mutex_lock(&m->lock);
    m->values[metric] += more;
    pthread_mutex_unlock(&m->lock);
}

void metrics_set(struct Metrics *m, enum Metric metric, double value)
{
    pthread_mutex_lock(&m->lock);
    m->values[metric] = value;
    pthread_mutex_unlock(&m->lock);
}

void metrics_time(struct Metrics *m, enum Timing timing, double seconds)
{
    struct Histogram *h = &m->timings[timing];
    size_t bucket = 0;
    while (bucket < BUCKETS && seconds > BOUNDS[bucket]) bucket++;
    pthread_mutex_lock(&m->lock);
    h->counts[bucket]++;
    h->sum += seconds;
    pthread_mutex_unlock(&m->lock);
}

void metrics_status(struct Metrics *m, int status)
{
    if (status <= 0 || status >= MOST_STATUS) return;
    pthread_mutex_lock(&m->lock);
    m->statuses[status]++;
    pthread_mutex_unlock(&m->lock);
}

static void head(const struct Row *row, const char *type, struct Buffer *out)
{
    buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type);
}

static void histogram_text(const struct Row *row, const struct Histogram *h, struct Buffer *out)
{
    uint64_t count = 0;
    head(row, "histogram", out);
    for (size_t i = 0; i < BUCKETS; i++) {
        count += h->counts[i];
        buffer_format(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", row->name, BOUNDS[i], count);
    }
    count += h->counts[BUCKETS];
    buffer_format(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9g\n%s_count %" PRIu64 "\n", row->name, count,
                  row->name, h->sum, row->name, count);
}

void metrics_text(struct Metrics *m, struct Buffer *out)
{
    static const struct Row statuses = {"vkgpt_http_requests_total", "Answers, by status.", false};
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        head(&ROWS[i], ROWS[i].gauge ? "gauge" : "counter", out);
        buffer_format(out, "%s %.15g\n", ROWS[i].name, m->values[i]);
    }
    for (size_t i = 0; i < TIMING_COUNT; i++) histogram_text(&TIMINGS[i], &m->timings[i], out);
    head(&statuses, "counter", out);
    for (size_t i = 0; i < MOST_STATUS; i++)
        if (m->statuses[i]) buffer_format(out, "%s{status=\"%zu\"} %" PRIu64 "\n", statuses.name, i, m->statuses[i]);
    pthread_mutex_unlock(&m->lock);
}
