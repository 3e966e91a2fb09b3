// The reason why a device was lost: reason.h says what this does. Besides the description there is always one address,
// one code of a vendor, and more of both than the caller asks for.
#include "reason.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSION VK_EXT_DEVICE_FAULT_EXTENSION_NAME
#define MOST_EXTENSIONS 16
#define HAS 5 // addresses and codes

static char text[VK_MAX_DESCRIPTION_SIZE];
static struct {
    PFN_vkGetInstanceProcAddr get_instance;
    PFN_vkGetDeviceProcAddr get_device;
    PFN_vkEnumerateDeviceExtensionProperties extensions;
    PFN_vkGetPhysicalDeviceFeatures2 features2;
} next;

static VKAPI_ATTR VkResult VKAPI_CALL extensions(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                 VkExtensionProperties *list)
{
    uint32_t room = *count;
    VkResult result = next.extensions(physical, layer, count, list);
    if (layer || !text[0] || result < 0) return result;
    if (!list) {
        ++*count;
        return result;
    }
    if (*count == room) return VK_INCOMPLETE;
    VkExtensionProperties *own = &list[(*count)++];
    memset(own, 0, sizeof *own);
    snprintf(own->extensionName, sizeof own->extensionName, "%s", EXTENSION);
    own->specVersion = VK_EXT_DEVICE_FAULT_SPEC_VERSION;
    return result;
}

static VKAPI_ATTR void VKAPI_CALL features2(VkPhysicalDevice physical, VkPhysicalDeviceFeatures2 *features)
{
    next.features2(physical, features);
    for (VkBaseOutStructure *more = features->pNext; more; more = more->pNext)
        if (more->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT)
            ((VkPhysicalDeviceFaultFeaturesEXT *)more)->deviceFault = text[0] != 0;
}

static VKAPI_ATTR VkResult VKAPI_CALL fault_info(VkDevice device, VkDeviceFaultCountsEXT *counts,
                                                 VkDeviceFaultInfoEXT *info)
{
    (void)device;
    if (!info) {
        counts->addressInfoCount = counts->vendorInfoCount = HAS;
        counts->vendorBinarySize = 100;
        return VK_SUCCESS;
    }
    if (counts->vendorBinarySize) abort(); // that feature is not enabled
    snprintf(info->description, sizeof info->description, "%s", text);
    for (uint32_t i = 0; i < counts->addressInfoCount && i < HAS; i++)
        info->pAddressInfos[i] = (VkDeviceFaultAddressInfoEXT){
            .addressType = i ? VK_DEVICE_FAULT_ADDRESS_TYPE_NONE_EXT : VK_DEVICE_FAULT_ADDRESS_TYPE_WRITE_INVALID_EXT,
            .reportedAddress = 0xdead0000u + i};
    for (uint32_t i = 0; i < counts->vendorInfoCount && i < HAS; i++) {
        VkDeviceFaultVendorInfoEXT *code = &info->pVendorInfos[i];
        *code = (VkDeviceFaultVendorInfoEXT){.vendorFaultCode = 7 + i, .vendorFaultData = 9};
        snprintf(code->description, sizeof code->description, "ring %u", i);
    }
    return VK_INCOMPLETE;
}

// Leaves out the extension and its feature, and calls what comes next.
VkResult reason_create_device(PFN_vkCreateDevice create, VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                              const VkAllocationCallbacks *a, VkDevice *device)
{
    const char *names[MOST_EXTENSIONS];
    VkDeviceCreateInfo without = *info;
    without.ppEnabledExtensionNames = names;
    without.enabledExtensionCount = 0;
    if (info->enabledExtensionCount > MOST_EXTENSIONS) abort();
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++)
        if (strcmp(info->ppEnabledExtensionNames[i], EXTENSION) != 0)
            names[without.enabledExtensionCount++] = info->ppEnabledExtensionNames[i];
    bool asked = without.enabledExtensionCount < info->enabledExtensionCount, feature = false;
    VkBaseOutStructure *before = (VkBaseOutStructure *)&without, *own = before->pNext;
    while (own && own->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT) before = own, own = own->pNext;
    if (own) {
        feature = ((VkPhysicalDeviceFaultFeaturesEXT *)own)->deviceFault;
        before->pNext = own->pNext;
    }
    if (asked != feature || (asked && !text[0])) abort(); // the one needs the other
    VkResult result = create(physical, &without, a, device);
    if (own) before->pNext = own;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_of_device(VkDevice device, const char *name)
{
    if (text[0] && !strcmp(name, "vkGetDeviceFaultInfoEXT")) return (PFN_vkVoidFunction)fault_info;
    return next.get_device(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_of_instance(VkInstance instance, const char *name)
{
    if (!strcmp(name, "vkEnumerateDeviceExtensionProperties")) return (PFN_vkVoidFunction)extensions;
    if (!strcmp(name, "vkGetPhysicalDeviceFeatures2")) return (PFN_vkVoidFunction)features2;
    return next.get_instance(instance, name);
}

PFN_vkGetInstanceProcAddr reason_of_instance(VkInstance instance, PFN_vkGetInstanceProcAddr get)
{
    const char *given = getenv("VKGPT_FAULT_REASON");
    snprintf(text, sizeof text, "%s", given ? given : "");
    next.get_instance = get;
    next.extensions = (PFN_vkEnumerateDeviceExtensionProperties)get(instance, "vkEnumerateDeviceExtensionProperties");
    next.features2 = (PFN_vkGetPhysicalDeviceFeatures2)get(instance, "vkGetPhysicalDeviceFeatures2");
    return get_of_instance;
}

PFN_vkGetDeviceProcAddr reason_of_device(PFN_vkGetDeviceProcAddr get)
{
    next.get_device = get;
    return get_of_device;
}
