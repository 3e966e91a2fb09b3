#include <stdio.h>

#include "cli/few_shot.h"

static void print_estimates(const struct Curve *curve, const struct Point *point)
{
    for (int m = 0; m < MEASURES; m++) {
        if (!measure_is_of((enum Measure)m, curve->chosen)) continue;
        struct Estimate e = point_estimate(point, (enum Measure)m);
        printf("  %5.1f %% (%4.1f to %5.1f)", 100 * e.value, 100 * e.low, 100 * e.high);
    }
}

void few_shot_print(const struct Curve *curve)
{
    printf("shots  items");
    for (int m = 0; m < MEASURES; m++)
        if (measure_is_of((enum Measure)m, curve->chosen)) printf("  %-22s", measure_name((enum Measure)m));
    printf("\n");
    for (size_t i = 0; i < curve->count; i++) {
        printf("%5zu %6zu", curve->points[i].shots, curve->points[i].items);
        print_estimates(curve, &curve->points[i]);
        printf("\n");
    }
    printf("in parentheses: 95 %% confidence, Wilson's score interval%s\n",
           curve->chosen ? "" : "; of F1 the normal one");
}
