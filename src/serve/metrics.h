// Counters of a server, as text for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).
#ifndef VKGPT_SERVE_METRICS_H
#define VKGPT_SERVE_METRICS_H

#include <pthread.h>
#include <stdint.h>

#include "tasks/buffer.h"

// Each is a row of the table in metrics.c.
enum Metric {
    METRIC_PROMPT_TOKENS,
    METRIC_REUSED_TOKENS,
    METRIC_TOKENS,
    METRIC_COMPLETIONS,
    METRIC_LEFT,
    METRIC_REFUSED,
    METRIC_DEVICE_ERRORS,
    METRIC_RUNNING,
    METRIC_WAITING,
    METRIC_SLOTS,
    METRIC_CACHE_TOKENS,
    METRIC_CACHE_SIZE,
    METRIC_COUNT
};
enum Timing { TIMING_FIRST_TOKEN, TIMING_NEXT_TOKEN, TIMING_COUNT };

#define BUCKETS 12
#define MOST_STATUS 600

struct Histogram {
    uint64_t counts[BUCKETS + 1]; // the last one: more than all bounds
    double sum;
};

struct Metrics {
    pthread_mutex_t lock;
    double values[METRIC_COUNT];
    struct Histogram timings[TIMING_COUNT];
    uint64_t statuses[MOST_STATUS]; // answers, by status
};

void metrics_open(struct Metrics *metrics);
void metrics_close(struct Metrics *metrics);
void metrics_add(struct Metrics *metrics, enum Metric metric, double more);
void metrics_set(struct Metrics *metrics, enum Metric metric, double value);
void metrics_time(struct Metrics *metrics, enum Timing timing, double seconds);
void metrics_status(struct Metrics *metrics, int status);
void metrics_text(struct Metrics *metrics, struct Buffer *out);

#endif
