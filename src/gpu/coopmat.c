#include "gpu/coopmat.h"

#include <stdlib.h>

#define LARGEST_SIDE 32

static bool has_features(VkPhysicalDevice physical)
{
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &matrix};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v12};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return matrix.cooperativeMatrix && v12.shaderFloat16 && v12.vulkanMemoryModel && v12.vulkanMemoryModelDeviceScope;
}

void coopmat_ask(VkPhysicalDeviceVulkan12Features *v12, VkPhysicalDeviceCooperativeMatrixFeaturesKHR *matrix)
{
    *matrix = (VkPhysicalDeviceCooperativeMatrixFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
        .pNext = v12->pNext,
        .cooperativeMatrix = VK_TRUE,
    };
    v12->pNext = matrix;
    v12->shaderFloat16 = VK_TRUE;
    v12->vulkanMemoryModel = VK_TRUE;
    v12->vulkanMemoryModelDeviceScope = VK_TRUE; // what atomics have in the kernels that know nothing of the model
}

struct MatrixShape coopmat_usable(bool size_control, bool full_subgroups, struct MatrixShape offered)
{
    return size_control && full_subgroups ? offered : (struct MatrixShape){0};
}

static bool is_side(uint32_t size) { return size && size <= LARGEST_SIDE && (size & (size - 1)) == 0; }

static bool is_wanted(const VkCooperativeMatrixPropertiesKHR *p)
{
    return p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && p->BType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
           p->CType == VK_COMPONENT_TYPE_FLOAT32_KHR && p->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
           p->scope == VK_SCOPE_SUBGROUP_KHR && is_side(p->MSize) && is_side(p->NSize) && is_side(p->KSize);
}

static struct MatrixShape largest(const VkCooperativeMatrixPropertiesKHR *list, uint32_t count)
{
    struct MatrixShape best = {0};
    for (uint32_t i = 0; i < count; i++)
        if (is_wanted(&list[i]) && list[i].MSize * list[i].NSize * list[i].KSize > best.m * best.n * best.k)
            best = (struct MatrixShape){list[i].MSize, list[i].NSize, list[i].KSize};
    return best;
}

struct MatrixShape coopmat_shape(VkInstance instance, VkPhysicalDevice physical)
{
    struct MatrixShape shape = {0};
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    uint32_t count = 0;
    if (!get || !has_features(physical) || get(physical, &count, NULL) || !count) return shape;
    VkCooperativeMatrixPropertiesKHR *list = calloc(count, sizeof *list);
    if (!list) return shape;
    for (uint32_t i = 0; i < count; i++) list[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (get(physical, &count, list) >= 0) shape = largest(list, count);
    free(list);
    return shape;
}
