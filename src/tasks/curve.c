#include "tasks/curve.h"

#include <math.h>

#define Z 1.959963984540054 // 95 % of a normal distribution lie within -Z and Z

static const struct {
    const char *name, *title;
    bool chosen, proportion;
} MEASURE[MEASURES] = {
    [MEASURE_EXACT] = {"exact", "exact match", false, true},
    [MEASURE_F1] = {"f1", "F1 of words", false, false},
    [MEASURE_CHOICE] = {"choice", "accuracy", true, true},
    [MEASURE_PER_TOKEN] = {"per-token", "accuracy per token", true, true},
    [MEASURE_UNCONDITIONAL] = {"unconditional", "accuracy, unconditional", true, true},
};

bool measure_is_of(enum Measure measure, bool chosen) { return MEASURE[measure].chosen == chosen; }
const char *measure_name(enum Measure measure) { return MEASURE[measure].name; }
const char *measure_title(enum Measure measure) { return MEASURE[measure].title; }

void point_add(struct Point *point, enum Measure measure, double value)
{
    point->sum[measure] += value;
    point->squares[measure] += value * value;
}

// Wilson's score interval: it stays within 0 and 1, and is valid when no or every answer is right.
static struct Estimate wilson(double p, double n)
{
    double middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n);
    double half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n));
    return (struct Estimate){p, fmax(middle - half, 0), fmin(middle + half, 1)};
}

struct Estimate point_estimate(const struct Point *point, enum Measure measure)
{
    double n = (double)point->items, mean = point->sum[measure] / n;
    if (MEASURE[measure].proportion) return wilson(mean, n);
    double variance = n > 1 ? fmax(point->squares[measure] / n - mean * mean, 0) * n / (n - 1) : 0;
    double half = Z * sqrt(variance / n);
    return (struct Estimate){mean, fmax(mean - half, 0), fmin(mean + half, 1)};
}

// -------------------------------------------------------------------------------------------------- JSON

static cJSON *json_estimate(const struct Point *point, enum Measure measure)
{
    struct Estimate e = point_estimate(point, measure);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "value", e.value);
    cJSON_AddNumberToObject(json, "low", e.low);
    cJSON_AddNumberToObject(json, "high", e.high);
    cJSON_AddStringToObject(json, "interval", MEASURE[measure].proportion ? "wilson" : "normal");
    return json;
}

static cJSON *json_point(const struct Curve *curve, const struct Point *point)
{
    struct Estimate e = point_estimate(point, curve->measure);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "shots", (double)point->shots);
    cJSON_AddNumberToObject(json, "items", (double)point->items);
    cJSON_AddNumberToObject(json, "accuracy", e.value);
    cJSON_AddNumberToObject(json, "low", e.low);
    cJSON_AddNumberToObject(json, "high", e.high);
    cJSON *measures = cJSON_AddObjectToObject(json, "measures");
    for (int m = 0; m < MEASURES; m++)
        if (measure_is_of((enum Measure)m, curve->chosen))
            cJSON_AddItemToObject(measures, MEASURE[m].name, json_estimate(point, (enum Measure)m));
    cJSON_AddNumberToObject(json, "prompts_cut", (double)point->cut);
    cJSON_AddNumberToObject(json, "examples_dropped", (double)point->dropped);
    return json;
}

cJSON *curve_json(const struct Curve *curve)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "task", curve->task);
    cJSON_AddStringToObject(json, "model", curve->model);
    cJSON_AddStringToObject(json, "measure", MEASURE[curve->measure].name);
    cJSON_AddNumberToObject(json, "confidence", 0.95);
    cJSON *points = cJSON_AddArrayToObject(json, "curve");
    for (size_t i = 0; i < curve->count; i++) cJSON_AddItemToArray(points, json_point(curve, &curve->points[i]));
    return json;
}
