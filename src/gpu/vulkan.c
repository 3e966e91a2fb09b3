#include "gpu/vulkan.h"

const char *vk_result_name(VkResult result)
{
    switch (result) {
    case VK_SUCCESS: return "success";
    case VK_TIMEOUT: return "time out";
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "out of device memory";
    case VK_ERROR_INITIALIZATION_FAILED: return "initialization failed";
    case VK_ERROR_DEVICE_LOST: return "device lost";
    case VK_ERROR_LAYER_NOT_PRESENT: return "layer not present";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "extension not present";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "feature not present";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "no driver";
    default: return "an error";
    }
}

int vk_fail(vkgpt_error *err, VkResult result, const char *doing)
{
    vkgpt_code code = VKGPT_NO_DEVICE;
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY) code = VKGPT_OUT_OF_MEMORY;
    if (result == VK_ERROR_DEVICE_LOST) code = VKGPT_DEVICE_LOST;
    if (result == VK_TIMEOUT) code = VKGPT_DEVICE_HUNG;
    return fail(err, code, "%s: Vulkan says %s (%d)", doing, vk_result_name(result), (int)result);
}
