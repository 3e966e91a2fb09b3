// VK_KHR_cooperative_matrix: a subgroup multiplies small matrices that its lanes hold together. Declared here because
// headers and loaders of before 2023, Debian 12's among them, do not know it.
#ifndef VKGPT_GPU_COOPMAT_H
#define VKGPT_GPU_COOPMAT_H

#include "gpu/vulkan.h"

#define COOPMAT_EXTENSION "VK_KHR_cooperative_matrix"

#ifndef VK_KHR_cooperative_matrix
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR ((VkStructureType)1000506000)
#define VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR ((VkStructureType)1000506001)

typedef enum VkComponentTypeKHR {
    VK_COMPONENT_TYPE_FLOAT16_KHR = 0,
    VK_COMPONENT_TYPE_FLOAT32_KHR = 1,
    VK_COMPONENT_TYPE_MAX_ENUM_KHR = 0x7fffffff
} VkComponentTypeKHR;

typedef enum VkScopeKHR { VK_SCOPE_SUBGROUP_KHR = 3, VK_SCOPE_MAX_ENUM_KHR = 0x7fffffff } VkScopeKHR;

typedef struct VkCooperativeMatrixPropertiesKHR {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    VkComponentTypeKHR AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    VkScopeKHR scope;
} VkCooperativeMatrixPropertiesKHR;

typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;

typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(
    VkPhysicalDevice physical, uint32_t *count, VkCooperativeMatrixPropertiesKHR *properties);
#endif

// (m, n) += (m, k) (k, n). All 0: none.
struct MatrixShape {
    uint32_t m, n, k;
};

// The largest shape of at most 32 a side that a subgroup multiplies in halves and adds up in floats, on a device that
// has the extension; none where the kernels cannot use it: they want half precision, Vulkan's memory model and votes of
// a subgroup too.
struct MatrixShape coopmat_shape(VkInstance instance, VkPhysicalDevice physical);

// Whether the sums of products of this shape may be halves too: then a matrix of sums can be turned into one of halves.
bool coopmat_has_halves(VkInstance instance, VkPhysicalDevice physical, struct MatrixShape shape);

// What the kernels may use of it: they count on whole subgroups of the size that they are compiled for, so both a
// required size and full subgroups are needed.
struct MatrixShape coopmat_usable(bool size_control, bool full_subgroups, struct MatrixShape offered);

// Adds to the features that a device is opened with what these kernels want, `matrix` behind v12 in the chain.
void coopmat_ask(VkPhysicalDeviceVulkan12Features *v12, VkPhysicalDeviceCooperativeMatrixFeaturesKHR *matrix);

#endif
