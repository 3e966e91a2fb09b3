// Opening a session: its options, its kernels, its memory, and the form that its steps take.
#ifndef VKGPT_ENGINE_SESSION_OPEN_H
#define VKGPT_ENGINE_SESSION_OPEN_H

#include "engine/upstream.h"

int session_check_options(const vkgpt_model *model, const vkgpt_session_options *options, vkgpt_error *err);
// vkgpt_session_open without the quick tuning.
int session_open(vkgpt_model *model, const vkgpt_session_options *options, vkgpt_session **opened, vkgpt_error *err);
// That of a stage which others wait for.
int session_open_stage(vkgpt_model *model, const struct StageOptions *options, vkgpt_session **opened,
                       vkgpt_error *err);

#endif
