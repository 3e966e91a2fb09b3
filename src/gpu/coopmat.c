#include "gpu/coopmat.h"

#include <stdlib.h>

#define LARGEST_SIDE 32

static bool has_features(VkPhysicalDevice physical)
{
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                            .pNext = &matrix};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v12};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    VkPhysicalDeviceSubgroupProperties subgroups = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &subgroups};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    if (!(subgroups.supportedOperations & VK_SUBGROUP_FEATURE_VOTE_BIT)) return false;
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
    v12->vulkanMemoryModelDeviceScope = VK_TRUE; // the scope of atomics in kernels without the memory model
}

struct MatrixShape coopmat_usable(bool size_control, bool full_subgroups, struct MatrixShape offered)
{
    return size_control && full_subgroups ? offered : (struct MatrixShape){0};
}

static bool is_side(uint32_t size) { return size && size <= LARGEST_SIDE && (size & (size - 1)) == 0; }

static bool multiplies_halves(const VkCooperativeMatrixPropertiesKHR *p, VkComponentTypeKHR sums)
{
    return p->AType == VK_COMPONENT_TYPE_FLOAT16_KHR && p->BType == VK_COMPONENT_TYPE_FLOAT16_KHR && p->CType == sums &&
           p->ResultType == sums && p->scope == VK_SCOPE_SUBGROUP_KHR;
}

static struct MatrixShape shape_of(const VkCooperativeMatrixPropertiesKHR *p)
{
    return (struct MatrixShape){p->MSize, p->NSize, p->KSize};
}

static bool is_wanted(const VkCooperativeMatrixPropertiesKHR *p)
{
    return multiplies_halves(p, VK_COMPONENT_TYPE_FLOAT32_KHR) && is_side(p->MSize) && is_side(p->NSize) &&
           is_side(p->KSize);
}

// The matrix properties of a device, which the caller frees; NULL: none, or the kernels cannot use them.
static VkCooperativeMatrixPropertiesKHR *list_properties(VkInstance instance, VkPhysicalDevice physical,
                                                         uint32_t *count)
{
    PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR get =
        (PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)vkGetInstanceProcAddr(
            instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    *count = 0;
    if (!get || !has_features(physical) || get(physical, count, NULL) || !*count) return NULL;
    VkCooperativeMatrixPropertiesKHR *list = calloc(*count, sizeof *list);
    if (!list) return NULL;
    for (uint32_t i = 0; i < *count; i++) list[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
    if (get(physical, count, list) >= 0) return list;
    free(list);
    return NULL;
}

struct MatrixShape coopmat_shape(VkInstance instance, VkPhysicalDevice physical)
{
    struct MatrixShape best = {0};
    uint32_t count;
    VkCooperativeMatrixPropertiesKHR *list = list_properties(instance, physical, &count);
    for (uint32_t i = 0; list && i < count; i++)
        if (is_wanted(&list[i]) && list[i].MSize * list[i].NSize * list[i].KSize > best.m * best.n * best.k)
            best = shape_of(&list[i]);
    free(list);
    return best;
}

bool coopmat_has_halves(VkInstance instance, VkPhysicalDevice physical, struct MatrixShape shape)
{
    bool has = false;
    uint32_t count;
    VkCooperativeMatrixPropertiesKHR *list = list_properties(instance, physical, &count);
    for (uint32_t i = 0; list && i < count; i++) {
        struct MatrixShape offered = shape_of(&list[i]);
        has |=
            multiplies_halves(&list[i], VK_COMPONENT_TYPE_FLOAT16_KHR) && offered.m == shape.m && offered.n == shape.n;
    }
    free(list);
    return has;
}
