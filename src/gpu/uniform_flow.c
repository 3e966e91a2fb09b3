#include "gpu/uniform_flow.h"

bool uniform_flow_offered(VkPhysicalDevice physical)
{
    VkPhysicalDeviceShaderSubgroupUniformControlFlowFeaturesKHR flow = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SUBGROUP_UNIFORM_CONTROL_FLOW_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &flow};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return flow.shaderSubgroupUniformControlFlow;
}

struct ModuleAsk uniform_flow_ask(void)
{
    return (struct ModuleAsk){.extension = "SPV_KHR_subgroup_uniform_control_flow",
                              .mode = 4421}; // SubgroupUniformControlFlowKHR
}
