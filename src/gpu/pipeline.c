// Pipelines: a kernel's SPIR-V with its specialization constants, compiled by the driver once and kept. Drivers take
// from a few milliseconds to a second for one, so all cores compile, while the caller goes on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/recording.h"
#include "gpu/spirv.h"
#include "gpu/uniform_flow.h"

static const struct Spirv *find_spirv(const char *kernel)
{
    for (size_t i = 0; i < SPIRV_COUNT; i++)
        if (!strcmp(SPIRV_TABLE[i].name, kernel)) return &SPIRV_TABLE[i];
    return NULL;
}

bool kernel_exists(const char *kernel) { return find_spirv(kernel) != NULL; }

const char *kernel_variant(const vkgpt_device *device, const char *kernel)
{
    char name[64];
    if (!device->texels || !device->software_kernels) return kernel;
    snprintf(name, sizeof name, "%s_texels", kernel);
    const struct Spirv *variant = find_spirv(name);
    return variant ? variant->name : kernel;
}

static struct Pipeline *of_job(struct Job *job) { return (struct Pipeline *)job; } // the job is its first member

static VkResult make_module(vkgpt_device *device, const struct Spirv *spirv, VkShaderModule *module)
{
    struct ModuleAsk asks[1 + FLOAT_ASKS];
    uint32_t count = 0;
    if (device->uniform_flow) asks[count++] = uniform_flow_ask();
    if (strstr(spirv->name, "deterministic")) count += float_controls_asks(device->float_controls, asks + count);
    size_t bytes = spirv->bytes;
    uint32_t *own = count ? module_ask(spirv->words, &bytes, asks, count) : NULL;
    if (count && !own) return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = bytes,
        .pCode = own ? own : spirv->words,
    };
    VkResult result = device->vk.vkCreateShaderModule(device->handle, &code, NULL, module);
    free(own);
    return result;
}

static VkResult compile(vkgpt_device *device, struct Pipeline *pipeline)
{
    VkShaderModule module;
    VkResult result = make_module(device, find_spirv(pipeline->kernel), &module);
    if (result) return result;

    VkSpecializationMapEntry entries[MAX_CONSTANTS];
    for (uint32_t i = 0; i < pipeline->constant_count; i++) entries[i] = (VkSpecializationMapEntry){i, 4 * i, 4};
    VkSpecializationInfo special = {pipeline->constant_count, entries, 4 * pipeline->constant_count,
                                    pipeline->constants};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = pipeline->lanes,
    };
    // full subgroups need a workgroup that is a multiple of the largest size that the driver might choose
    uint32_t workgroup = pipeline->constants[CONSTANT_SIZE], lanes = pipeline->lanes;
    bool fixed = device->size_control && workgroup % lanes == 0 && workgroup / lanes <= device->info.max_subgroups;
    // clang-format off
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
    // clang-format on
    result =
        device->vk.vkCreateComputePipelines(device->handle, device->pipeline_cache, 1, &info, NULL, &pipeline->handle);
    device->vk.vkDestroyShaderModule(device->handle, module, NULL);
    return result;
}

static void compile_job(void *user, struct Job *job)
{
    struct Pipeline *pipeline = of_job(job);
    pipeline->result = compile(user, pipeline);
}

void pipelines_open(vkgpt_device *device) { queue_open(&device->compiling, compile_job, device); }

static void ask_for(vkgpt_device *device, struct Pipeline *pipeline)
{
    pipeline->waited_for = false;
    pipeline->result = VK_SUCCESS;
    queue_add(&device->compiling, &pipeline->job);
}

int pipeline_get_lanes(vkgpt_device *device, const char *kernel, uint32_t lanes, const uint32_t *constants,
                       uint32_t count, const struct Pipeline **found, vkgpt_error *err)
{
    kernel = kernel_variant(device, kernel);
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        struct Pipeline *p = device->pipelines[i];
        if (strcmp(p->kernel, kernel) || p->constant_count != count || memcmp(p->constants, constants, 4 * count))
            continue;
        if (p->waited_for && p->result) ask_for(device, p); // there may be memory for it now
        *found = p;
        return VKGPT_OK;
    }
    *found = NULL;
    if (count > MAX_CONSTANTS || device->pipeline_count == DEVICE_MAX_PIPELINES)
        return fail(err, VKGPT_BAD_ARGUMENT, "kernel %s: %u constants, %u pipelines", kernel, count,
                    device->pipeline_count);
    if (!kernel_exists(kernel)) return fail(err, VKGPT_BAD_ARGUMENT, "kernel %s is not in this program", kernel);
    struct Pipeline *pipeline = device_alloc(device, 1, sizeof *pipeline);
    if (!pipeline) return fail_memory(err, kernel, sizeof *pipeline);
    pipeline->kernel = kernel;
    pipeline->lanes = lanes;
    pipeline->constant_count = count;
    memcpy(pipeline->constants, constants, 4 * count);
    device->pipelines[device->pipeline_count++] = pipeline;
    ask_for(device, pipeline);
    *found = pipeline;
    return VKGPT_OK;
}

int pipeline_get(vkgpt_device *device, const char *kernel, const uint32_t *constants, uint32_t count,
                 const struct Pipeline **found, vkgpt_error *err)
{
    return pipeline_get_lanes(device, kernel, device->info.subgroup_size, constants, count, found, err);
}

int pipeline_ready(vkgpt_device *device, const struct Pipeline *pipeline, vkgpt_error *err)
{
    if (!pipeline->waited_for) { // by this thread, the only one that records
        struct Pipeline *own = (struct Pipeline *)pipeline;
        queue_wait(&device->compiling, &own->job);
        own->waited_for = true;
    }
    return pipeline->result ? vk_fail(err, pipeline->result, pipeline->kernel) : VKGPT_OK;
}

bool pipeline_is_compiled(vkgpt_device *device, const char *kernel)
{
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        struct Pipeline *p = device->pipelines[i];
        if (!strcmp(p->kernel, kernel) && queue_done(&device->compiling, &p->job)) return !p->result;
    }
    return false;
}

int pipelines_ready(vkgpt_device *device, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        int ready = pipeline_ready(device, device->pipelines[i], status ? NULL : err);
        if (!status) status = ready;
    }
    return status;
}

void pipelines_forget(vkgpt_device *device, uint32_t keep)
{
    pipelines_ready(device, NULL); // not dropped: those that stay will be used
    while (device->pipeline_count > keep) {
        struct Pipeline *pipeline = device->pipelines[--device->pipeline_count];
        device->vk.vkDestroyPipeline(device->handle, pipeline->handle, NULL);
        free(pipeline);
    }
}

void pipelines_free(vkgpt_device *device)
{
    queue_drop(&device->compiling); // what nobody has used yet is not needed any more
    for (uint32_t i = 0; i < device->pipeline_count; i++) {
        device->vk.vkDestroyPipeline(device->handle, device->pipelines[i]->handle, NULL);
        free(device->pipelines[i]);
    }
    device->pipeline_count = 0;
}
