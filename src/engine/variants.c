#include "engine/variants.h"

#include "gpu/recording.h"

// Rows of W: more of them read x less often, fewer fill the device sooner.
struct BuiltIn {
    uint32_t vendor;              // 0: any other
    uint32_t few, some, many;     // rows, of matrices with up to 1024 outputs, up to 16384, and more
    uint32_t batch_rows;          // of steps of several rows
    uint32_t size, project_size;  // lanes of a workgroup; project_size: of steps of one row
    uint32_t loads, held;         // registers of a lane: built_in_loads, built_in_held
    uint32_t ahead, sample_ahead; // loads in flight in attend and merge, and in sample
    uint32_t step_tokens;         // rows of x of a workgroup at most
    bool persistent;              // decode as one kernel fits into its registers
};

// AMD and Intel: the most that spills no register, by their compilers (docs/results); never timed. With 4 loads ahead
// Intel's sampler spills 5 registers. NVIDIA: measured on an H200 with GPT-2 124M in f16. The last is a guess, also for
// software drivers without shuffles.
static const struct BuiltIn GPUS[] = {
    {VENDOR_AMD, 2, 4, 4, 2, 128, 128, 12, 4, 8, 8, STEP_TILE, true},
    {VENDOR_INTEL, 2, 2, 2, 2, 128, 128, 6, 4, 4, 2, 2, false},
    {VENDOR_NVIDIA, 2, 2, 2, 2, 128, 256, 12, 16, 8, 8, STEP_TILE, true},
    {0, 2, 4, 8, 2, 128, 128, 12, 16, 8, 8, STEP_TILE, true},
};

// measured on lavapipe
static const struct BuiltIn SOFTWARE = {0, 4, 4, 4, 4, 32, 32, 12, 16, 1, 1, STEP_TILE, true};

static const struct BuiltIn *built_in(uint32_t vendor, bool software)
{
    if (software) return &SOFTWARE;
    const struct BuiltIn *b = GPUS;
    while (b->vendor && b->vendor != vendor) b++;
    return b;
}

bool variant_same(struct Variant a, struct Variant b)
{
    return a.rows == b.rows && a.size == b.size && a.loads == b.loads && a.staged == b.staged && a.tile == b.tile &&
           a.split == b.split;
}

static const struct BuiltIn *of_device(const vkgpt_device *device)
{
    return built_in(device->info.vendor_id, device->software_kernels);
}

uint32_t built_in_size(const vkgpt_device *device) { return of_device(device)->size; }

uint32_t built_in_step_tokens(const vkgpt_device *device) { return of_device(device)->step_tokens; }

uint32_t built_in_loads(const vkgpt_device *device) { return of_device(device)->loads; }

bool built_in_persistent(const vkgpt_device *device) { return of_device(device)->persistent; }

uint32_t built_in_ahead(const vkgpt_device *device) { return of_device(device)->ahead; }

uint32_t built_in_sample_ahead(const vkgpt_device *device) { return of_device(device)->sample_ahead; }

uint32_t built_in_held(const vkgpt_device *device) { return of_device(device)->held; }

uint32_t variant_outputs(const vkgpt_device *device, struct Variant variant)
{
    if (device->software_kernels) return variant.size * variant.rows;
    uint32_t lanes = device->info.subgroup_size < 32 ? device->info.subgroup_size : 32;
    return variant.size / lanes * variant.rows;
}

static uint32_t built_in_rows(const struct BuiltIn *b, const struct ProductKey *key)
{
    if (key->tokens > 1 && key->tokens < PREFILL_TOKENS) return b->batch_rows;
    if (key->product == HEAD) return b->many;
    return key->outputs <= 1024 ? b->few : key->outputs <= 16384 ? b->some : b->many;
}

static uint32_t built_in_lanes(const struct BuiltIn *b, const struct ProductKey *key)
{
    return key->tokens == 1 && key->product == PROJECT ? b->project_size : b->size;
}

struct TileAsk variant_ask(const struct ProductKey *key)
{
    bool segments = key->product == PROJECT || key->product == CONTRACT;
    return (struct TileAsk){
        .kind = key->kind, .rows = key->block, .width = key->width, .outputs = key->outputs, .segments = segments};
}

static struct Variant of_tile(struct TileChoice choice)
{
    return (struct Variant){.tile = choice.number + 1, .split = choice.split};
}

// Whether decode of one row may compute the product's input inside. On a software driver attention is not in parts that
// project would merge.
static bool may_stage(const struct ProductKey *key)
{
    return key->tokens == 1 && key->product != CONTRACT && !(key->software && key->product == PROJECT);
}

struct Variant variant_built_in(const vkgpt_device *device, const struct ProductKey *key)
{
    const struct TileAsk ask = variant_ask(key);
    if (key->block) return of_tile(tile_for(device, &ask));
    const struct BuiltIn *b = built_in(device->info.vendor_id, key->software);
    return (struct Variant){
        .rows = built_in_rows(b, key),
        .size = built_in_lanes(b, key),
        .loads = b->loads,
        .staged = may_stage(key),
    };
}

// Whether v has the same bits. One subgroup adds up a row of W in the order of its units, whatever ROWS and LOADS are,
// and also a norm on a GPU (norm_subgroup.glsl). On a software driver the whole workgroup adds up a norm: the size is
// free only where there is no norm, and a norm before the product has the size that it has inside. The kernels of
// software drivers keep ROWS and their staging: lavapipe was seen to round differently with 2 rows a lane than with 4.
static bool may_replace(struct Variant usual, const vkgpt_device *device, const struct ProductKey *key,
                        struct Variant v)
{
    bool one = key->tokens == 1, has_norm = key->product != PROJECT && key->product != CONTRACT;
    bool free_size = one && !(key->software && has_norm);
    if (v.size > device->info.max_workgroup || v.size < device->info.subgroup_size) return false;
    if (v.size != usual.size && (!free_size || (key->software ? v.size > 128 : v.size < 64))) return false;
    if (key->software) return v.rows == usual.rows && v.loads == usual.loads && v.staged == usual.staged;
    return v.staged <= usual.staged && (one || (v.rows <= 4 && v.loads == usual.loads));
}

// For prefill on a GPU: every tile that suits, whole and split.
static uint32_t tile_variants(const vkgpt_device *device, const struct ProductKey *key,
                              struct Variant variants[MAX_VARIANTS])
{
    const struct TileAsk ask = variant_ask(key);
    const struct Variant usual = variants[0] = variant_built_in(device, key);
    uint32_t count = 1;
    for (struct TileChoice c = {0}; c.number < TILES; c.split ? c.number++ : 0, c.split = !c.split) {
        struct Variant v = of_tile(c);
        if (tile_groups(device, &ask, c) && !variant_same(v, usual)) variants[count++] = v;
    }
    return count;
}

uint32_t variants_of(const vkgpt_device *device, const struct ProductKey *key, struct Variant variants[MAX_VARIANTS])
{
    const struct Variant usual = variant_built_in(device, key);
    uint32_t count = 0;
    if (key->block) return tile_variants(device, key, variants);
    variants[count++] = usual;
    if (key->tokens == PREFILL_TOKENS) return count; // of software drivers
    for (uint32_t staged = 0; staged <= 1; staged++)
        for (uint32_t rows = 2; rows <= 8; rows *= 2)
            for (uint32_t size = 32; size <= 256; size *= 2)
                for (uint32_t loads = usual.loads / 2; loads <= 2 * usual.loads; loads *= 2) {
                    const struct Variant v = {.rows = rows, .size = size, .loads = loads, .staged = staged};
                    if (may_replace(usual, device, key, v) && !variant_same(v, usual)) variants[count++] = v;
                }
    return count;
}

bool variant_exists(const vkgpt_device *device, const struct ProductKey *key, struct Variant variant)
{
    struct Variant variants[MAX_VARIANTS];
    for (uint32_t i = 0, count = variants_of(device, key, variants); i < count; i++)
        if (variant_same(variants[i], variant)) return true;
    return false;
}
