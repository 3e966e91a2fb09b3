#include "engine/variants.h"

#include "gpu/recording.h"

// Rows of W: more of them read x less often, fewer fill the device sooner.
struct BuiltIn {
    uint32_t vendor;              // 0: any other
    uint32_t few, some, many;     // rows, of matrices with up to 1024 outputs, up to 16384, and more
    uint32_t batch_rows;          // of steps of several rows
    uint32_t size, prefill_size;  // of a workgroup
    uint32_t loads, held;         // registers of a lane: built_in_loads, built_in_held
    uint32_t step_tokens;         // rows of x that a workgroup makes at most
};

static const struct BuiltIn GPUS[] = {
    {VENDOR_AMD, 2, 4, 4, 2, 128, 256, 12, 4, STEP_TILE},    // AMD: the most that spills no register on RDNA 3; unmeasured
    {VENDOR_INTEL, 2, 2, 2, 2, 128, 256, 6, 4, 2},           // Intel: the most that spills no register; unmeasured
    {0x10de, 2, 4, 8, 2, 128, 256, 12, 16, STEP_TILE},       // NVIDIA: unmeasured
    {0, 2, 4, 8, 2, 128, 256, 12, 16, STEP_TILE},            // a guess; software drivers without shuffles too
};

static const struct BuiltIn SOFTWARE = {0, 4, 4, 4, 4, 32, 32, 12, 16, STEP_TILE}; // measured on lavapipe

static const struct BuiltIn *built_in(uint32_t vendor, bool lanes)
{
    if (lanes) return &SOFTWARE;
    const struct BuiltIn *b = GPUS;
    while (b->vendor && b->vendor != vendor) b++;
    return b;
}

const char *product_kernel_name(enum ProductKernel product)
{
    static const char *const names[PRODUCT_KERNELS] = {
        [QKV] = "qkv", [PROJECT] = "project", [EXPAND] = "expand", [CONTRACT] = "contract", [HEAD] = "head"};
    return names[product];
}

bool variant_same(struct Variant a, struct Variant b) { return a.rows == b.rows && a.size == b.size && a.staged == b.staged; }

uint32_t built_in_size(const vkgpt_device *device, uint32_t tokens)
{
    const struct BuiltIn *b = built_in(device->info.vendor_id, device->lanes);
    return tokens == PREFILL_TOKENS ? b->prefill_size : b->size;
}

static const struct BuiltIn *of_device(const vkgpt_device *device) { return built_in(device->info.vendor_id, device->lanes); }

uint32_t built_in_step_tokens(const vkgpt_device *device) { return of_device(device)->step_tokens; }

uint32_t built_in_loads(const vkgpt_device *device) { return of_device(device)->loads; }

uint32_t built_in_held(const vkgpt_device *device) { return of_device(device)->held; }

uint32_t variant_outputs(const vkgpt_device *device, struct Variant variant)
{
    if (device->lanes) return variant.size * variant.rows;
    uint32_t lanes = device->info.subgroup_size < 32 ? device->info.subgroup_size : 32;
    return variant.size / lanes * variant.rows;
}

static uint32_t built_in_rows(const struct BuiltIn *b, const struct ProductKey *key)
{
    if (key->tokens > 1 && key->tokens < PREFILL_TOKENS) return b->batch_rows;
    if (key->product == HEAD) return b->many;
    return key->outputs <= 1024 ? b->few : key->outputs <= 16384 ? b->some : b->many;
}

struct Variant variant_built_in(const vkgpt_device *device, const struct ProductKey *key)
{
    const struct BuiltIn *b = built_in(device->info.vendor_id, key->lanes);
    return (struct Variant){
        .rows = built_in_rows(b, key),
        .size = key->tokens == PREFILL_TOKENS ? b->prefill_size : b->size,
        .staged = key->tokens == 1 && key->product != CONTRACT,
    };
}

// What keeps the bits: a row of W is added up by one subgroup, whatever ROWS is, and what is merged or read as it lies has
// no sum over the workgroup. A norm has, so that the size is free only where there is none; made before the product it
// has the size that it has inside. The kernels of software drivers keep ROWS and their staging: lavapipe was seen to round
// differently with 2 rows a lane than with 4.
uint32_t variants_of(const vkgpt_device *device, const struct ProductKey *key, struct Variant variants[MAX_VARIANTS])
{
    const struct Variant usual = variant_built_in(device, key);
    bool one = key->tokens == 1, free_size = one && (key->product == PROJECT || key->product == CONTRACT);
    uint32_t count = 0;
    variants[count++] = usual;
    if (key->tokens == PREFILL_TOKENS) return count; // its tiles are fixed
    for (uint32_t staged = key->lanes && usual.staged; staged <= usual.staged; staged++)
        for (uint32_t rows = key->lanes ? usual.rows : 2; rows <= (key->lanes ? usual.rows : one ? 8 : 4); rows *= 2)
            for (uint32_t size = key->lanes ? 32 : 64; size <= (key->lanes ? 128 : 256); size *= 2) {
                struct Variant v = {rows, size, staged};
                bool runs = size <= device->info.max_workgroup && size >= device->info.subgroup_size;
                if (runs && (free_size || size == usual.size) && !variant_same(v, usual)) variants[count++] = v;
            }
    return count;
}
