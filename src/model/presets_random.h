// Random tensors, and a safetensors file of them. Element i of a tensor depends only on the seed, the tensor's name and
// i, so that any number of threads writes the same bytes.
#ifndef VKGPT_MODEL_PRESETS_RANDOM_H
#define VKGPT_MODEL_PRESETS_RANDOM_H

#include "model/presets.h"
#include "model/table.h"

struct RandomTensor {
    char name[64];
    uint64_t rows, cols; // cols 0: a vector
    double mean, deviation;
};

uint64_t random_tensor_elements(const struct RandomTensor *tensor);

// The tensors of a model, in the file's order; free with free(). NULL: no memory.
struct RandomTensor *random_tensors(const struct Config *config, size_t *count);

// Elements [first, first + count), in the file's dtype.
void random_fill(const struct RandomTensor *tensor, uint64_t seed, enum Dtype dtype, uint64_t first, size_t count,
                 uint8_t *out);

struct RandomProgress {
    bool (*report)(void *user, uint64_t done, uint64_t total);
    void *user;
    uint64_t done, total; // bytes, of all files
};

// Writes a file of these tensors, on all cores. Errors: VKGPT_BAD_FILE, VKGPT_OUT_OF_MEMORY, VKGPT_INTERRUPTED; a part
// of the file may remain.
int random_file_write(const char *path, const struct RandomTensor *tensors, size_t count, uint64_t seed,
                      enum Dtype dtype, struct RandomProgress *progress, vkgpt_error *err);

#endif
