// VK_KHR_shader_float_controls, a part of Vulkan 1.2: a kernel may ask that floats are rounded to nearest even, and
// that zeros keep their sign and what is not finite stays so. Vulkan promises neither by itself. The DETERMINISTIC
// kernels ask for what a device offers.
#ifndef VKGPT_GPU_FLOAT_CONTROLS_H
#define VKGPT_GPU_FLOAT_CONTROLS_H

#include "gpu/module.h"

#define FLOAT_ASKS 2

struct FloatControls {
    bool rounding, not_finite; // offered
};

struct FloatControls float_controls_offered(VkPhysicalDevice physical);
uint32_t float_controls_asks(struct FloatControls offered, struct ModuleAsk asks[FLOAT_ASKS]); // returns how many

#endif
