// What the harnesses of tests/fuzz share. Each is a function that libFuzzer calls with one input (tools/fuzz); in the
// test suite main.c calls it with the inputs of tests/fuzz/corpus and with damaged copies of them.
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "vkgpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A folder of this process's own, and paths in it; the last four paths stay valid.
const char *fuzz_dir(void);
const char *fuzz_path(const char *name);
// The input as a file of that folder. Returns its path.
const char *fuzz_file(const char *name, const uint8_t *data, size_t size);
// The input as several files: each begins with a byte 0x1d, its name and a line end. Only these names (up to a NULL)
// are written; those that the input leaves out are absent.
void fuzz_files(const uint8_t *data, size_t size, const char *const *names);

// What every failure has to say: one line, without what a terminal would obey. Ends the process where it does not.
void fuzz_check(int code, const vkgpt_error *err);

#endif
