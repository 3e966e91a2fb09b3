// Which layers each device of a chain runs.
#ifndef VKGPT_ENGINE_STAGES_SPLIT_H
#define VKGPT_ENGINE_STAGES_SPLIT_H

#include "engine/stage_share.h"
#include "model/limits.h"

struct StageDevices {
    vkgpt_device *const *devices; // (count): one for each stage
    size_t count;
    const uint32_t *split;             // (count): the layers of each, as the caller says; NULL: stages_split decides
    uint32_t layers[MAX_STAGES];       // the layers of each, as decided
    uint32_t first, stage;             // the first of these layers, and the number of the first of these stages
    struct StagesElsewhere *elsewhere; // other processes have a part of the chain (elsewhere.h); NULL: all is here
};

// Checks the devices and the split, and fills `layers`. share: all that stage_share needs, but the offers. Errors
// (VKGPT_BAD_ARGUMENT): no device, one twice, more than layers, or a split that does not add up to the layers.
int stages_split(struct StageDevices *d, struct StageShare *share, vkgpt_error *err);
// The same for the split alone, of `given` numbers for `devices` devices.
int stages_take_split(const uint32_t *split, size_t given, uint32_t devices, const struct vkgpt_model *model,
                      uint32_t *layers, vkgpt_error *err);
// Takes layers as they were decided elsewhere: those of each device, the first of them, and the number of the first
// stage.
void stages_take_part(struct StageDevices *d, uint32_t first, uint32_t stage, const uint32_t *layers);
// What each of them offers (stage_offer).
int stages_offers(const struct StageDevices *d, bool measure, struct StageOffer *offers, vkgpt_error *err);

#endif
