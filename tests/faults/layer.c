// The layer itself: faults.h says what it does. It serves devices of several drivers if a layer below it does, such as
// the validation layer: it keeps the functions of the device that was opened last.
#define _POSIX_C_SOURCE 200809L
#include "faults.h"
#include "limits.h"
#include "reason.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_INSTANCES 8
#define MAX_DEVICES 8

// clang-format off
// Functions of a device that return a result: name, parameters, arguments.
#define DEVICE_CALLS(X)                                                                                               \
    X(AllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o))      \
    X(AllocateDescriptorSets, (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *o), (d, i, o))      \
    X(BeginCommandBuffer, (VkCommandBuffer d, const VkCommandBufferBeginInfo *i), (d, i))                             \
    X(BindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize s), (d, b, m, s))                     \
    X(DeviceWaitIdle, (VkDevice d), (d))                                                                              \
    X(EndCommandBuffer, (VkCommandBuffer d), (d))                                                                     \
    X(GetPipelineCacheData, (VkDevice d, VkPipelineCache c, size_t *n, void *o), (d, c, n, o))                        \
    X(GetQueryPoolResults,                                                                                            \
      (VkDevice d, VkQueryPool p, uint32_t f, uint32_t c, size_t n, void *o, VkDeviceSize s, VkQueryResultFlags x),   \
      (d, p, f, c, n, o, s, x))                                                                                       \
    X(MapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize f, VkDeviceSize n, VkMemoryMapFlags x, void **o),        \
      (d, m, f, n, x, o))                                                                                             \
    X(QueueSubmit, (VkQueue d, uint32_t n, const VkSubmitInfo *i, VkFence f), (d, n, i, f))                           \
    X(WaitSemaphores, (VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t t), (d, i, t))

// Functions that make an object, and the ones that end it: maker, type of what it takes, type of the object, ender.
#define MAKERS(X)                                                                                                     \
    X(AllocateMemory, VkMemoryAllocateInfo, VkDeviceMemory, FreeMemory)                                               \
    X(CreateBuffer, VkBufferCreateInfo, VkBuffer, DestroyBuffer)                                                      \
    X(CreateBufferView, VkBufferViewCreateInfo, VkBufferView, DestroyBufferView)                                      \
    X(CreateCommandPool, VkCommandPoolCreateInfo, VkCommandPool, DestroyCommandPool)                                  \
    X(CreateDescriptorPool, VkDescriptorPoolCreateInfo, VkDescriptorPool, DestroyDescriptorPool)                      \
    X(CreateDescriptorSetLayout, VkDescriptorSetLayoutCreateInfo, VkDescriptorSetLayout, DestroyDescriptorSetLayout)  \
    X(CreatePipelineCache, VkPipelineCacheCreateInfo, VkPipelineCache, DestroyPipelineCache)                          \
    X(CreatePipelineLayout, VkPipelineLayoutCreateInfo, VkPipelineLayout, DestroyPipelineLayout)                      \
    X(CreateQueryPool, VkQueryPoolCreateInfo, VkQueryPool, DestroyQueryPool)                                          \
    X(CreateSemaphore, VkSemaphoreCreateInfo, VkSemaphore, DestroySemaphore)                                          \
    X(CreateShaderModule, VkShaderModuleCreateInfo, VkShaderModule, DestroyShaderModule)

enum Call {
#define X(name, ...) CALL_##name,
    DEVICE_CALLS(X) MAKERS(X)
#undef X
    CALL_CreateComputePipelines, CALL_CreateDevice, CALL_CreateInstance, CALL_EnumeratePhysicalDevices, CALLS
};

static const char *const names[CALLS] = {
#define X(name, ...) "vk" #name,
    DEVICE_CALLS(X) MAKERS(X)
#undef X
    "vkCreateComputePipelines", "vkCreateDevice", "vkCreateInstance", "vkEnumeratePhysicalDevices",
};
// clang-format on

static struct {
    atomic_uint_fast64_t calls[CALLS];
    atomic_int_fast64_t objects[CALLS];
    unsigned call; // that fails
    uint64_t n, times;
    int result;
    _Atomic(const void *) lost; // of_device
    double time;
    pthread_once_t environment;
} faults = {.environment = PTHREAD_ONCE_INIT};

// What lies below this layer, asked for while the instance is made: later the loader may answer with the top of the
// chain.
static struct Below {
    VkInstance instance;
    PFN_vkGetInstanceProcAddr get;
    PFN_vkDestroyInstance destroy;
    PFN_vkEnumeratePhysicalDevices enumerate;
} instances[MAX_INSTANCES];
static pthread_mutex_t instances_lock = PTHREAD_MUTEX_INITIALIZER;

// clang-format off
static struct {
    _Atomic(VkDevice) devices[MAX_DEVICES]; // that are open
    PFN_vkGetDeviceProcAddr get;
    PFN_vkDestroyDevice DestroyDevice;
    PFN_vkCreateComputePipelines CreateComputePipelines;
    PFN_vkDestroyPipeline DestroyPipeline;
#define X(name, ...) PFN_vk##name name;
    DEVICE_CALLS(X)
#undef X
#define X(maker, info, object, ender) PFN_vk##maker maker; PFN_vk##ender ender;
    MAKERS(X)
#undef X
} next;
// clang-format on

// ------------------------------------------------------------------------------------------- the interface

EXPORT const char *faults_call(unsigned index) { return index < CALLS ? names[index] : NULL; }

EXPORT void faults_set(unsigned index, uint64_t n, int result)
{
    for (unsigned i = 0; i < CALLS; i++) faults.calls[i] = 0;
    faults.call = index;
    faults.n = n;
    faults.times = 1;
    faults.result = result;
    faults.lost = NULL;
    faults.time = 0.0;
}

EXPORT uint64_t faults_calls(unsigned index) { return faults.calls[index]; }

EXPORT double faults_time(void) { return faults.time; }

EXPORT int64_t faults_objects(const char **made_by)
{
    int64_t total = 0;
    *made_by = NULL;
    for (unsigned i = 0; i < CALLS; i++) {
        total += faults.objects[i];
        if (faults.objects[i]) *made_by = names[i];
    }
    return total;
}

static void read_environment(void)
{
    const char *text = getenv("VKGPT_FAULT");
    char name[64];
    unsigned long long n, times = 1;
    int result;
    if (!text || sscanf(text, "%63s %llu %d %llu", name, &n, &result, &times) < 3) return;
    for (unsigned i = 0; i < CALLS; i++)
        if (!strcmp(names[i], name)) faults_set(i, n, result);
    faults.times = times;
}

// ------------------------------------------------------------------------------------------- failing

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_of_queue(enum Call call)
{
    return call == CALL_QueueSubmit || call == CALL_WaitSemaphores || call == CALL_DeviceWaitIdle;
}

// What a device, its queue and its command buffers have in common: the loader's table of functions.
static const void *of_device(const void *handle) { return handle ? *(void *const *)handle : NULL; }

// What a call has to return without being made, or VK_SUCCESS. `handle`: the device, or what belongs to it.
static VkResult fault(enum Call call, const void *handle)
{
    uint64_t count = ++faults.calls[call];
    bool comes = faults.call == call && faults.n && count % faults.n == 0 && count / faults.n <= faults.times,
         lost = is_of_queue(call) && faults.lost == of_device(handle);
    if (!comes && !lost) return VK_SUCCESS;
    // work that a real driver had lost would be at its end too
    for (unsigned i = 0; i < MAX_DEVICES && is_of_queue(call); i++)
        if (next.devices[i] && of_device(next.devices[i]) == of_device(handle)) next.DeviceWaitIdle(next.devices[i]);
    if (lost) return VK_ERROR_DEVICE_LOST;
    faults.time = seconds();
    if (faults.result == VK_ERROR_DEVICE_LOST) faults.lost = of_device(handle);
    return faults.result;
}

static VkResult made(enum Call call, VkResult result)
{
    if (!result) faults.objects[call]++;
    return result;
}

// clang-format off
#define X(name, parameters, arguments)                                                                               \
    static VKAPI_ATTR VkResult VKAPI_CALL layer_##name parameters                                                    \
    {                                                                                                                \
        VkResult result = fault(CALL_##name, d);                                                                     \
        return result ? result : next.name arguments;                                                                \
    }
DEVICE_CALLS(X)
#undef X

#define X(maker, info, object, ender)                                                                                 \
    static VKAPI_ATTR VkResult VKAPI_CALL layer_##maker(VkDevice d, const info *i, const VkAllocationCallbacks *a,    \
                                                        object *o)                                                    \
    {                                                                                                                 \
        VkResult result = fault(CALL_##maker, d);                                                                     \
        return result ? result : made(CALL_##maker, next.maker(d, i, a, o));                                          \
    }                                                                                                                 \
    static VKAPI_ATTR void VKAPI_CALL layer_##ender(VkDevice d, object o, const VkAllocationCallbacks *a)             \
    {                                                                                                                 \
        if (o) faults.objects[CALL_##maker]--;                                                                        \
        next.ender(d, o, a);                                                                                          \
    }
MAKERS(X)
#undef X
// clang-format on

static VKAPI_ATTR VkResult VKAPI_CALL layer_CreateComputePipelines(VkDevice d, VkPipelineCache c, uint32_t n,
                                                                   const VkComputePipelineCreateInfo *i,
                                                                   const VkAllocationCallbacks *a, VkPipeline *o)
{
    VkResult result = fault(CALL_CreateComputePipelines, d);
    return result ? result : made(CALL_CreateComputePipelines, next.CreateComputePipelines(d, c, n, i, a, o));
}

static VKAPI_ATTR void VKAPI_CALL layer_DestroyPipeline(VkDevice d, VkPipeline o, const VkAllocationCallbacks *a)
{
    if (o) faults.objects[CALL_CreateComputePipelines]--;
    next.DestroyPipeline(d, o, a);
}

// ------------------------------------------------------------------------------------------- instance and device

static struct Below below(VkInstance instance)
{
    struct Below found = {0};
    pthread_mutex_lock(&instances_lock);
    for (unsigned i = 0; i < MAX_INSTANCES && !found.instance; i++)
        if (instances[i].instance == instance) found = instances[i];
    pthread_mutex_unlock(&instances_lock);
    return found;
}

static void replace_instance(VkInstance from, struct Below to)
{
    pthread_mutex_lock(&instances_lock);
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        if (instances[i].instance != from) continue;
        instances[i] = to;
        break;
    }
    pthread_mutex_unlock(&instances_lock);
}

static void replace_device(VkDevice from, VkDevice to)
{
    unsigned i = 0;
    while (i < MAX_DEVICES && next.devices[i] != from) i++;
    if (i < MAX_DEVICES) next.devices[i] = to;
}

// The loader's word on what comes below this layer; it is moved on to the layer after that.
#define LINK(info, chain_type, structure)                                                                              \
    chain_type *link = (chain_type *)(uintptr_t)(info)->pNext;                                                         \
    while (link && !(link->sType == structure && link->function == VK_LAYER_LINK_INFO))                                \
        link = (chain_type *)(uintptr_t)link->pNext;                                                                   \
    if (!link) return VK_ERROR_INITIALIZATION_FAILED

static VKAPI_ATTR VkResult VKAPI_CALL layer_CreateInstance(const VkInstanceCreateInfo *info,
                                                           const VkAllocationCallbacks *a, VkInstance *instance)
{
    pthread_once(&faults.environment, read_environment);
    VkResult result = fault(CALL_CreateInstance, NULL);
    if (result) return result;
    LINK(info, VkLayerInstanceCreateInfo, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
    PFN_vkGetInstanceProcAddr get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)get(VK_NULL_HANDLE, "vkCreateInstance");
    result = create(info, a, instance);
    if (result) return result;
    get = reason_of_instance(*instance, limits_of_instance(*instance, get));
    replace_instance(VK_NULL_HANDLE,
                     (struct Below){*instance, get, (PFN_vkDestroyInstance)get(*instance, "vkDestroyInstance"),
                                    (PFN_vkEnumeratePhysicalDevices)get(*instance, "vkEnumeratePhysicalDevices")});
    return made(CALL_CreateInstance, result);
}

static VKAPI_ATTR void VKAPI_CALL layer_DestroyInstance(VkInstance instance, const VkAllocationCallbacks *a)
{
    if (!instance) return;
    below(instance).destroy(instance, a);
    replace_instance(instance, (struct Below){0});
    faults.objects[CALL_CreateInstance]--;
    const char *made_by;
    int64_t left = faults.objects[CALL_CreateInstance] ? 0 : faults_objects(&made_by); // of the last instance
    if (left) fprintf(stderr, "validation: %lld objects are left, one of them made by %s\n", (long long)left, made_by);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_EnumeratePhysicalDevices(VkInstance instance, uint32_t *count,
                                                                     VkPhysicalDevice *list)
{
    VkResult result = fault(CALL_EnumeratePhysicalDevices, NULL);
    if (result) return result;
    return below(instance).enumerate(instance, count, list);
}

static VKAPI_ATTR VkResult VKAPI_CALL layer_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                         const VkAllocationCallbacks *a, VkDevice *device)
{
    VkResult result = fault(CALL_CreateDevice, NULL);
    if (result) return result;
    LINK(info, VkLayerDeviceCreateInfo, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
    PFN_vkGetInstanceProcAddr get_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    PFN_vkGetDeviceProcAddr get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateDevice create = (PFN_vkCreateDevice)get_instance(VK_NULL_HANDLE, "vkCreateDevice");
    result = reason_create_device(create, physical, info, a, device);
    if (result) return result;
    faults.lost = NULL; // this one is not, and the loader may have given it the table of another one
    replace_device(NULL, *device);
    next.get = get = reason_of_device(limits_of_device(*device, get));
// clang-format off
#define X(name, ...) next.name = (PFN_vk##name)get(*device, "vk" #name);
    DEVICE_CALLS(X)
    MAKERS(X)
    X(DestroyDevice) X(CreateComputePipelines) X(DestroyPipeline)
#undef X
#define X(maker, info, object, ender) next.ender = (PFN_vk##ender)get(*device, "vk" #ender);
    MAKERS(X)
#undef X
        // clang-format on
        return made(CALL_CreateDevice, result);
}

static VKAPI_ATTR void VKAPI_CALL layer_DestroyDevice(VkDevice device, const VkAllocationCallbacks *a)
{
    if (!device) return;
    replace_device(device, NULL);
    next.DestroyDevice(device, a);
    faults.objects[CALL_CreateDevice]--;
}

// ------------------------------------------------------------------------------------------- the loader's questions

static PFN_vkVoidFunction own(const char *name)
{
// clang-format off
#define X(call, ...) if (!strcmp(name, "vk" #call)) return (PFN_vkVoidFunction)layer_##call;
    DEVICE_CALLS(X)
    MAKERS(X)
    X(CreateInstance) X(DestroyInstance) X(EnumeratePhysicalDevices) X(CreateDevice) X(DestroyDevice)
    X(CreateComputePipelines) X(DestroyPipeline)
#undef X
#define X(maker, info, object, ender) if (!strcmp(name, "vk" #ender)) return (PFN_vkVoidFunction)layer_##ender;
    MAKERS(X)
#undef X
        // clang-format on
        return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_GetDeviceProcAddr(VkDevice device, const char *name)
{
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)layer_GetDeviceProcAddr;
    PFN_vkVoidFunction function = own(name);
    return function ? function : next.get(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL layer_GetInstanceProcAddr(VkInstance instance, const char *name)
{
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)layer_GetInstanceProcAddr;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)layer_GetDeviceProcAddr;
    PFN_vkVoidFunction function = own(name);
    if (function || !instance) return function;
    PFN_vkGetInstanceProcAddr get = below(instance).get;
    return get ? get(instance, name) : NULL;
}

EXPORT VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface)
{
    if (interface->loaderLayerInterfaceVersion < 2) return VK_ERROR_INITIALIZATION_FAILED;
    interface->loaderLayerInterfaceVersion = 2;
    interface->pfnGetInstanceProcAddr = layer_GetInstanceProcAddr;
    interface->pfnGetDeviceProcAddr = layer_GetDeviceProcAddr;
    interface->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
