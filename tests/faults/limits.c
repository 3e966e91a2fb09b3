// Limits of a device, made smaller. A name of VKGPT_LIMITS that is not known ends the program: a limit that changes
// nothing would be tested in vain.
#include "limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT 512

// memory=: what memory the host sees.
enum Memory { MEMORY_AS_IT_IS, MEMORY_UNCACHED, MEMORY_INCOHERENT, MEMORIES };

static const char *const memories[MEMORIES] = {"", "uncached", "incoherent"};

static struct {
    uint64_t invocations, buffers, range, allocation, shared, sets, push, alignment, texels; // 0: as they are
    enum Memory memory;
    uint32_t own_type; // with MEMORY_INCOHERENT, a type that the layer adds: cached and not coherent; 0: none
    uint32_t own_like; // the type of the device that it stands for
} limits;

static struct {
    PFN_vkGetInstanceProcAddr get_instance;
    PFN_vkGetDeviceProcAddr get_device;
    PFN_vkGetPhysicalDeviceProperties properties;
    PFN_vkGetPhysicalDeviceProperties2 properties2;
    PFN_vkGetPhysicalDeviceMemoryProperties memory;
    PFN_vkGetPhysicalDeviceMemoryProperties2 memory2;
    PFN_vkAllocateMemory allocate;
    PFN_vkGetBufferMemoryRequirements requirements;
    PFN_vkUpdateDescriptorSets update;
} next;

static const struct {
    const char *name;
    uint64_t *value;
} numbers[] = {
    {"invocations", &limits.invocations},
    {"buffers", &limits.buffers},
    {"range", &limits.range},
    {"allocation", &limits.allocation},
    {"shared", &limits.shared},
    {"sets", &limits.sets},
    {"push", &limits.push},
    {"alignment", &limits.alignment},
    {"texels", &limits.texels},
};

static void set(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        *numbers[i].value = strtoull(value, NULL, 10);
        return;
    }
    for (int i = 1; i < MEMORIES && !strcmp(name, "memory"); i++) {
        if (strcmp(value, memories[i]) != 0) continue;
        limits.memory = (enum Memory)i;
        return;
    }
    fprintf(stderr, "VKGPT_LIMITS: %s=%s is not known\n", name, value);
    abort();
}

static void read_environment(void)
{
    memset(&limits, 0, sizeof limits);
    const char *given = getenv("VKGPT_LIMITS");
    char text[MAX_TEXT] = "", name[32], value[32];
    if (given) snprintf(text, sizeof text, "%s", given);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        if (sscanf(word, "%31[^=]=%31s", name, value) != 2) abort();
        set(name, value);
    }
}

// ------------------------------------------------------------------------------------------------- numbers

static void lower(uint32_t *limit, uint64_t most)
{
    if (most && *limit > most) *limit = (uint32_t)most;
}

static void lower_size(VkDeviceSize *limit, uint64_t most)
{
    if (most && *limit > most) *limit = most;
}

static void lower_core(VkPhysicalDeviceLimits *core)
{
    lower(&core->maxComputeWorkGroupInvocations, limits.invocations);
    for (int i = 0; i < 3; i++) lower(&core->maxComputeWorkGroupSize[i], limits.invocations);
    lower(&core->maxPerStageDescriptorStorageBuffers, limits.buffers);
    lower(&core->maxStorageBufferRange, limits.range);
    lower(&core->maxComputeSharedMemorySize, limits.shared);
    lower(&core->maxBoundDescriptorSets, limits.sets);
    lower(&core->maxPushConstantsSize, limits.push);
    lower(&core->maxTexelBufferElements, limits.texels);
    if (core->minStorageBufferOffsetAlignment < limits.alignment)
        core->minStorageBufferOffsetAlignment = core->nonCoherentAtomSize = limits.alignment;
}

static VKAPI_ATTR void VKAPI_CALL get_properties(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties)
{
    next.properties(device, properties);
    lower_core(&properties->limits);
}

static VKAPI_ATTR void VKAPI_CALL get_properties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *properties)
{
    next.properties2(device, properties);
    lower_core(&properties->properties.limits);
    for (VkBaseOutStructure *more = properties->pNext; more; more = more->pNext) {
        if (more->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES)
            lower_size(&((VkPhysicalDeviceVulkan11Properties *)more)->maxMemoryAllocationSize, limits.allocation);
        if (more->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES)
            lower_size(&((VkPhysicalDeviceMaintenance3Properties *)more)->maxMemoryAllocationSize, limits.allocation);
    }
}

// ------------------------------------------------------------------------------------------------- memory

static void change_memory(VkPhysicalDeviceMemoryProperties *memory)
{
    for (uint32_t i = 0; limits.memory && i < memory->memoryTypeCount; i++) {
        VkMemoryPropertyFlags *flags = &memory->memoryTypes[i].propertyFlags;
        if (*flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) limits.own_like = i;
        *flags &= ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    }
    if (limits.memory != MEMORY_INCOHERENT || memory->memoryTypeCount == VK_MAX_MEMORY_TYPES) return;
    limits.own_type = memory->memoryTypeCount++;
    memory->memoryTypes[limits.own_type] = memory->memoryTypes[limits.own_like];
    memory->memoryTypes[limits.own_type].propertyFlags =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
}

static VKAPI_ATTR void VKAPI_CALL get_memory(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties *memory)
{
    next.memory(device, memory);
    change_memory(memory);
}

static VKAPI_ATTR void VKAPI_CALL get_memory2(VkPhysicalDevice device, VkPhysicalDeviceMemoryProperties2 *memory)
{
    next.memory2(device, memory);
    change_memory(&memory->memoryProperties);
}

static VKAPI_ATTR void VKAPI_CALL get_requirements(VkDevice device, VkBuffer buffer, VkMemoryRequirements *needs)
{
    next.requirements(device, buffer, needs);
    bool same = needs->memoryTypeBits >> limits.own_like & 1;
    if (limits.own_type && same) needs->memoryTypeBits |= 1u << limits.own_type;
}

// What is wrong is said as the validation layer would say it, which does not know of the smaller limits.
static void say_wrong(const char *what) { fprintf(stderr, "validation: %s\n", what); }

// Nothing in vkgpt flushes what it writes, or invalidates what it reads: so it may not take memory that asks for it.
static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                               const VkAllocationCallbacks *callbacks, VkDeviceMemory *memory)
{
    if (limits.allocation && info->allocationSize > limits.allocation) say_wrong("an allocation that is too large");
    if (!limits.own_type || info->memoryTypeIndex != limits.own_type)
        return next.allocate(device, info, callbacks, memory);
    say_wrong("memory that is not coherent");
    return VK_ERROR_UNKNOWN;
}

static VKAPI_ATTR void VKAPI_CALL update(VkDevice device, uint32_t count, const VkWriteDescriptorSet *writes,
                                         uint32_t copy_count, const VkCopyDescriptorSet *copies)
{
    for (uint32_t i = 0; i < count; i++) {
        if (limits.buffers && writes[i].descriptorCount > limits.buffers) say_wrong("too many buffers");
        for (uint32_t k = 0; writes[i].pBufferInfo && k < writes[i].descriptorCount; k++) {
            const VkDescriptorBufferInfo *buffer = &writes[i].pBufferInfo[k];
            if (limits.alignment && buffer->offset % limits.alignment) say_wrong("an offset that is not aligned");
            if (limits.range && buffer->range > limits.range) say_wrong("a range that is too long");
        }
    }
    next.update(device, count, writes, copy_count, copies);
}

// --------------------------------------------------------------------------------------------- what answers

struct Own {
    const char *name;
    PFN_vkVoidFunction function;
};

static PFN_vkVoidFunction find(const struct Own *own, const char *name)
{
    while (own->name && strcmp(own->name, name) != 0) own++;
    return own->function;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_of_device(VkDevice device, const char *name)
{
    static const struct Own own[] = {
        {"vkAllocateMemory", (PFN_vkVoidFunction)allocate},
        {"vkGetBufferMemoryRequirements", (PFN_vkVoidFunction)get_requirements},
        {"vkUpdateDescriptorSets", (PFN_vkVoidFunction)update},
        {NULL, NULL},
    };
    PFN_vkVoidFunction function = find(own, name);
    return function ? function : next.get_device(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_of_instance(VkInstance instance, const char *name)
{
    static const struct Own own[] = {
        {"vkGetPhysicalDeviceProperties", (PFN_vkVoidFunction)get_properties},
        {"vkGetPhysicalDeviceProperties2", (PFN_vkVoidFunction)get_properties2},
        {"vkGetPhysicalDeviceMemoryProperties", (PFN_vkVoidFunction)get_memory},
        {"vkGetPhysicalDeviceMemoryProperties2", (PFN_vkVoidFunction)get_memory2},
        {NULL, NULL},
    };
    PFN_vkVoidFunction function = find(own, name);
    return function ? function : next.get_instance(instance, name);
}

PFN_vkGetInstanceProcAddr limits_of_instance(VkInstance instance, PFN_vkGetInstanceProcAddr get)
{
    read_environment();
    next.get_instance = get;
    next.properties = (PFN_vkGetPhysicalDeviceProperties)get(instance, "vkGetPhysicalDeviceProperties");
    next.properties2 = (PFN_vkGetPhysicalDeviceProperties2)get(instance, "vkGetPhysicalDeviceProperties2");
    next.memory = (PFN_vkGetPhysicalDeviceMemoryProperties)get(instance, "vkGetPhysicalDeviceMemoryProperties");
    next.memory2 = (PFN_vkGetPhysicalDeviceMemoryProperties2)get(instance, "vkGetPhysicalDeviceMemoryProperties2");
    return get_of_instance;
}

PFN_vkGetDeviceProcAddr limits_of_device(VkDevice device, PFN_vkGetDeviceProcAddr get)
{
    next.get_device = get;
    next.allocate = (PFN_vkAllocateMemory)get(device, "vkAllocateMemory");
    next.requirements = (PFN_vkGetBufferMemoryRequirements)get(device, "vkGetBufferMemoryRequirements");
    next.update = (PFN_vkUpdateDescriptorSets)get(device, "vkUpdateDescriptorSets");
    return get_of_device;
}
