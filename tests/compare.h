// Comparisons of numbers for tests: a NaN fails, and a failure prints where and how much. The bound is absolute, or
// relative to the scale of the row (its largest magnitude).
//
// This includes cmocka.h, whose macro `fail` hides the function of base/error.h: a test file uses one or the other.
#ifndef TESTS_COMPARE_H
#define TESTS_COMPARE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// The largest difference of two arrays, and its index. A NaN or infinity on either side counts as infinite.
struct Difference {
    double most, got, want;
    size_t at;
};

static inline void difference_take(struct Difference *d, size_t at, double got, double want)
{
    double off = isfinite(got) && isfinite(want) ? fabs(got - want) : INFINITY;
    if (off > d->most) *d = (struct Difference){off, got, want, at};
}

static inline struct Difference difference_f64(const double *got, const double *want, size_t count)
{
    struct Difference d = {0};
    for (size_t i = 0; i < count; i++) difference_take(&d, i, got[i], want[i]);
    return d;
}

static inline struct Difference difference_f32(const float *got, const float *want, size_t count)
{
    struct Difference d = {0};
    for (size_t i = 0; i < count; i++) difference_take(&d, i, (double)got[i], (double)want[i]);
    return d;
}

// results of a device against those of the reference
static inline struct Difference difference_mixed(const float *got, const double *want, size_t count)
{
    struct Difference d = {0};
    for (size_t i = 0; i < count; i++) difference_take(&d, i, (double)got[i], want[i]);
    return d;
}

// The largest magnitude: the scale of a relative bound.
static inline double scale_f64(const double *x, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

static inline double scale_f32(const float *x, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fabs((double)x[i]) > most ? fabs((double)x[i]) : most;
    return most;
}

// Fails the running test unless d.most <= bound; the format and its arguments say what was compared.
#define assert_within(d, bound, ...) assert_within_at(__FILE__, __LINE__, d, bound, __VA_ARGS__)

__attribute__((format(printf, 5, 6))) static inline void
assert_within_at(const char *file, int line, struct Difference d, double bound, const char *format, ...)
{
    if (d.most <= bound) return; // false for a NaN bound, too
    va_list args;
    va_start(args, format);
    vprint_error(format, args);
    va_end(args);
    print_error(": element %zu is %.9g, should be %.9g: off by %.3g, more than %.3g\n", d.at, d.got, d.want, d.most,
                bound);
    _fail(file, line);
}

#endif
