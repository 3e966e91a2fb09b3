// The persistent kernel: a submission of decode steps as one dispatch, where the device can keep all its workgroups
// resident (shaders/persistent.comp). Its results are those of the dispatches of forward_step, to the bit.
#ifndef VKGPT_ENGINE_PERSISTENT_H
#define VKGPT_ENGINE_PERSISTENT_H

#include "engine/session.h"

#define PERSISTENT_ROWS 8 // of a step, at most

struct ProductFormats { // WEIGHTS_...
    uint32_t qkv, project, expand, contract, head, embed;
};

// Asks for the kernel of a session of one sequence, where such a session may have it. It is compiled in the background.
void persistent_ahead(const vkgpt_model *model, uint32_t kv);
// Whether the model and the device allow it for a session of one sequence.
bool persistent_possible(const vkgpt_model *model);

// The kernel for steps of `rows` rows.
int persistent_pipeline(vkgpt_device *device, const struct Shape *shape, const struct ProductFormats *formats,
                        uint32_t rows, const struct Pipeline **pipeline, vkgpt_error *err);

// Whether this session's steps can run as one kernel, apart from the trial; if not, `why` gets a sentence.
bool persistent_fits(const struct vkgpt_session *s, char *why, size_t size);
// Compiles the kernel and makes its program. With groups 0 it tries how many workgroups the device keeps resident, at
// most 1024; on a software driver it tries none, since nothing would be gained. If that is fewer than two, or they
// cannot wait for each other, the session stays with dispatches.
int persistent_open(struct vkgpt_session *s, uint32_t groups, vkgpt_error *err);
// The recording of 2^step_size steps. `turn` is its index among those in flight.
int persistent_steps(struct vkgpt_session *s, uint32_t step_size, uint32_t turn, struct Recording **rec,
                     vkgpt_error *err);
// After a submission of steps as one kernel: whether the workgroups of one gave up waiting for each other. Then that
// submission ended early, those after it did nothing, and the session has gone back to dispatches, from the last token
// that was made.
bool persistent_gave_up(struct vkgpt_session *s);

#endif
