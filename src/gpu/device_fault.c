#include "gpu/device_fault.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MOST 2 // addresses, and codes of the vendor, in a sentence

bool device_fault_offered(VkPhysicalDevice physical)
{
    VkPhysicalDeviceFaultFeaturesEXT fault = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &fault};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return fault.deviceFault;
}

static const char *address_name(VkDeviceFaultAddressTypeEXT type)
{
    switch (type) {
    case VK_DEVICE_FAULT_ADDRESS_TYPE_READ_INVALID_EXT: return "invalid read";
    case VK_DEVICE_FAULT_ADDRESS_TYPE_WRITE_INVALID_EXT: return "invalid write";
    case VK_DEVICE_FAULT_ADDRESS_TYPE_EXECUTE_INVALID_EXT: return "invalid execution";
    case VK_DEVICE_FAULT_ADDRESS_TYPE_INSTRUCTION_POINTER_UNKNOWN_EXT:
    case VK_DEVICE_FAULT_ADDRESS_TYPE_INSTRUCTION_POINTER_INVALID_EXT:
    case VK_DEVICE_FAULT_ADDRESS_TYPE_INSTRUCTION_POINTER_FAULT_EXT: return "instruction pointer";
    default: return NULL; // no address
    }
}

__attribute__((format(printf, 2, 3))) static void add(vkgpt_error *err, const char *format, ...)
{
    size_t used = strlen(err->text);
    va_list args;
    va_start(args, format);
    vsnprintf(err->text + used, sizeof err->text - used, format, args);
    va_end(args);
}

void device_fault_add(const vkgpt_device *device, vkgpt_error *err)
{
    if (!device->info.device_fault || !device->vk.vkGetDeviceFaultInfoEXT) return;
    VkDeviceFaultAddressInfoEXT addresses[MOST];
    VkDeviceFaultVendorInfoEXT codes[MOST];
    VkDeviceFaultCountsEXT counts = {.sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_COUNTS_EXT};
    VkDeviceFaultInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_INFO_EXT, .pAddressInfos = addresses, .pVendorInfos = codes};
    memset(addresses, 0, sizeof addresses);
    memset(codes, 0, sizeof codes);
    VkResult result = device->vk.vkGetDeviceFaultInfoEXT(device->handle, &counts, NULL);
    if (counts.addressInfoCount > MOST) counts.addressInfoCount = MOST;
    if (counts.vendorInfoCount > MOST) counts.vendorInfoCount = MOST;
    counts.vendorBinarySize = 0;
    if (result == VK_SUCCESS) result = device->vk.vkGetDeviceFaultInfoEXT(device->handle, &counts, &info);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE) return;
    if (info.description[0]) add(err, "; the driver says: %.*s", VK_MAX_DESCRIPTION_SIZE, info.description);
    for (uint32_t i = 0; i < counts.addressInfoCount && i < MOST; i++) {
        const char *name = address_name(addresses[i].addressType);
        if (name) add(err, "; %s at 0x%" PRIx64, name, addresses[i].reportedAddress);
    }
    for (uint32_t i = 0; i < counts.vendorInfoCount && i < MOST; i++)
        add(err, "; %.*s (code %" PRIu64 ", data %" PRIu64 ")", VK_MAX_DESCRIPTION_SIZE, codes[i].description,
            codes[i].vendorFaultCode, codes[i].vendorFaultData);
    clean_sentence(err->text);
}
