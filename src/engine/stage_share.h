// The share of each device in a chain of stages, where nobody says it: the split whose slowest stage is fastest, by the
// bytes that a step reads and the speed that each device has shown, among those that fit each memory.
#ifndef VKGPT_ENGINE_STAGE_SHARE_H
#define VKGPT_ENGINE_STAGE_SHARE_H

#include "engine/cost.h"
#include "engine/model.h"

struct StageOffer { // of a device, plain bytes
    char name[256];
    uint64_t memory;         // bytes that are free
    struct CostDevice speed; // of a copy, and of a dispatch; as if it copied 1 GB/s where it was not measured
};

// The memory of a device; its speed, which takes half a second (vkgpt_device_limits), only where it is asked for.
// Errors: VKGPT_OUT_OF_MEMORY, VKGPT_DEVICE_LOST.
int stage_offer(vkgpt_device *device, bool measure, struct StageOffer *offer, vkgpt_error *err);
// Whether all devices have one name, so that none has to be measured.
bool stage_offers_alike(const struct StageOffer *offers, uint32_t count);

struct StageShare {
    const struct vkgpt_model *whole;                                     // of which only the sizes are used
    uint32_t (*wanted)(void *user, enum ModelPart part, uint32_t layer); // as for model_wants
    void *user;
    const vkgpt_session_options *session; // that the model is opened for, or NULL
    const struct StageOffer *offers;      // (count), in the order of the chain
    uint32_t count;
};

// layers: (count), how many each device gets. If no split fits, it is the fastest one: loading says then what is
// missing. Errors: VKGPT_OUT_OF_MEMORY: of the host; VKGPT_BAD_ARGUMENT: more devices than layers.
int stage_share(const struct StageShare *share, uint32_t *layers, vkgpt_error *err);

#endif
