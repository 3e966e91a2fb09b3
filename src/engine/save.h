// The cache of a stage, for a saved session that the last stage writes or reads.
#ifndef VKGPT_ENGINE_SAVE_H
#define VKGPT_ENGINE_SAVE_H

#include "engine/upstream.h"

// Upstream.move_cache, for a layer of this session.
int session_move_cache(struct vkgpt_session *s, uint32_t layer, uint32_t half, uint32_t positions, bool write,
                       uint8_t *bytes, vkgpt_error *err);

#endif
