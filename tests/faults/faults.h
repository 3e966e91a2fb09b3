// A Vulkan layer that plays a driver which fails: the N-th call of a function returns a chosen result. It counts the
// objects that are made and destroyed, so that a test sees what leaks. The loader loads it for VK_INSTANCE_LAYERS, and
// a test program that is linked with it speaks to the same copy; for the program `vkgpt`, VKGPT_FAULT says "CALL N
// RESULT", or "CALL N RESULT TIMES" where each n-th call fails, so often.
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdint.h>

#define FAULTS_LAYER "VK_LAYER_VKGPT_faults"

// The name of each function that can fail, e.g. "vkQueueSubmit"; NULL past the last.
const char *faults_call(unsigned index);
// From now on, the n-th call (from 1) of a function returns `result`. After VK_ERROR_DEVICE_LOST each later submission
// and wait says the same. n 0: nothing fails. The counts of calls start again.
void faults_set(unsigned index, uint64_t n, int result);
// Calls of a function since faults_set.
uint64_t faults_calls(unsigned index);
// The monotonic clock's seconds when the fault came, 0: it has not.
double faults_time(void);
// Objects that are there, and the name of the function that made one of them, or NULL.
int64_t faults_objects(const char **made_by);

#endif
