#include "gpu/uniform_flow.h"

#include <stdlib.h>
#include <string.h>

enum { CAPABILITY = 17, ENTRY_POINT = 15, EXTENSION = 10, EXECUTION_MODE = 16 }; // of SPIR-V
enum { SUBGROUP_UNIFORM_CONTROL_FLOW = 4421, HEADER = 5 };

static const char NAME[40] = "SPV_KHR_subgroup_uniform_control_flow"; // padded with zeros to whole words

bool uniform_flow_offered(VkPhysicalDevice physical)
{
    VkPhysicalDeviceShaderSubgroupUniformControlFlowFeaturesKHR flow = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SUBGROUP_UNIFORM_CONTROL_FLOW_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &flow};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return flow.shaderSubgroupUniformControlFlow;
}

// In a module the extensions follow the capabilities, and the execution modes follow the entry point.
uint32_t *uniform_flow_module(const uint32_t *words, size_t *bytes)
{
    const size_t extension = 1 + sizeof NAME / 4, mode = 3, count = *bytes / 4;
    uint32_t *copy = malloc(*bytes + 4 * (extension + mode)), *to = copy;
    if (!copy) return NULL;
    memcpy(to, words, 4 * HEADER);
    to += HEADER;
    bool capabilities = true;
    for (size_t i = HEADER, length; i < count; i += length) {
        uint32_t operation = words[i] & 0xffff;
        length = words[i] >> 16;
        if (capabilities && operation != CAPABILITY) {
            *to = (uint32_t)extension << 16 | EXTENSION;
            memcpy(to + 1, NAME, sizeof NAME);
            to += extension;
            capabilities = false;
        }
        memcpy(to, words + i, 4 * length);
        to += length;
        if (operation != ENTRY_POINT) continue;
        const uint32_t asked[] = {(uint32_t)mode << 16 | EXECUTION_MODE, words[i + 2], SUBGROUP_UNIFORM_CONTROL_FLOW};
        memcpy(to, asked, sizeof asked);
        to += mode;
    }
    *bytes = 4 * (size_t)(to - copy);
    return copy;
}
