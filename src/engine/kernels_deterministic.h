// The kernels of a deterministic session: one plain form of each, for every device (shaders/deterministic.glsl).
#ifndef VKGPT_ENGINE_KERNELS_DETERMINISTIC_H
#define VKGPT_ENGINE_KERNELS_DETERMINISTIC_H

#include "engine/kernels.h"

// For steps of `rows` rows. What a row gives is the same, bit for bit, in every step and every block.
int kernels_deterministic_decode(vkgpt_device *device, const struct Shape *shape, uint32_t rows, struct Kernels *k,
                                 vkgpt_error *err);
int kernels_deterministic_prefill(vkgpt_device *device, const struct Shape *shape, struct Kernels *k, vkgpt_error *err);

#endif
