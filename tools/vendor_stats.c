// vendor_stats amd|intel [--quick | --assembly KERNEL] [MODEL ...]: prints what Mesa's compiler for a vendor makes of
// every pipeline that the engine asks for on a GPU, without needing one. RADV compiles for its null device, ANV for the
// fake device of tools/fakedrm.c. They report registers, spills, instructions and their own estimates of time. The
// engine chooses kernels and constants as for a session. This program only makes the device, which vkgpt itself cannot
// open (it has no queue that works), and prints the results. MODEL is a name that `vkgpt plan` knows.
// Exit status 1 if a pipeline spills registers, in prefill on Intel more than a few.
#define _POSIX_C_SOURCE 200809L // setenv
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cache.h"
#include "engine/kernels.h"
#include "engine/persistent.h"
#include "engine/small.h"
#include "gpu/device_open.h"
#include "gpu/recording.h"
#include "model/presets.h"

#define MAX_MODELS 16
#define LENGTH(array) (sizeof(array) / sizeof *(array))

// A number that a driver reports about a pipeline.
struct Statistic {
    const char *name;  // as the driver calls it; NULL: the lanes of a subgroup
    const char *title; // of the column; NULL: the name
    bool spill;        // it should be 0
};

#define MAX_STATISTICS 12

struct Vendor {
    const char *name;
    uint32_t id;
    const char *chooses;                         // the environment variable that names the device for the driver
    const char *devices[3];                      // its values, NULL at the end
    uint32_t subgroup_sizes[3];                  // to compare, 0 at the end; none: the engine's choice
    uint32_t prefill_spills;                     // and fills, each, that a kernel of prefill may have
    struct Statistic statistics[MAX_STATISTICS]; // as many as have a name or a title
    const char *assembly;                        // the representation that is the code
};

static const struct Vendor VENDORS[] = {
    {
        .name = "amd",
        .id = VENDOR_AMD,
        .chooses = "RADV_FORCE_FAMILY",
        .devices = {"navi21", "gfx1100"},
        .subgroup_sizes = {32, 64},
        .statistics = {{.name = "VGPRs"},
                       {.name = "SGPRs"},
                       {.name = "Spilled VGPRs", .spill = true},
                       {.name = "Spilled SGPRs", .spill = true},
                       {.name = "Scratch size", .spill = true},
                       {.name = "LDS size"},
                       {.name = "Subgroups per SIMD"},
                       {.name = "Instructions"},
                       {.name = "Latency"},
                       {.name = "Inverse Throughput"}},
        .assembly = "Assembly",
    },
    {
        .name = "intel",
        .id = VENDOR_INTEL,
        .chooses = "FAKE_INTEL",
        .devices = {"56a0", "9a49"}, // Arc A770, Tiger Lake
        .prefill_spills = 8,
        .statistics = {{.title = "SIMD"},
                       {.name = "Instruction Count", .title = "Instructions"},
                       {.name = "Cycle Count", .title = "Cycles"},
                       {.name = "Spill Count", .title = "Spills", .spill = true},
                       {.name = "Fill Count", .title = "Fills", .spill = true},
                       {.name = "SEND Count", .title = "Sends"},
                       {.name = "Loop Count", .title = "Loops"}},
        .assembly = "GEN Assembly",
    },
};

static const uint32_t KV_FORMATS[] = {KV_F32, KV_F16, KV_Q8_0}; // with the numbers, so the names, of weights' formats
static const uint32_t STEP_ROWS[] = {1, 2, STEP_TILE / 2, STEP_TILE, 0}; // of a decode step; 0: prefill

struct Tool {
    const struct Vendor *vendor;
    uint32_t statistics; // that the vendor has
    const struct Preset *models[MAX_MODELS];
    uint32_t model_count;
    bool quick;           // of the steps of several rows, only the widest
    bool told;            // the driver has been printed
    const char *chosen;   // the device, as the vendor's variable names it
    const char *assembly; // the kernel to disassemble, or NULL
    struct Row *rows;     // of one family and size
    uint32_t row_count, row_capacity;
    uint32_t offenders; // rows with spills
    vkgpt_error err;
};

// ----------------------------------------------------------------------------------------- the device

// The driver's function that makes pipelines, which `create_pipelines` wraps, and the flags that the wrapper adds.
static PFN_vkCreateComputePipelines driver_create_pipelines;
static VkPipelineCreateFlags kept = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocator, VkPipeline *pipelines)
{
    VkResult result = VK_SUCCESS;
    for (uint32_t i = 0; i < count && !result; i++) {
        VkComputePipelineCreateInfo info = infos[i];
        info.flags |= kept;
        result = driver_create_pipelines(device, cache, 1, &info, allocator, &pipelines[i]);
    }
    return result;
}

// Finds the vendor's device in the library's list and in a new instance.
static int find_device(const struct Vendor *vendor, vkgpt_device *device, vkgpt_error *err)
{
    vkgpt_device_info *infos;
    size_t count;
    int status = vkgpt_devices(&infos, &count, err);
    if (status) return status;
    for (size_t i = 0; i < count; i++)
        if (infos[i].vendor_id == vendor->id) device->info = infos[i];
    free(infos);
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_3};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    VkResult result = vkCreateInstance(&info, NULL, &device->instance);
    if (result) return vk_fail(err, result, "creating a Vulkan instance");
    volkLoadInstanceOnly(device->instance);

    VkPhysicalDevice found[16];
    uint32_t found_count = LENGTH(found);
    vkEnumeratePhysicalDevices(device->instance, &found_count, found);
    for (uint32_t i = 0; i < found_count && device->info.usable; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(found[i], &properties);
        if (!strcmp(properties.deviceName, device->info.name)) device->physical = found[i];
    }
    if (device->physical) return VKGPT_OK;
    return fail(err, VKGPT_NO_DEVICE,
                "no usable device for %s: VK_DRIVER_FILES has to name Mesa's driver, and %s is \"%s\"", vendor->name,
                vendor->chooses, getenv(vendor->chooses));
}

// Opens it as the engine does, and with the statistics.
static int open_logical(vkgpt_device *device, vkgpt_error *err)
{
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE,
    };
    int status = device_make_logical(device, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME,
                                     (VkBaseOutStructure *)&statistics, err);
    if (status) return status;
    driver_create_pipelines = device->vk.vkCreateComputePipelines;
    device->vk.vkCreateComputePipelines = create_pipelines;
    return VKGPT_OK;
}

// No vkDeviceWaitIdle: RADV's null device does not survive it.
static void close_device(vkgpt_device *device)
{
    if (device->handle) {
        pipelines_free(device);
        device->vk.vkDestroyPipelineLayout(device->handle, device->pipeline_layout, NULL);
        device->vk.vkDestroyDescriptorSetLayout(device->handle, device->set_layout, NULL);
        device->vk.vkDestroyDevice(device->handle, NULL);
    }
    if (device->instance) vkDestroyInstance(device->instance, NULL);
    queue_close(&device->compiling);
}

// ----------------------------------------------------------------------------------------- statistics

enum Set { MODELS, WEIGHTS, KV, STEPS, SETS };

// A pipeline, or several that do not differ in what is shown. A product of STEP_ROWS rows serves steps of more, too.
struct Row {
    const char *kernel;
    uint32_t nth;        // of this kernel's pipelines in a phase, from 0: prefill makes `contract` for two widths
    uint32_t sets[SETS]; // bits: the models, formats and steps that have it
    uint64_t values[MAX_STATISTICS];
};

// The size of subgroup that the driver chose, where the engine could not require one.
static uint32_t compiled_size(vkgpt_device *device, VkPipeline pipeline)
{
    VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    VkPipelineExecutablePropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    uint32_t count = 1;
    VkResult result = device->vk.vkGetPipelineExecutablePropertiesKHR(device->handle, &info, &count, &properties);
    return result ? 0 : properties.subgroupSize;
}

static int read_statistics(struct Tool *tool, vkgpt_device *device, VkPipeline pipeline, uint64_t *values)
{
    vkgpt_error *err = &tool->err;
    VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline};
    VkPipelineExecutableStatisticKHR found[64];
    uint32_t count = LENGTH(found);
    for (uint32_t i = 0; i < count; i++)
        found[i] = (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    VkResult result = device->vk.vkGetPipelineExecutableStatisticsKHR(device->handle, &info, &count, found);
    if (result) return vk_fail(err, result, "reading a pipeline's statistics");
    for (uint32_t s = 0; s < tool->statistics; s++) {
        const char *name = tool->vendor->statistics[s].name;
        uint32_t i = 0;
        while (name && i < count && strcmp(found[i].name, name)) i++;
        if (i == count) return fail(err, VKGPT_NO_DEVICE, "%s gives no statistic \"%s\"", device->info.driver, name);
        values[s] = name ? found[i].value.u64 : compiled_size(device, pipeline);
    }
    return VKGPT_OK;
}

typedef VkPipelineExecutableInternalRepresentationKHR Text;

static int print_assembly(const struct Tool *tool, vkgpt_device *device, VkPipeline pipeline, vkgpt_error *err)
{
    VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline};
    Text texts[8];
    uint32_t count = LENGTH(texts);
    for (uint32_t i = 0; i < count; i++)
        texts[i] = (Text){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR};
    VkResult result =
        device->vk.vkGetPipelineExecutableInternalRepresentationsKHR(device->handle, &info, &count, texts);
    for (uint32_t i = 0; !result && i < count; i++)
        if (!(texts[i].pData = calloc(1, texts[i].dataSize + 1))) result = VK_ERROR_OUT_OF_HOST_MEMORY;
    if (!result)
        result = device->vk.vkGetPipelineExecutableInternalRepresentationsKHR(device->handle, &info, &count, texts);
    for (uint32_t i = 0; i < count; i++) {
        if (!result && !strcmp(texts[i].name, tool->vendor->assembly)) printf("%s\n", (const char *)texts[i].pData);
        free(texts[i].pData);
    }
    return result ? vk_fail(err, result, "reading a pipeline's assembly") : VKGPT_OK;
}

// ---------------------------------------------------------------------------------------- the pipelines

static void element_name(const struct Tool *tool, enum Set set, uint32_t i, char *text, size_t size)
{
    switch (set) {
    case MODELS: snprintf(text, size, "%s", tool->models[i]->name); break;
    case WEIGHTS: snprintf(text, size, "%s", format_name(i)); break;
    case KV: snprintf(text, size, "%s", format_name(KV_FORMATS[i])); break;
    default:
        if (STEP_ROWS[i]) snprintf(text, size, "%u", STEP_ROWS[i]);
        else snprintf(text, size, "prefill");
    }
}

// The elements of a set by name: "any", or "gpt2, gpt2-xl".
static void set_text(const struct Tool *tool, enum Set set, uint32_t bits, char *text, size_t size)
{
    const uint32_t counts[SETS] = {tool->model_count, FORMATS, LENGTH(KV_FORMATS), LENGTH(STEP_ROWS)};
    bool all = bits == (1u << counts[set]) - 1 && counts[set] > 1;
    size_t n = (size_t)snprintf(text, size, "%s", all ? "any" : "");
    for (uint32_t i = 0; i < counts[set] && n < size && !all; i++) {
        if (!(bits >> i & 1)) continue;
        char name[64];
        element_name(tool, set, i, name, sizeof name);
        n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", name);
    }
}

#define ROW_NAME 1280

static void row_name(const struct Tool *tool, const struct Row *row, char text[ROW_NAME])
{
    char sets[SETS][256];
    for (uint32_t s = 0; s < SETS; s++) set_text(tool, s, row->sets[s], sets[s], sizeof sets[s]);
    char nth[16] = "";
    if (row->nth) snprintf(nth, sizeof nth, " (%u)", row->nth + 1);
    snprintf(text, ROW_NAME, "%s%s | %s | %s | %s | %s", row->kernel, nth, sets[STEPS], sets[MODELS], sets[WEIGHTS],
             sets[KV]);
}

static int add_row(struct Tool *tool, vkgpt_device *device, const struct Pipeline *pipeline, struct Row row)
{
    if (tool->vendor->subgroup_sizes[0] && compiled_size(device, pipeline->handle) != device->info.subgroup_size)
        return VKGPT_OK; // it is in the table of another size
    int status = read_statistics(tool, device, pipeline->handle, row.values);
    if (status) return status;
    if (tool->row_count == tool->row_capacity) {
        uint32_t capacity = tool->row_capacity ? 2 * tool->row_capacity : 256;
        struct Row *rows = realloc(tool->rows, capacity * sizeof *rows);
        if (!rows) return fail_memory(&tool->err, "the table", capacity * sizeof *rows);
        tool->rows = rows, tool->row_capacity = capacity;
    }
    tool->rows[tool->row_count++] = row;
    return VKGPT_OK;
}

// Makes a row for every pipeline that the device holds, then frees the pipelines.
static int take_pipelines(struct Tool *tool, vkgpt_device *device, const struct Row *labels)
{
    int status = pipelines_ready(device, &tool->err);
    for (uint32_t i = 0; !status && i < device->pipeline_count; i++) {
        const struct Pipeline *pipeline = device->pipelines[i];
        struct Row row = *labels;
        row.kernel = pipeline->kernel; // a literal in the engine
        for (uint32_t j = 0; j < i; j++) row.nth += !strcmp(device->pipelines[j]->kernel, row.kernel);
        if (!tool->assembly) {
            status = add_row(tool, device, pipeline, row);
        } else if (!strcmp(tool->assembly, row.kernel)) {
            char name[ROW_NAME];
            row_name(tool, &row, name);
            printf("; %s, subgroups of %u: %s\n", tool->chosen, device->info.subgroup_size, name);
            status = print_assembly(tool, device, pipeline->handle, &tool->err);
        }
    }
    pipelines_free(device);
    return status;
}

// The shape that a session of this model would have with all its matrices in one format.
static struct Shape model_shape(const struct Preset *preset, uint32_t weights, uint32_t kv)
{
    struct Config config;
    struct vkgpt_model model = {0};
    preset_config(preset, &config);
    model_sizes(&model, &config);
    struct Shape shape = {
        .dim = model.dim,
        .head_dim = model.head_dim,
        .width = model.width,
        .inner = model.inner,
        .span = cache_span(&config),
        .kv = kv,
        .activation = ACTIVATION_GELU_TANH, // of every preset
    };
    shape.formats[weights] = true;
    return shape;
}

static int compile_session(struct Tool *tool, vkgpt_device *device, uint32_t model, uint32_t weights, uint32_t kv)
{
    struct Shape shape = model_shape(tool->models[model], weights, KV_FORMATS[kv]);
    int status = VKGPT_OK;
    for (uint32_t step = 0; step < LENGTH(STEP_ROWS) && !status; step++) {
        if (tool->quick && STEP_ROWS[step] > 1 && STEP_ROWS[step] < STEP_TILE) continue;
        struct Row labels = {.sets = {1u << model, 1u << weights, 1u << kv, 1u << step}};
        struct Kernels kernels;
        status = STEP_ROWS[step] ? kernels_for_decode(device, &shape, STEP_ROWS[step], &kernels, &tool->err)
                                 : kernels_for_prefill(device, &shape, MAX_GROUPS * GROUP_ROWS, &kernels, &tool->err);
        const struct ProductFormats all = {weights, weights, weights, weights, weights, weights};
        const struct Pipeline *whole;
        if (!status && STEP_ROWS[step] == 1 && kv != KV_Q8_0 && built_in_persistent(device))
            status = persistent_pipeline(device, &shape, &all, 1, &whole, &tool->err);
        if (!status) status = take_pipelines(tool, device, &labels);
    }
    return status;
}

// Each format of the weights and each of the cache, with the other one in f16. Only a store of two numbers at the end
// of qkv depends on both, and all pairs would take twice the time.
static int compile_all(struct Tool *tool, vkgpt_device *device)
{
    int status = VKGPT_OK;
    tool->row_count = 0;
    for (uint32_t model = 0; model < tool->model_count; model++)
        for (uint32_t weights = 0; weights < FORMATS; weights++)
            for (uint32_t kv = 0; kv < LENGTH(KV_FORMATS) && !status; kv++)
                if (weights == WEIGHTS_F16 || KV_FORMATS[kv] == KV_F16)
                    status = compile_session(tool, device, model, weights, kv);
    return status;
}

// -------------------------------------------------------------------------------------------- the table

static bool rows_differ_only_in(const struct Row *a, const struct Row *b, enum Set set)
{
    for (uint32_t s = 0; s < SETS; s++)
        if (s != set && a->sets[s] != b->sets[s]) return false;
    return !strcmp(a->kernel, b->kernel) && a->nth == b->nth && !memcmp(a->values, b->values, sizeof a->values);
}

static void merge_rows(struct Tool *tool, enum Set set)
{
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < tool->row_count; i++) {
        uint32_t j = 0;
        while (j < kept_count && !rows_differ_only_in(&tool->rows[j], &tool->rows[i], set)) j++;
        if (j < kept_count) tool->rows[j].sets[set] |= tool->rows[i].sets[set];
        else tool->rows[kept_count++] = tool->rows[i];
    }
    tool->row_count = kept_count;
}

static const char *title(const struct Tool *tool, uint32_t statistic)
{
    const struct Statistic *s = &tool->vendor->statistics[statistic];
    return s->title ? s->title : s->name;
}

static void print_row(const struct Tool *tool, const struct Row *row)
{
    char name[ROW_NAME];
    row_name(tool, row, name);
    printf("| %s |", name);
    for (uint32_t s = 0; s < tool->statistics; s++) printf(" %llu |", (unsigned long long)row->values[s]);
    putchar('\n');
}

// How many spills of a kind a kernel may have. The persistent kernel, which holds all others, may keep a few scalars in
// the lanes of a vector register: that costs no memory, which would be scratch.
static uint64_t allowed_spills(const struct Tool *tool, const struct Row *row, const struct Statistic *statistic)
{
    if (row->sets[STEPS] == 1u << (LENGTH(STEP_ROWS) - 1)) return tool->vendor->prefill_spills;
    return !strcmp(row->kernel, "persistent") && !strcmp(statistic->name, "Spilled SGPRs") ? 24 : 0;
}

// Reports pipelines that keep in memory what belongs in registers.
static void judge(struct Tool *tool, const vkgpt_device *device, const struct Row *row)
{
    const struct Statistic *statistics = tool->vendor->statistics;
    bool offends = false;
    for (uint32_t s = 0; s < tool->statistics; s++)
        offends |= statistics[s].spill && row->values[s] > allowed_spills(tool, row, &statistics[s]);
    if (!offends) return;
    char name[ROW_NAME];
    row_name(tool, row, name);
    fprintf(stderr, "%s, subgroups of %u: %s:", tool->chosen, device->info.subgroup_size, name);
    for (uint32_t s = 0; s < tool->statistics; s++)
        if (tool->vendor->statistics[s].spill)
            fprintf(stderr, " %s %llu", title(tool, s), (unsigned long long)row->values[s]);
    fputc('\n', stderr);
    tool->offenders++;
}

// Prints the rows of a kernel together, in the place of its first one.
static void print_table(struct Tool *tool, const vkgpt_device *device)
{
    for (int set = SETS - 1; set >= 0; set--) merge_rows(tool, (enum Set)set);
    printf("## %s, subgroups of %u\n\n", tool->chosen, device->info.subgroup_size);
    printf("| kernel | rows | model | weights | cache |");
    for (uint32_t s = 0; s < tool->statistics; s++) printf(" %s |", title(tool, s));
    printf("\n|---|---|---|---|---|");
    for (uint32_t s = 0; s < tool->statistics; s++) printf("---:|");
    putchar('\n');
    for (uint32_t i = 0; i < tool->row_count; i++) {
        const char *kernel = tool->rows[i].kernel;
        uint32_t first = 0;
        while (strcmp(tool->rows[first].kernel, kernel)) first++;
        for (uint32_t j = i; first == i && j < tool->row_count; j++)
            if (!strcmp(tool->rows[j].kernel, kernel)) print_row(tool, &tool->rows[j]);
        judge(tool, device, &tool->rows[i]);
    }
    putchar('\n');
}

static int run_size(struct Tool *tool, vkgpt_device *device)
{
    int status = compile_all(tool, device);
    if (!status && !tool->assembly) print_table(tool, device);
    return status;
}

static int run_device(struct Tool *tool, const char *chosen)
{
    const uint32_t *size = tool->vendor->subgroup_sizes;
    tool->chosen = chosen;
    setenv(tool->vendor->chooses, chosen, 1);
    vkgpt_device device = {0};
    pipelines_open(&device);
    int status = find_device(tool->vendor, &device, &tool->err);
    if (!status) status = open_logical(&device, &tool->err);
    if (!status) status = device_make_layouts(&device, &tool->err);
    if (!status && !tool->assembly && !tool->told) printf("Driver: %s\n\n", device.info.driver);
    tool->told = true;
    if (!status && !*size) status = run_size(tool, &device);
    for (; *size && !status; size++) {
        device.info.subgroup_size = device.matrix_lanes = *size;
        status = run_size(tool, &device);
    }
    close_device(&device);
    return status;
}

// ------------------------------------------------------------------------------------------- arguments

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s amd|intel [--quick | --assembly KERNEL] [MODEL ...]\n", program);
    return 2;
}

static bool take_vendor(struct Tool *tool, const char *name)
{
    for (uint32_t i = 0; i < LENGTH(VENDORS); i++)
        if (!strcmp(VENDORS[i].name, name)) tool->vendor = &VENDORS[i];
    if (!tool->vendor) return false;
    const struct Statistic *s = tool->vendor->statistics;
    while (tool->statistics < MAX_STATISTICS && (s->name || s->title)) tool->statistics++, s++;
    return true;
}

static bool take_model(struct Tool *tool, const char *name)
{
    const struct Preset *preset = preset_find(name);
    if (!preset) fprintf(stderr, "%s: there is no such model\n", name);
    if (!preset || tool->model_count == MAX_MODELS) return false;
    tool->models[tool->model_count++] = preset;
    return true;
}

static bool take_arguments(struct Tool *tool, int argc, char **argv)
{
    static const char *const usual[] = {"gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"}, *const quick[] = {"gpt2",
                                                                                                           "gpt2-xl"};
    if (argc < 2 || !take_vendor(tool, argv[1])) return false;
    tool->quick = argc > 2 && !strcmp(argv[2], "--quick");
    int next = 2 + tool->quick;
    if (argc > 3 && !strcmp(argv[2], "--assembly")) tool->assembly = argv[3], tool->quick = true, next = 4;
    for (; next < argc; next++)
        if (!take_model(tool, argv[next])) return false;
    if (tool->model_count) return true;
    for (uint32_t i = 0; i < (tool->quick ? LENGTH(quick) : LENGTH(usual)); i++)
        take_model(tool, (tool->quick ? quick : usual)[i]);
    return true;
}

int main(int argc, char **argv)
{
    struct Tool tool = {0};
    if (!take_arguments(&tool, argc, argv)) return usage(argv[0]);
    if (tool.assembly) kept |= VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    int status = VKGPT_OK;
    char asked[64] = ""; // newer versions of Mesa have other names, navi31 for gfx1100
    if (getenv(tool.vendor->chooses)) snprintf(asked, sizeof asked, "%s", getenv(tool.vendor->chooses));
    if (*asked) status = run_device(&tool, asked);
    for (const char *const *d = tool.vendor->devices; *d && !*asked && !status; d++) status = run_device(&tool, *d);
    free(tool.rows);
    if (status) fprintf(stderr, "%s\n", tool.err.text);
    return status || tool.offenders ? 1 : 0;
}
