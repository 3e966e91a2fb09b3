#include "engine/stages_split.h"

#include "base/error.h"

static int check_devices(const struct StageDevices *d, uint32_t layers, const char *name, vkgpt_error *err)
{
    if (!d->count) return fail(err, VKGPT_BAD_ARGUMENT, "%s: no device is given", name);
    if (d->count > MAX_STAGES)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %zu devices, %d at most can be", name, d->count, MAX_STAGES);
    if (d->count > layers)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %zu devices for %u layers: each needs one at least", name, d->count,
                    layers);
    for (size_t i = 0; i < d->count; i++)
        for (size_t j = 0; j < i; j++)
            if (d->devices[i] == d->devices[j])
                return fail(err, VKGPT_BAD_ARGUMENT, "%s: device %d, %s, is given twice", name,
                            d->devices[i]->info.index, d->devices[i]->info.name);
    return VKGPT_OK;
}

static int take_split(struct StageDevices *d, uint32_t layers, const char *name, vkgpt_error *err)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (!d->split[i])
            return fail(err, VKGPT_BAD_ARGUMENT, "%s: the split has no layer for device %zu", name, i + 1);
        d->layers[i] = d->split[i];
        sum += d->split[i];
    }
    if (sum == layers) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s: the split has %llu layers, the model has %u", name,
                (unsigned long long)sum, layers);
}

int stages_split(struct StageDevices *d, const struct Config *config, const vkgpt_model_options *options,
                 const char *name, vkgpt_error *err)
{
    uint32_t layers = config->layers;
    int status = check_devices(d, layers, name, err);
    if (status) return status;
    if (d->split) return take_split(d, layers, name, err);
    (void)options;
    for (uint32_t i = 0; i < d->count; i++)
        d->layers[i] = (uint32_t)((i + 1) * layers / d->count - i * layers / d->count);
    return VKGPT_OK;
}
