#include "gpu/processors.h"

uint32_t processors_of(VkPhysicalDevice physical, bool nv, bool amd)
{
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV sm = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
    VkPhysicalDeviceShaderCorePropertiesAMD core = {.sType =
                                                        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    if (nv) properties.pNext = &sm;
    else if (amd) properties.pNext = &core;
    else return 0;
    vkGetPhysicalDeviceProperties2(physical, &properties);
    return nv ? sm.shaderSMCount
              : core.shaderEngineCount * core.shaderArraysPerEngineCount * core.computeUnitsPerShaderArray;
}
