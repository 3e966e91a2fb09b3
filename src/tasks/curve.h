// Accuracy against the number of examples, with its confidence interval: collects it, writes it as JSON and draws it.
#ifndef VKGPT_TASKS_CURVE_H
#define VKGPT_TASKS_CURVE_H

#include <cjson/cJSON.h>

#include "vkgpt.h"

#define CURVE_MAX 64 // points

enum Measure {
    MEASURE_EXACT,         // the written answer is the right one
    MEASURE_F1,            // F1 of the words of the written answer
    MEASURE_CHOICE,        // the likeliest choice is the right one
    MEASURE_PER_TOKEN,     // the same, by log likelihood divided by tokens (Brown et al. 2020, section 2.4)
    MEASURE_UNCONDITIONAL, // the same, by log likelihood minus that after a neutral context
    MEASURES
};

struct Point {
    size_t shots, items;
    double sum[MEASURES], squares[MEASURES];
    size_t cut, dropped; // prompts that did not fit, and the examples that were left out of them
};

struct Curve {
    const char *task, *model;
    bool chosen;          // answers are chosen; else they are written
    enum Measure measure; // shown in the plot
    struct Point points[CURVE_MAX];
    size_t count;
};

// A mean and its 95 % confidence interval: Wilson's interval for right or wrong, the normal one for F1.
struct Estimate {
    double value, low, high;
};

bool measure_is_of(enum Measure measure, bool chosen); // whether a curve of chosen (or written) answers has it
const char *measure_name(enum Measure measure);
const char *measure_title(enum Measure measure); // for people
void point_add(struct Point *point, enum Measure measure, double value);
struct Estimate point_estimate(const struct Point *point, enum Measure measure);

cJSON *curve_json(const struct Curve *curve);
// Writes an SVG like figure 1.2 of Brown et al. (2020) to `path`. A curve without points writes nothing.
int curve_plot(const struct Curve *curve, const char *path, vkgpt_error *err);

#endif
