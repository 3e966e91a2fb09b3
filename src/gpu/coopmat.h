// VK_KHR_cooperative_matrix: a subgroup multiplies small matrices that its lanes hold together. Declared here because
// headers and loaders from before 2023, such as those of Debian 12, do not know it.
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

// The largest shape, at most 32 a side, that a subgroup multiplies in halves and adds up in floats. The device must
// have the extension. All 0 where the kernels cannot use it: they also need half precision, Vulkan's memory model and
// subgroup votes.
struct MatrixShape coopmat_shape(VkInstance instance, VkPhysicalDevice physical);

// Whether sums of products of this shape may be halves too: then a matrix of sums can be converted to one of halves.
bool coopmat_has_halves(VkInstance instance, VkPhysicalDevice physical, struct MatrixShape shape);

// The shape that the kernels may use: `offered`, or all 0. They rely on full subgroups of the size that they are
// compiled for, so the device must have both a required size and full subgroups.
struct MatrixShape coopmat_usable(bool size_control, bool full_subgroups, struct MatrixShape offered);

// Adds what these kernels need to the features that a device is opened with; `matrix` follows v12 in the chain.
void coopmat_ask(VkPhysicalDeviceVulkan12Features *v12, VkPhysicalDeviceCooperativeMatrixFeaturesKHR *matrix);

#endif
