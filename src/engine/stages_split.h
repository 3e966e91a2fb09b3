// Which layers each device of a chain runs.
#ifndef VKGPT_ENGINE_STAGES_SPLIT_H
#define VKGPT_ENGINE_STAGES_SPLIT_H

#include "engine/model.h"

#define MAX_STAGES 64

struct StageDevices {
    vkgpt_device *const *devices; // (count): one for each stage
    size_t count;
    const uint32_t *split;       // (count): the layers of each, as the caller says; NULL: stages_split decides
    uint32_t layers[MAX_STAGES]; // the layers of each, as decided
};

// Checks the devices and the split, and fills `layers`. Errors (VKGPT_BAD_ARGUMENT): no device, one twice, more than
// layers, or a split that does not add up to the layers.
int stages_split(struct StageDevices *d, const struct Config *config, const vkgpt_model_options *options,
                 const char *name, vkgpt_error *err);

#endif
