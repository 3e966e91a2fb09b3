// A trial: kernels run once on arrays made for them. Every array is poisoned until the test fills it (all bits set: a
// NaN as a float or as a half, and not a sensible integer), goes to the device, and comes back after the run. So a test
// also sees writes that should not have happened: it takes what it expects out of an array, and the rest must be as
// before. After a failure all calls do nothing, and trial_end returns it.
#ifndef VKGPT_SELFTEST_TRIAL_H
#define VKGPT_SELFTEST_TRIAL_H

#include "engine/matrix.h"

#define TRIAL_ARRAYS MAX_BUFFERS
#define TRIAL_SCRATCH 16

struct Array {
    struct Slice slice;
    size_t bytes;
    uint8_t *before, *after; // on the host: what goes in, what came out
};

struct Trial {
    vkgpt_device *device;
    vkgpt_error *err;
    struct Pool pool, read_pool;
    struct Array arrays[TRIAL_ARRAYS];
    uint32_t array_count;
    void *scratch[TRIAL_SCRATCH];
    uint32_t scratch_count;
    struct Recording rec; // between trial_start and trial_finish: where the kernels are dispatched
    int status;           // after trial_array and trial_scratch: fill them only if it is 0
};

void trial_begin(struct Trial *trial, vkgpt_device *device, vkgpt_error *err);
struct Array *trial_array(struct Trial *trial, size_t bytes);
void *trial_scratch(struct Trial *trial, size_t count, size_t size); // host memory, zeroed, freed with the trial
void trial_start(struct Trial *trial);                               // uploads every array
void trial_finish(struct Trial *trial); // runs what was dispatched and reads every array back
int trial_end(struct Trial *trial);

// Uploads bytes to a slice, at once.
int trial_upload(vkgpt_device *device, const struct Slice *slice, const uint8_t *data, size_t bytes, vkgpt_error *err);

// Where a row of numbers is in an array: `groups` runs of `size` numbers, each padded with zeros to `padded`, that
// begin `stride` numbers apart.
struct Strip {
    size_t at;
    uint32_t groups, stride, size, padded;
    bool half;
};

// The largest error of the numbers compared, relative to the scale (the largest magnitude) of their row; infinite for a
// NaN, for padding that is not zero and for bytes that changed and should not have.
struct Measure {
    double error;
};

// Writes a row, its padding as zeros, into memory of the host.
void strip_fill(uint8_t *data, struct Strip strip, const double *values);
// Compares a row with what it should be, and takes it out: the array is as before there.
void measure_row(struct Measure *measure, struct Array *array, struct Strip strip, const double *want);
void measure_untouched(struct Measure *measure, const struct Array *array);
void measure_true(struct Measure *measure, bool holds);
void measure_number(struct Measure *measure, double error); // a NaN counts as infinite

// Numbers for trials: the same for the same seed, everywhere. In steps of 2^-11 they are exact as halves.
uint32_t trial_hash(uint32_t seed, uint32_t index);
double trial_coarse(uint32_t seed, uint32_t index); // [-1, 1) in steps of 2^-11
double trial_fine(uint32_t seed, uint32_t index);   // [-1, 1) in steps of 2^-23

#endif
