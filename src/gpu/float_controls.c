#include "gpu/float_controls.h"

// Capabilities and execution modes of SPIR-V.
enum { SIGNED_ZERO_INF_NAN_PRESERVE = 4466, ROUNDING_MODE_RTE = 4467 };
enum { SIGNED_ZERO_INF_NAN_PRESERVE_MODE = 4461, ROUNDING_MODE_RTE_MODE = 4462 };

struct FloatControls float_controls_offered(VkPhysicalDevice physical)
{
    VkPhysicalDeviceFloatControlsProperties controls = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &controls};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    bool alone = controls.roundingModeIndependence != VK_SHADER_FLOAT_CONTROLS_INDEPENDENCE_NONE; // for 32 bits only
    return (struct FloatControls){.rounding = alone && controls.shaderRoundingModeRTEFloat32,
                                  .not_finite = controls.shaderSignedZeroInfNanPreserveFloat32};
}

uint32_t float_controls_asks(struct FloatControls offered, struct ModuleAsk asks[FLOAT_ASKS])
{
    uint32_t count = 0;
    if (offered.rounding)
        asks[count++] =
            (struct ModuleAsk){.capability = ROUNDING_MODE_RTE, .mode = ROUNDING_MODE_RTE_MODE, .operand = 32};
    if (offered.not_finite)
        asks[count++] = (struct ModuleAsk){
            .capability = SIGNED_ZERO_INF_NAN_PRESERVE, .mode = SIGNED_ZERO_INF_NAN_PRESERVE_MODE, .operand = 32};
    return count;
}
