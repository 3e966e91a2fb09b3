// The kernels of a session that is open.
#ifndef VKGPT_ENGINE_SESSION_KERNELS_H
#define VKGPT_ENGINE_SESSION_KERNELS_H

#include "engine/session.h"

struct Shape session_shape(const struct vkgpt_session *s);
// The kernels for a step of `rows` rows. They are chosen on first use; on a GPU all are when a session is opened, and
// compiled in the background.
int session_step_kernels(struct vkgpt_session *s, uint32_t rows, const struct Kernels **kernels, vkgpt_error *err);
// The kernels for a block of `rows` rows. They are chosen when a session is opened; on a software driver not before the
// first prompt, since a prompt of one token needs none of them, and the same cores do everything.
int session_prefill_kernels(struct vkgpt_session *s, uint32_t rows, const struct Kernels **kernels, vkgpt_error *err);

#endif
