#include "engine/stages_split.h"

#include "base/error.h"

static int check_devices(const struct StageDevices *d, uint32_t layers, const char *name, vkgpt_error *err)
{
    if (!d->count) return fail(err, VKGPT_BAD_ARGUMENT, "%s: no device is given", name);
    if (d->count > MAX_STAGES)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %zu devices, %d at most can be", name, d->count, MAX_STAGES);
    if (d->count > layers)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: %zu devices for %u layer%s: each needs one at least", name, d->count,
                    layers, layers == 1 ? "" : "s");
    for (size_t i = 0; i < d->count; i++)
        for (size_t j = 0; j < i; j++)
            if (d->devices[i] == d->devices[j])
                return fail(err, VKGPT_BAD_ARGUMENT, "%s: device %d, %s, is given twice", name,
                            d->devices[i]->info.index, d->devices[i]->info.name);
    return VKGPT_OK;
}

int stages_take_split(const uint32_t *split, size_t given, uint32_t devices, const struct vkgpt_model *model,
                      uint32_t *layers, vkgpt_error *err)
{
    uint64_t sum = 0;
    if (given != devices)
        return fail(err, VKGPT_BAD_ARGUMENT, "%s: the split has %zu numbers, there are %u devices", model->name, given,
                    devices);
    for (size_t i = 0; i < devices; i++) {
        if (!split[i])
            return fail(err, VKGPT_BAD_ARGUMENT, "%s: the split has no layer for device %zu", model->name, i + 1);
        layers[i] = split[i];
        sum += split[i];
    }
    if (sum == model->config.layers) return VKGPT_OK;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s: the split has %llu layers, the model has %u", model->name,
                (unsigned long long)sum, model->config.layers);
}

int stages_split(struct StageDevices *d, struct StageShare *share, vkgpt_error *err)
{
    const struct vkgpt_model *m = share->whole;
    struct StageOffer offers[MAX_STAGES];
    int status = check_devices(d, m->config.layers, m->name, err);
    if (status) return status;
    if (d->split) return stages_take_split(d->split, d->count, (uint32_t)d->count, m, d->layers, err);
    d->layers[0] = m->config.layers;
    if (d->count == 1) return VKGPT_OK;
    status = stages_offers(d, false, offers, err);
    if (!status && !stage_offers_alike(offers, (uint32_t)d->count)) status = stages_offers(d, true, offers, err);
    share->offers = offers, share->count = (uint32_t)d->count;
    return status ? status : stage_share(share, d->layers, err);
}

void stages_take_part(struct StageDevices *d, uint32_t first, uint32_t stage, const uint32_t *layers)
{
    d->first = first, d->stage = stage;
    for (size_t i = 0; i < d->count; i++) d->layers[i] = layers[i];
}

int stages_offers(const struct StageDevices *d, bool measure, struct StageOffer *offers, vkgpt_error *err)
{
    int status = VKGPT_OK;
    for (size_t i = 0; !status && i < d->count; i++) status = stage_offer(d->devices[i], measure, &offers[i], err);
    return status;
}
