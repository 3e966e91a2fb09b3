// Opening a device: the instance, the choice, the features, the queue. What a device can do is described once, here.
#define _GNU_SOURCE // strcasestr
#include "gpu/device_open.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/os.h"
#include "gpu/coopmat.h"
#include "gpu/device_fault.h"
#include "gpu/drivers.h"
#include "gpu/pipeline_cache.h"
#include "gpu/processors.h"
#include "gpu/recording.h"
#include "gpu/texels.h"
#include "gpu/uniform_flow.h"

#define MAX_DEVICES 64

// ------------------------------------------------------------------------------------------ switches

// The names that VKGPT_DISABLE may list, separated by commas (the header says what each does).
static const char *const switches[] = {
    "coopmat",       "device_fault", "f16",     "float_controls",       "full_subgroups",
    "lanes", // the older name of software_kernels
    "memory_budget", "persistent",   "shuffle", "software_kernels",     "subgroup_size_control",
    "texels",        "timestamps",   "unified", "uniform_control_flow",
};

#define SWITCHES (sizeof switches / sizeof *switches)

static bool item_is(const char *item, const char *name)
{
    size_t length = strlen(name);
    return strcspn(item, ",") == length && !strncmp(item, name, length);
}

static const char *next_item(const char *item)
{
    size_t length = strcspn(item, ",");
    return item + length + (item[length] == ',');
}

// Whether VKGPT_DISABLE names a switch.
static bool disabled(const char *name)
{
    const char *item = getenv("VKGPT_DISABLE");
    while (item && *item && !item_is(item, name)) item = next_item(item);
    return item && *item;
}

// Fails on an unknown name, which would otherwise do nothing in silence.
static int switches_check(vkgpt_error *err)
{
    const char *item = getenv("VKGPT_DISABLE");
    for (; item && *item; item = next_item(item)) {
        size_t at = 0;
        while (at < SWITCHES && !item_is(item, switches[at])) at++;
        if (at < SWITCHES || !strcspn(item, ",")) continue;
        char known[256] = "";
        for (size_t i = 0, n = 0; i < SWITCHES; i++)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", switches[i]);
        return fail(err, VKGPT_BAD_ARGUMENT, "VKGPT_DISABLE: %.*s is not one of %s", (int)strcspn(item, ","), item,
                    known);
    }
    return VKGPT_OK;
}

// ------------------------------------------------------------------------------------------ instance

static bool environment_is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0");
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)severity;
    (void)types;
    vkgpt_device *device = user;
    device->validation_messages++;
    fprintf(stderr, "validation: %s\n", data->pMessage); // only with VKGPT_VALIDATE=1
    return VK_FALSE;
}

// volk keeps the functions of the loader and those of core instances in globals. The loader's are the same for every
// instance, so the first caller writes them, once. Functions of one instance or device are looked up for it.
static pthread_mutex_t functions_lock = PTHREAD_MUTEX_INITIALIZER;
static bool loader_is_there, functions_are_there;

static bool load_loader(void)
{
    pthread_mutex_lock(&functions_lock);
    if (!loader_is_there) loader_is_there = volkInitialize() == VK_SUCCESS;
    bool there = loader_is_there;
    pthread_mutex_unlock(&functions_lock);
    return there;
}

static void load_functions(VkInstance instance)
{
    pthread_mutex_lock(&functions_lock);
    if (!functions_are_there) volkLoadInstanceOnly(instance);
    functions_are_there = true;
    pthread_mutex_unlock(&functions_lock);
}

static int listen_to_validation(VkInstance instance, vkgpt_device *device, vkgpt_error *err)
{
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
        .pUserData = device,
    };
    PFN_vkCreateDebugUtilsMessengerEXT create =
        (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(instance, "vkCreateDebugUtilsMessengerEXT");
    VkResult result = create ? create(instance, &messenger, NULL, &device->messenger) : VK_ERROR_EXTENSION_NOT_PRESENT;
    return result ? vk_fail(err, result, "listening to the validation layer") : VKGPT_OK;
}

static void stop_listening(vkgpt_device *device)
{
    if (!device->messenger) return;
    PFN_vkDestroyDebugUtilsMessengerEXT destroy =
        (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(device->instance, "vkDestroyDebugUtilsMessengerEXT");
    if (destroy) destroy(device->instance, device->messenger, NULL);
}

// With VKGPT_VALIDATE=1 it has the validation layer, with synchronization validation; messages go to `device`.
static int instance_create(VkInstance *instance, vkgpt_device *device, vkgpt_error *err)
{
    int status = switches_check(err);
    if (status) return status;
    if (!load_loader()) return fail(err, VKGPT_NO_DEVICE, "no Vulkan loader: libvulkan.so.1 is not installed");
    VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "vkgpt",
        .apiVersion = VK_API_VERSION_1_3, // the newest version in use; 1.2 is enough
    };
    VkValidationFeatureEnableEXT enable = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT validation = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = &enable,
    };
    const char *layer = "VK_LAYER_KHRONOS_validation";
    const char *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
    bool validate = device && environment_is_set("VKGPT_VALIDATE");
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = validate ? &validation : NULL,
        .pApplicationInfo = &application,
        .enabledLayerCount = validate ? 1 : 0,
        .ppEnabledLayerNames = &layer,
        .enabledExtensionCount = validate ? 2 : 0,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult result = vkCreateInstance(&info, NULL, instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) return drivers_fail(&info, err);
    if (result) return vk_fail(err, result, "creating a Vulkan instance");
    load_functions(*instance);
    return validate ? listen_to_validation(*instance, device, err) : VKGPT_OK;
}

// --------------------------------------------------------------------------------------- description

static bool offers(VkPhysicalDevice physical, const char *name)
{
    uint32_t count = 0;
    if (vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL) || !count) return false;
    VkExtensionProperties *list = calloc(count, sizeof *list);
    if (!list) return false;
    bool found = false;
    if (vkEnumerateDeviceExtensionProperties(physical, NULL, &count, list) >= 0)
        for (uint32_t i = 0; i < count && !found; i++) found = !strcmp(list[i].extensionName, name);
    free(list);
    return found;
}

static const char *type_name(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "software";
    default: return "other";
    }
}

static void describe_memory(VkPhysicalDevice physical, vkgpt_device_info *info)
{
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    info->unified = !disabled("unified");
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
        bool local = memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        if (local && memory.memoryHeaps[i].size > info->memory_bytes) info->memory_bytes = memory.memoryHeaps[i].size;
        if (!local) info->unified = false;
    }
}

// The first thing that keeps vkgpt from using a device, or NULL.
static const char *missing(const VkPhysicalDeviceProperties *core, const VkPhysicalDeviceVulkan11Properties *v11,
                           bool has_compute)
{
    const VkSubgroupFeatureFlags needed = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    if (core->apiVersion < VK_API_VERSION_1_2) return "Vulkan 1.2 is needed";
    if (!has_compute) return "it has no compute queue";
    if ((v11->subgroupSupportedOperations & needed) != needed ||
        !(v11->subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        return "subgroup arithmetic in compute shaders is needed";
    if (core->limits.maxComputeWorkGroupInvocations < 256 || core->limits.maxComputeWorkGroupSize[0] < 256)
        return "workgroups of 256 are needed";
    if (core->limits.maxPerStageDescriptorStorageBuffers < MAX_BUFFERS) return "8 storage buffers a kernel are needed";
    return NULL;
}

static bool compute_family(VkPhysicalDevice physical, uint32_t *family, uint32_t *timestamp_bits)
{
    VkQueueFamilyProperties list[32];
    uint32_t count = 32;
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, list);
    for (uint32_t i = 0; i < count; i++) {
        if (!(list[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
        *family = i;
        *timestamp_bits = list[i].timestampValidBits;
        return true;
    }
    return false;
}

// All 0 where it is switched off.
static struct MatrixShape matrix_shape(VkInstance instance, VkPhysicalDevice physical)
{
    if (disabled("coopmat") || disabled("f16") || !offers(physical, COOPMAT_EXTENSION)) return (struct MatrixShape){0};
    return coopmat_shape(instance, physical);
}

static void describe_features(VkInstance instance, VkPhysicalDevice physical, vkgpt_device_info *info)
{
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceVulkan11Features v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
                                            .pNext = &v12};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v11};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    info->f16 = v12.shaderFloat16 && !disabled("f16");
    info->int8 = v12.shaderInt8;
    info->storage16 = v11.storageBuffer16BitAccess;
    info->storage8 = v12.storageBuffer8BitAccess;
    info->coopmat = info->subgroup_size_control && matrix_shape(instance, physical).m != 0;
    info->memory_budget = offers(physical, "VK_EXT_memory_budget") && !disabled("memory_budget");
    info->device_fault = !disabled("device_fault") && offers(physical, VK_EXT_DEVICE_FAULT_EXTENSION_NAME) &&
                         device_fault_offered(physical);
}

// The subgroup size to ask for, where that is possible. AMD's RDNA runs 32 lanes at a time and 64 in two passes; short
// rows in quantised formats have too few loads for 64. Intel has 4 KiB of registers per subgroup, whatever its size:
// the smallest size has the most per lane, and with 32 lanes every product spills hundreds of them
// (docs/results/intel-stats.md).
static uint32_t wanted_size(const vkgpt_device_info *info)
{
    if (info->vendor_id == VENDOR_AMD && info->subgroup_min == 32) return 32;
    if (info->vendor_id == VENDOR_INTEL) return info->subgroup_min;
    return info->subgroup_size;
}

// The size for products of matrices. In subgroups of 64 a lane of RDNA 3 has half as many registers of a sum, so that a
// subgroup can have twice as many sums: fewer loads for each product (docs/results/coopmat.md). All such kernels have
// one size, so that a row has the same bits in every tile.
static uint32_t matrix_lanes(const vkgpt_device_info *info)
{
    return info->vendor_id == VENDOR_AMD && info->subgroup_max >= 64 ? 64 : info->subgroup_size;
}

// Fills everything but the index. Functions of Vulkan 1.1 and up are only called on devices that have them.
static void describe(VkInstance instance, VkPhysicalDevice physical, vkgpt_device_info *info)
{
    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceVulkan12Properties v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES};
    VkPhysicalDeviceVulkan11Properties v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
                                              .pNext = &v12};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &v11};
    vkGetPhysicalDeviceProperties(physical, &properties.properties);
    const VkPhysicalDeviceProperties *core = &properties.properties;
    const VkPhysicalDeviceLimits *limits = &core->limits;

    *info = (vkgpt_device_info){
        .type = type_name(core->deviceType),
        .vendor_id = core->vendorID,
        .device_id = core->deviceID,
        .max_buffer_range = limits->maxStorageBufferRange,
        .offset_alignment = (uint32_t)limits->minStorageBufferOffsetAlignment,
        .max_workgroup = limits->maxComputeWorkGroupInvocations,
        .shared_bytes = limits->maxComputeSharedMemorySize,
    };
    snprintf(info->name, sizeof info->name, "%s", core->deviceName);
    snprintf(info->api, sizeof info->api, "%u.%u.%u", VK_API_VERSION_MAJOR(core->apiVersion),
             VK_API_VERSION_MINOR(core->apiVersion), VK_API_VERSION_PATCH(core->apiVersion));
    describe_memory(physical, info);

    uint32_t family, timestamp_bits = 0;
    bool has_compute = compute_family(physical, &family, &timestamp_bits);
    if (core->apiVersion >= VK_API_VERSION_1_2) {
        bool size_control =
            (core->apiVersion >= VK_API_VERSION_1_3 || offers(physical, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) &&
            !disabled("subgroup_size_control");
        if (size_control) v12.pNext = &sizes;
        vkGetPhysicalDeviceProperties2(physical, &properties);
        snprintf(info->driver, sizeof info->driver, "%s %s", v12.driverName, v12.driverInfo);
        info->subgroup_size = info->subgroup_min = info->subgroup_max = v11.subgroupSize;
        info->subgroup_size_control = size_control && (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
        if (size_control) {
            info->subgroup_min = sizes.minSubgroupSize;
            info->subgroup_max = sizes.maxSubgroupSize;
            info->max_subgroups = sizes.maxComputeWorkgroupSubgroups;
        }
        if (info->subgroup_size_control) info->subgroup_size = wanted_size(info);
        info->subgroup_shuffle =
            (v11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) && !disabled("shuffle");
        info->max_allocation = v11.maxMemoryAllocationSize;
        info->timestamps = limits->timestampPeriod > 0 && timestamp_bits > 0 && !disabled("timestamps");
        describe_features(instance, physical, info);
    }
    const char *why_not = missing(core, &v11, has_compute);
    info->usable = !why_not;
    if (why_not) snprintf(info->why_not, sizeof info->why_not, "%s", why_not);
}

static int preference(const vkgpt_device_info *info)
{
    const char *order[] = {"discrete GPU", "integrated GPU", "virtual GPU", "other", "software"};
    for (int i = 0; i < 5; i++)
        if (!strcmp(info->type, order[i])) return i;
    return 5;
}

// All devices of an instance in the order of --device: by preference, and equal ones in the order of the loader.
static int enumerate(VkInstance instance, VkPhysicalDevice *physical, vkgpt_device_info *infos, uint32_t *count,
                     vkgpt_error *err)
{
    VkPhysicalDevice found[MAX_DEVICES];
    *count = MAX_DEVICES;
    VkResult result = vkEnumeratePhysicalDevices(instance, count, found);
    bool listed = result == VK_SUCCESS || result == VK_INCOMPLETE; // INCOMPLETE: the first MAX_DEVICES
    if (!listed && result != VK_ERROR_INITIALIZATION_FAILED) return vk_fail(err, result, "listing the Vulkan devices");
    if (!listed || !*count) return drivers_fail(&(VkInstanceCreateInfo){.pApplicationInfo = NULL}, err);
    uint32_t placed = 0;
    for (uint32_t i = 0; i < *count; i++) {
        vkgpt_device_info info;
        describe(instance, found[i], &info);
        uint32_t at = placed++;
        for (; at > 0 && preference(&infos[at - 1]) > preference(&info); at--) {
            infos[at] = infos[at - 1];
            physical[at] = physical[at - 1];
        }
        infos[at] = info;
        physical[at] = found[i];
    }
    for (uint32_t i = 0; i < *count; i++) infos[i].index = (int)i;
    return VKGPT_OK;
}

int vkgpt_devices(vkgpt_device_info **list, size_t *count, vkgpt_error *err)
{
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physical[MAX_DEVICES];
    uint32_t found = 0;
    *list = calloc(MAX_DEVICES, sizeof **list);
    if (!*list) return fail_memory(err, "the list of devices", MAX_DEVICES * sizeof **list);
    int status = instance_create(&instance, NULL, err);
    if (!status) status = enumerate(instance, physical, *list, &found, err);
    if (instance) vkDestroyInstance(instance, NULL);
    *count = found;
    if (!status) return VKGPT_OK;
    free(*list);
    *list = NULL;
    *count = 0;
    return status;
}

// -------------------------------------------------------------------------------------------- opening

static int choose(const char *which, const vkgpt_device_info *infos, uint32_t count, uint32_t *chosen, vkgpt_error *err)
{
    if (which) {
        char *end;
        unsigned long index = strtoul(which, &end, 10);
        bool is_index = *which >= '0' && *which <= '9' && !*end;
        if (is_index && index >= count)
            return fail(err, VKGPT_BAD_ARGUMENT, "device %s: there are %u devices, counted from 0", which, count);
        for (*chosen = 0; *chosen < count; ++*chosen)
            if (is_index ? *chosen == index : strcasestr(infos[*chosen].name, which) != NULL) break;
        if (*chosen == count)
            return fail(err, VKGPT_BAD_ARGUMENT, "device %s: none of the %u devices has that in its name", which,
                        count);
        if (infos[*chosen].usable) return VKGPT_OK;
    } else {
        for (*chosen = 0; *chosen < count; ++*chosen)
            if (infos[*chosen].usable) return VKGPT_OK;
        *chosen = 0;
    }
    return fail(err, VKGPT_NO_DEVICE, "device %s cannot be used: %s", infos[*chosen].name, infos[*chosen].why_not);
}

static void find_queue(vkgpt_device *device)
{
    uint32_t timestamp_bits = 0;
    compute_family(device->physical, &device->queue_family, &timestamp_bits);
    device->timestamp_mask = timestamp_bits < 64 ? (1ull << timestamp_bits) - 1 : UINT64_MAX;
}

// Finds out what the device has of the features that vkgpt uses where it can.
static void find_features(vkgpt_device *device)
{
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                            .pNext = device->info.subgroup_size_control ? &sizes : NULL};
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &v12};
    VkPhysicalDevice physical = device->physical;
    vkGetPhysicalDeviceFeatures2(physical, &all);
    device->addresses = v12.bufferDeviceAddress && !disabled("persistent");
    device->size_control = sizes.subgroupSizeControl;
    device->full_subgroups = sizes.computeFullSubgroups && !disabled("full_subgroups");
    device->matrix =
        coopmat_usable(device->size_control, device->full_subgroups, matrix_shape(device->instance, physical));
    device->matrix_lanes = matrix_lanes(&device->info);
    device->matrix_halves = device->matrix.m && coopmat_has_halves(device->instance, physical, device->matrix);
    device->processors = processors_of(physical, offers(physical, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME),
                                       offers(physical, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME));
    device->uniform_flow = !disabled("uniform_control_flow") &&
                           offers(physical, VK_KHR_SHADER_SUBGROUP_UNIFORM_CONTROL_FLOW_EXTENSION_NAME) &&
                           uniform_flow_offered(physical);
    if (!disabled("float_controls")) device->float_controls = float_controls_offered(physical);
}

// What a device is opened with. The structs of the features point to each other.
struct Asked {
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceSubgroupSizeControlFeatures sizes;
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrices;
    VkPhysicalDeviceShaderSubgroupUniformControlFlowFeaturesKHR flow;
    VkPhysicalDeviceFaultFeaturesEXT fault;
    const char *extensions[6];
    uint32_t extension_count;
};

static void ask_features(const vkgpt_device *device, struct Asked *asked)
{
    *asked = (struct Asked){
        .features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                     .pNext = device->uniform_flow ? (void *)&asked->flow : &asked->v12},
        .flow = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SUBGROUP_UNIFORM_CONTROL_FLOW_FEATURES_KHR,
                 .pNext = &asked->v12,
                 .shaderSubgroupUniformControlFlow = VK_TRUE},
        .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                .pNext = device->size_control ? &asked->sizes : NULL,
                .timelineSemaphore = VK_TRUE,
                .bufferDeviceAddress = device->addresses},
        .sizes = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                  .subgroupSizeControl = device->size_control,
                  .computeFullSubgroups = device->full_subgroups},
        .fault = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT, .deviceFault = VK_TRUE},
    };
    if (device->matrix.m) coopmat_ask(&asked->v12, &asked->matrices);
    asked->features.features.robustBufferAccess = environment_is_set("VKGPT_ROBUST");
    if (!device->info.device_fault) return;
    asked->fault.pNext = asked->features.pNext;
    asked->features.pNext = &asked->fault;
}

static void ask_extension(struct Asked *asked, const char *name) { asked->extensions[asked->extension_count++] = name; }

static void ask_extensions(const vkgpt_device *device, struct Asked *asked)
{
    if (device->uniform_flow) ask_extension(asked, VK_KHR_SHADER_SUBGROUP_UNIFORM_CONTROL_FLOW_EXTENSION_NAME);
    if (device->matrix.m) ask_extension(asked, COOPMAT_EXTENSION);
    if (device->size_control && offers(device->physical, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME))
        ask_extension(asked, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    if (device->info.memory_budget) ask_extension(asked, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    if (device->info.device_fault) ask_extension(asked, VK_EXT_DEVICE_FAULT_EXTENSION_NAME);
}

static int create_logical(vkgpt_device *device, const struct Asked *asked, vkgpt_error *err)
{
    float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = device->queue_family,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &asked->features,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = asked->extension_count,
        .ppEnabledExtensionNames = asked->extensions,
    };
    VkResult result = vkCreateDevice(device->physical, &info, NULL, &device->handle);
    if (result) return vk_fail(err, result, "opening the device");
    volkLoadDeviceTable(&device->vk, device->handle);
    device->vk.vkGetDeviceQueue(device->handle, device->queue_family, 0, &device->queue);
    return VKGPT_OK;
}

int device_make_logical(vkgpt_device *device, const char *extension, VkBaseOutStructure *feature, vkgpt_error *err)
{
    struct Asked asked;
    find_queue(device);
    find_features(device);
    ask_features(device, &asked);
    ask_extensions(device, &asked);
    if (extension) ask_extension(&asked, extension);
    if (feature) {
        feature->pNext = asked.features.pNext;
        asked.features.pNext = feature;
    }
    return create_logical(device, &asked, err);
}

int device_make_layouts(vkgpt_device *device, vkgpt_error *err)
{
    VkDescriptorSetLayoutBinding bindings[2 * MAX_BUFFERS];
    uint32_t count = device->texels ? 2 * MAX_BUFFERS : MAX_BUFFERS;
    for (uint32_t i = 0; i < count; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType =
                i < MAX_BUFFERS ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = count,
        .pBindings = bindings,
    };
    VkResult result = device->vk.vkCreateDescriptorSetLayout(device->handle, &set, NULL, &device->set_layout);
    if (result) return vk_fail(err, result, "creating the layout of buffers");
    VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, 128};
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &device->set_layout,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &push,
    };
    result = device->vk.vkCreatePipelineLayout(device->handle, &layout, NULL, &device->pipeline_layout);
    return result ? vk_fail(err, result, "creating the layout of pipelines") : VKGPT_OK;
}

static int make_queue_objects(vkgpt_device *device, vkgpt_error *err)
{
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
        .queueFamilyIndex = device->queue_family,
    };
    VkResult result = device->vk.vkCreateCommandPool(device->handle, &pool, NULL, &device->command_pool);
    if (result) return vk_fail(err, result, "creating a command pool");
    VkSemaphoreTypeCreateInfo type = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
    };
    VkSemaphoreCreateInfo semaphore = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    result = device->vk.vkCreateSemaphore(device->handle, &semaphore, NULL, &device->timeline);
    return result ? vk_fail(err, result, "creating a timeline") : VKGPT_OK;
}

static void adopt(vkgpt_device *device, VkPhysicalDevice physical, const vkgpt_device_info *info)
{
    VkPhysicalDeviceProperties properties;
    device->physical = physical;
    device->info = *info;
    vkGetPhysicalDeviceMemoryProperties(physical, &device->memory);
    vkGetPhysicalDeviceProperties(physical, &properties);
    device->timestamp_period = info->timestamps ? properties.limits.timestampPeriod : 0.0f;
    device->software = !strcmp(info->type, "software");
    device->lockstep = device->software;
    device->software_kernels =
        device->software && info->subgroup_shuffle && !disabled("software_kernels") && !disabled("lanes");
    device->texels = device->software_kernels && texels_reach(device, &properties.limits) && !disabled("texels");
}

int vkgpt_device_open(const char *which, vkgpt_device **opened, vkgpt_error *err)
{
    VkPhysicalDevice physical[MAX_DEVICES];
    uint32_t count, chosen = 0;
    *opened = NULL;
    vkgpt_device *device = calloc(1, sizeof *device);
    vkgpt_device_info *infos = calloc(MAX_DEVICES, sizeof *infos);
    int status = device && infos ? VKGPT_OK : fail_memory(err, "the device", sizeof *device);
    if (device) pipelines_open(device);
    if (!status) status = instance_create(&device->instance, device, err);
    if (!status) status = enumerate(device->instance, physical, infos, &count, err);
    if (!status) status = choose(which, infos, count, &chosen, err);
    if (!status) {
        adopt(device, physical[chosen], &infos[chosen]);
        status = device_make_logical(device, NULL, NULL, err);
    }
    if (!status) status = device_make_layouts(device, err);
    if (!status) status = make_queue_objects(device, err);
    if (!status) status = pipeline_cache_open(device, err);
    free(infos);
    if (status) {
        vkgpt_device_close(device);
        return status;
    }
    *opened = device;
    return VKGPT_OK;
}

void vkgpt_device_close(vkgpt_device *device)
{
    if (!device) return;
    if (device->handle) {
        if (!device->failure.code) device->vk.vkDeviceWaitIdle(device->handle);
        pipelines_free(device);
        pipeline_cache_close(device);
        device->vk.vkDestroySemaphore(device->handle, device->timeline, NULL);
        device->vk.vkDestroyCommandPool(device->handle, device->command_pool, NULL);
        device->vk.vkDestroyPipelineLayout(device->handle, device->pipeline_layout, NULL);
        device->vk.vkDestroyDescriptorSetLayout(device->handle, device->set_layout, NULL);
        device->vk.vkDestroyDevice(device->handle, NULL);
    }
    stop_listening(device);
    if (device->instance) vkDestroyInstance(device->instance, NULL);
    queue_close(&device->compiling);
    free(device->tuning);
    free(device);
}
