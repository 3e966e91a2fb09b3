#include "selftest/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POISON 0xff
#define TRIAL_BLOCK ((VkDeviceSize)1 << 20)
#define TRIAL_SETS 64

void trial_begin(struct Trial *trial, vkgpt_device *device, vkgpt_error *err)
{
    *trial = (struct Trial){
        .device = device,
        .err = err,
        .pool = {.kind = MEMORY_DEVICE, .block_bytes = TRIAL_BLOCK},
        .read_pool = {.kind = MEMORY_READ, .block_bytes = TRIAL_BLOCK},
    };
}

struct Array *trial_array(struct Trial *trial, size_t bytes)
{
    struct Array *array = &trial->arrays[trial->array_count++];
    array->bytes = bytes;
    array->before = device_alloc(trial->device, bytes, 1);
    array->after = device_alloc(trial->device, bytes, 1);
    if (trial->status) return array;
    if (!array->before || !array->after) {
        trial->status = fail_memory(trial->err, "an array of the selftest", bytes);
        return array;
    }
    memset(array->before, POISON, bytes);
    trial->status =
        pool_slice(trial->device, &trial->pool, bytes, "an array of the selftest", &array->slice, trial->err);
    return array;
}

void *trial_scratch(struct Trial *trial, size_t count, size_t size)
{
    void *memory = device_alloc(trial->device, count, size);
    if (!memory && !trial->status) trial->status = fail_memory(trial->err, "the selftest's reference", count * size);
    trial->scratch[trial->scratch_count++] = memory;
    return memory;
}

static int upload_pieces(struct Upload *upload, const struct Slice *slice, const uint8_t *data, size_t bytes,
                         vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (size_t done = 0; !status && done < bytes;) {
        size_t piece = bytes - done < UPLOAD_PIECE_BYTES ? bytes - done : UPLOAD_PIECE_BYTES;
        uint8_t *write;
        status = upload_reserve(upload, slice, done, piece, &write, err);
        if (status) return status;
        memcpy(write, data + done, piece);
        status = upload_commit(upload, slice, done, piece, err);
        done += piece;
    }
    return status;
}

int trial_upload(vkgpt_device *device, const struct Slice *slice, const uint8_t *data, size_t bytes, vkgpt_error *err)
{
    struct Upload upload;
    upload_begin(device, &upload);
    int status = upload_pieces(&upload, slice, data, bytes, err);
    int ended = upload_end(&upload, status ? NULL : err);
    return status ? status : ended;
}

void trial_start(struct Trial *trial)
{
    for (uint32_t i = 0; i < trial->array_count && !trial->status; i++) {
        const struct Array *array = &trial->arrays[i];
        trial->status = trial_upload(trial->device, &array->slice, array->before, array->bytes, trial->err);
    }
    if (!trial->status)
        trial->status = recording_begin(trial->device, "the selftest", TRIAL_SETS, &trial->rec, trial->err);
}

static int read_back(struct Trial *trial)
{
    struct Slice back[TRIAL_ARRAYS];
    int status = VKGPT_OK;
    for (uint32_t i = 0; i < trial->array_count && !status; i++)
        status = pool_slice(trial->device, &trial->read_pool, trial->arrays[i].bytes, "the selftest's results",
                            &back[i], trial->err);
    for (uint32_t i = 0; i < trial->array_count && !status; i++)
        recording_copy(&trial->rec, &trial->arrays[i].slice, 0, &back[i], 0, trial->arrays[i].bytes);
    if (!status) status = recording_end(&trial->rec);
    if (!status) status = recording_submit(&trial->rec, trial->err);
    if (!status) status = recording_wait(&trial->rec, trial->err);
    for (uint32_t i = 0; i < trial->array_count && !status; i++)
        memcpy(trial->arrays[i].after, back[i].host, trial->arrays[i].bytes);
    return status;
}

void trial_finish(struct Trial *trial)
{
    if (!trial->status) trial->status = read_back(trial);
}

int trial_end(struct Trial *trial)
{
    recording_free(&trial->rec);
    pool_free(trial->device, &trial->pool);
    pool_free(trial->device, &trial->read_pool);
    for (uint32_t i = 0; i < trial->array_count; i++) {
        free(trial->arrays[i].before);
        free(trial->arrays[i].after);
    }
    for (uint32_t i = 0; i < trial->scratch_count; i++) free(trial->scratch[i]);
    return trial->status;
}

// --------------------------------------------------------------------------------------------- numbers

uint32_t trial_hash(uint32_t seed, uint32_t index)
{
    uint32_t h = seed * 0x9e3779b9u + index; // lowbias32 (Wellons 2018)
    h = (h ^ h >> 16) * 0x7feb352du;
    h = (h ^ h >> 15) * 0x846ca68bu;
    return h ^ h >> 16;
}

double trial_coarse(uint32_t seed, uint32_t index) { return (double)(trial_hash(seed, index) >> 20) / 2048.0 - 1.0; }
double trial_fine(uint32_t seed, uint32_t index) { return (double)(trial_hash(seed, index) >> 8) / 8388608.0 - 1.0; }

// ---------------------------------------------------------------------------------------------- strips

static double load_number(const uint8_t *data, size_t index, bool half)
{
    uint16_t h;
    float f;
    if (half) memcpy(&h, data + 2 * index, 2);
    else memcpy(&f, data + 4 * index, 4);
    return half ? (double)half_to_float(h) : (double)f;
}

static void store_number(uint8_t *data, size_t index, bool half, double value)
{
    float f = (float)value;
    uint16_t h = float_to_half(f);
    if (half) memcpy(data + 2 * index, &h, 2);
    else memcpy(data + 4 * index, &f, 4);
}

void strip_fill(uint8_t *data, struct Strip s, const double *values)
{
    for (uint32_t g = 0; g < s.groups; g++)
        for (uint32_t i = 0; i < s.padded; i++)
            store_number(data, s.at + (size_t)g * s.stride + i, s.half,
                         i < s.size ? values[(size_t)g * s.size + i] : 0.0);
}

// A device may round to a half in either direction, so the half on either side of a value is right.
static double half_step(double value)
{
    int exponent;
    frexp(value, &exponent);
    return ldexp(1.0, value == 0.0 || exponent < -13 ? -24 : exponent - 11);
}

void measure_number(struct Measure *measure, double error)
{
    if (!(error <= measure->error)) measure->error = isnan(error) ? INFINITY : error;
}

void measure_true(struct Measure *measure, bool holds)
{
    if (!holds) measure->error = INFINITY;
}

static double row_scale(const double *row, size_t count)
{
    double scale = 0.0;
    for (size_t i = 0; i < count; i++) scale = fmax(scale, fabs(row[i]));
    return scale > 0.0 ? scale : 1.0;
}

void measure_row(struct Measure *measure, struct Array *array, struct Strip s, const double *want)
{
    double scale = row_scale(want, (size_t)s.groups * s.size);
    size_t bytes = s.half ? 2 : 4;
    for (uint32_t g = 0; g < s.groups; g++) {
        size_t at = s.at + (size_t)g * s.stride;
        for (uint32_t i = 0; i < s.size; i++) {
            double wanted = want[(size_t)g * s.size + i],
                   off = fabs(load_number(array->after, at + i, s.half) - wanted);
            if (s.half) off = fdim(off, half_step(wanted));
            measure_number(measure, off / scale);
        }
        for (uint32_t i = s.size; i < s.padded; i++)
            measure_true(measure, load_number(array->after, at + i, s.half) == 0.0);
        memcpy(array->after + at * bytes, array->before + at * bytes, s.padded * bytes);
    }
}

void measure_untouched(struct Measure *measure, const struct Array *array)
{
    measure_true(measure, !memcmp(array->before, array->after, array->bytes));
}
