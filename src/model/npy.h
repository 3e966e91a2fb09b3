// Flat float arrays in NumPy's .npy form.
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (versions 1, 2 and 3).
#ifndef VKGPT_MODEL_NPY_H
#define VKGPT_MODEL_NPY_H

#include "base/os.h"

// The values of a mapped file with one little-endian float32 array of rank 1. They stay in the mapping.
// Errors (VKGPT_BAD_FILE): another format, version, type or rank; a header that passes the end of the file; more or
// fewer bytes than the shape needs.
int npy_floats(const char *path, const struct Mapping *file, const uint8_t **data, int64_t *count, vkgpt_error *err);

#endif
