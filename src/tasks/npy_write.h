// A float32 matrix in C order in NumPy's file format, version 1.0: numpy.lib.format.
#ifndef VKGPT_TASKS_NPY_WRITE_H
#define VKGPT_TASKS_NPY_WRITE_H

#include "tasks/buffer.h"

// Appends the header of a (rows, columns) matrix. The caller appends its floats, little-endian.
void npy_header(struct Buffer *out, size_t rows, size_t columns);

#endif
