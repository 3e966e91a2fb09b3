// Pipelines: a kernel's SPIR-V with its specialization constants, compiled by the driver once and kept.
#include <stdlib.h>
#include <string.h>

#include "gpu/recording.h"
#include "gpu/spirv.h"

static const struct Spirv *find_spirv(const char *kernel)
{
    for (size_t i = 0; i < SPIRV_COUNT; i++)
        if (!strcmp(SPIRV_TABLE[i].name, kernel)) return &SPIRV_TABLE[i];
    return NULL;
}

bool kernel_exists(const char *kernel) { return find_spirv(kernel) != NULL; }

static int compile(vkgpt_device *device, struct Pipeline *pipeline, vkgpt_error *err)
{
    const struct Spirv *spirv = find_spirv(pipeline->kernel);
    if (!spirv) return fail(err, VKGPT_BAD_ARGUMENT, "kernel %s is not in this program", pipeline->kernel);
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = spirv->bytes,
        .pCode = spirv->words,
    };
    VkShaderModule module = VK_NULL_HANDLE;
    VkResult result = device->vk.vkCreateShaderModule(device->handle, &code, NULL, &module);
    if (result) return vk_fail(err, result, pipeline->kernel);

    VkSpecializationMapEntry entries[MAX_CONSTANTS];
    for (uint32_t i = 0; i < pipeline->constant_count; i++) entries[i] = (VkSpecializationMapEntry){i, 4 * i, 4};
    VkSpecializationInfo special = {pipeline->constant_count, entries, 4 * pipeline->constant_count,
                                    pipeline->constants};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = device->info.subgroup_size,
    };
    // full subgroups ask for a workgroup that is a multiple of the largest size the driver might pick
    uint32_t lanes = pipeline->constants[0];
    bool fixed = device->size_control && lanes % device->info.subgroup_size == 0 &&
                 (device->most_fixed == 0 || lanes <= device->most_fixed);
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .pNext = fixed ? &size : NULL,
            .flags = fixed && device->full_subgroups ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT,
            .module = module,
            .pName = "main",
            .pSpecializationInfo = &special,
        },
        .layout = device->pipeline_layout,
    };
    result =
        device->vk.vkCreateComputePipelines(device->handle, device->pipeline_cache, 1, &info, NULL, &pipeline->handle);
    device->vk.vkDestroyShaderModule(device->handle, module, NULL);
    return result ? vk_fail(err, result, pipeline->kernel) : VKGPT_OK;
}

int pipeline_get(vkgpt_device *device, const char *kernel, const uint32_t *constants, uint32_t count,
                 const struct Pipeline **found, vkgpt_error *err)
{
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        struct Pipeline *p = device->pipelines[i];
        *found = p;
        if (!strcmp(p->kernel, kernel) && p->constant_count == count && !memcmp(p->constants, constants, 4 * count))
            return VKGPT_OK;
    }
    *found = NULL;
    if (count > MAX_CONSTANTS || device->pipeline_count == DEVICE_MAX_PIPELINES)
        return fail(err, VKGPT_BAD_ARGUMENT, "kernel %s: %u constants, %u pipelines", kernel, count,
                    device->pipeline_count);
    struct Pipeline *pipeline = device_alloc(device, 1, sizeof *pipeline);
    if (!pipeline) return fail_memory(err, kernel, sizeof *pipeline);
    pipeline->kernel = kernel;
    pipeline->constant_count = count;
    memcpy(pipeline->constants, constants, 4 * count);
    int status = compile(device, pipeline, err);
    if (status) {
        free(pipeline);
        return status;
    }
    device->pipelines[device->pipeline_count++] = pipeline;
    *found = pipeline;
    return VKGPT_OK;
}

void pipelines_free(vkgpt_device *device)
{
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        device->vk.vkDestroyPipeline(device->handle, device->pipelines[i]->handle, NULL);
        free(device->pipelines[i]);
    }
    device->pipeline_count = 0;
}
