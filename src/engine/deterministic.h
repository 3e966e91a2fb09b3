// What the DETERMINISTIC kernels need from a device: that it rounds sums, differences and products to nearest even,
// each by itself. Vulkan promises a correct rounding, but not which; a device with float controls is asked for this
// one.
#ifndef VKGPT_ENGINE_DETERMINISTIC_H
#define VKGPT_ENGINE_DETERMINISTIC_H

#include "gpu/device.h"

// Runs a kernel over operands whose results differ under any other rounding, or if a product and a sum are joined. Once
// per device.
// Errors: VKGPT_NO_DEVICE, with the operands; those of a recording.
int deterministic_check(vkgpt_device *device, vkgpt_error *err);

// Its two steps: what the kernel gives, four numbers' bits for each of the operands, and whether that is right.
#define DETERMINISTIC_PROOFS 8
int deterministic_run(vkgpt_device *device, uint32_t *results, vkgpt_error *err);
int deterministic_compare(const vkgpt_device *device, const uint32_t *results, vkgpt_error *err);

#endif
