// A chain of stages of which other processes have a part (src/mpi). They open the same checkpoint at the same time, and
// agree on who has which layers.
#ifndef VKGPT_ENGINE_ELSEWHERE_H
#define VKGPT_ENGINE_ELSEWHERE_H

#include "engine/stage_share.h"
#include "engine/stages_split.h"
#include "engine/upstream.h"
#include "model/checkpoint.h"

struct StagesElsewhere {
    // After the checkpoint was opened: decides on the layers of the devices of this process, by stages_take_part.
    // share: all that stage_share needs, but the offers.
    int (*agree)(struct StagesElsewhere *e, struct StageDevices *devices, const struct Checkpoint *checkpoint,
                 struct StageShare *share, vkgpt_error *err);
    // After the stages of this process were loaded.
    int (*loaded)(struct StagesElsewhere *e, vkgpt_model *last, vkgpt_error *err);
    // The open_upstream of the first of them, unless it embeds.
    int (*open_upstream)(const struct vkgpt_model *model, const struct StageOptions *options,
                         struct Upstream **upstream, vkgpt_error *err);
    void *user;
};

// vkgpt_model_open_split for the part of a chain that this process has: devices->elsewhere is set, its split is not
// used.
int model_open_part(struct StageDevices *devices, const char *dir, const vkgpt_model_options *options,
                    vkgpt_model **model, vkgpt_error *err);

#endif
