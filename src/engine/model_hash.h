// A hash that tells a model on a device from others.
#ifndef VKGPT_ENGINE_MODEL_HASH_H
#define VKGPT_ENGINE_MODEL_HASH_H

#include "engine/model.h"

// Hashes the config, the first bytes of each matrix as they are on the device, and all norms and biases. So it covers
// the format of the weights and a merged adapter too, and is the same on every device. Errors: VKGPT_OUT_OF_MEMORY,
// VKGPT_DEVICE_LOST.
int model_hash(vkgpt_model *model, uint64_t *hash, vkgpt_error *err);

#endif
