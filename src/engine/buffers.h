// What a session allocates: how large each buffer is, and the inbox that the host fills.
#ifndef VKGPT_ENGINE_BUFFERS_H
#define VKGPT_ENGINE_BUFFERS_H

#include "engine/session.h"

#define SESSION_BLOCK ((VkDeviceSize)32 << 20) // of the pools
#define HOST_BLOCK ((VkDeviceSize)4096)
#define BUFFERS_WANTS (21 + 5 * MAX_IN_FLIGHT) // at most

struct Want { // a buffer, and how large it has to be
    enum MemoryKind kind;
    struct Slice *slice;
    uint64_t bytes;
    const char *what;
};

// All buffers except the cache. Needs only the sizes of the session: `plan` calls it for sessions that it never opens.
uint32_t buffers_wants(struct vkgpt_session *s, struct Want wants[BUFFERS_WANTS]);
uint64_t buffers_state_bytes(const struct vkgpt_session *s);
uint64_t buffers_inbox_bytes(const struct vkgpt_session *s); // its head and admissions
uint64_t buffers_given_bytes(const struct vkgpt_session *s); // the words behind them
// The most rows of a block of prefill on this device, however long the context is.
uint32_t buffers_most_rows(const struct vkgpt_model *model, uint32_t kv); // KV_...
// The room for the parts of the head in a session of several sequences, whose steps may have one row: of that one, or
// of all rows of a step as best leaves them.
uint32_t buffers_head_parts(const struct vkgpt_session *s);
void buffers_sizes(struct vkgpt_session *s); // fills rows, block_rows, logit_rows and splits
int buffers_make(struct vkgpt_session *s, vkgpt_error *err);
uint32_t buffers_block_rows(const struct vkgpt_session *s, uint32_t block_size); // of a recording of this size

#endif
