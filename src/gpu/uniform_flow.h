// VK_KHR_shader_subgroup_uniform_control_flow: lanes of a subgroup that enter a kernel together, and reach a branch
// together, continue together after it, even if only some of them took it. The kernels rely on that: in a loop, a few
// lanes of a subgroup store a result, and then all lanes add up the next one. Without the extension Vulkan does not
// promise that; drivers do it.
#ifndef VKGPT_GPU_UNIFORM_FLOW_H
#define VKGPT_GPU_UNIFORM_FLOW_H

#include "gpu/module.h"

bool uniform_flow_offered(VkPhysicalDevice physical); // of a device that has the extension

struct ModuleAsk uniform_flow_ask(void);

#endif
