// The smaller and the larger one of two numbers.
#ifndef VKGPT_BASE_MINIMUM_H
#define VKGPT_BASE_MINIMUM_H

#include <stdint.h>

static inline uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t max_u32(uint32_t a, uint32_t b) { return a > b ? a : b; }

#endif
