// The persistent kernel: a submission of decode steps as one dispatch, where the device can keep all workgroups of it
// resident (shaders/persistent.comp). It computes what forward_step would dispatch, to the bit.
#ifndef VKGPT_ENGINE_PERSISTENT_H
#define VKGPT_ENGINE_PERSISTENT_H

#include "engine/session.h"

#define PERSISTENT_ROWS 8 // of a step, at most

struct ProductFormats { // WEIGHTS_...
    uint32_t qkv, project, expand, contract, head, embed;
};

// Asks for the kernel of a session of one sequence, to be compiled beside whatever comes before it, where such a
// session may have it.
void persistent_ahead(const vkgpt_model *model, uint32_t kv);
// Whether a session of one sequence may have it, as far as the model and the device say.
bool persistent_possible(const vkgpt_model *model);

// The kernel for steps of so many rows.
int persistent_pipeline(vkgpt_device *device, const struct Shape *shape, const struct ProductFormats *formats,
                        uint32_t rows, const struct Pipeline **pipeline, vkgpt_error *err);

// Whether this session's steps can be made so, trial apart: one sentence in `why` where they cannot.
bool persistent_fits(const struct vkgpt_session *s, char *why, size_t size);
// Compiles the kernel and makes its program. With groups 0 it tries how many workgroups the device keeps resident, at
// most 1024, and on a software driver none, where it would gain nothing. Where that is fewer than two, or they cannot
// meet, the session stays with dispatches.
int persistent_open(struct vkgpt_session *s, uint32_t groups, vkgpt_error *err);
// The recording of so many steps. `turn` is which of those in flight.
int persistent_steps(struct vkgpt_session *s, uint32_t step_size, uint32_t turn, struct Recording **rec,
                     vkgpt_error *err);
// After a submission of steps as one kernel: whether the workgroups of one failed to meet. Then that one ended early,
// those behind it did nothing, and the session has gone back to dispatches, from the last token that was made.
bool persistent_gave_up(struct vkgpt_session *s);

#endif
