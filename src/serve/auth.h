// The keys of --api-key and --api-key-file.
#ifndef VKGPT_SERVE_AUTH_H
#define VKGPT_SERVE_AUTH_H

#include "tasks/buffer.h"
#include "vkgpt.h"

#define MAX_KEYS 64

struct Auth {
    struct Buffer keys[MAX_KEYS];
    size_t count; // 0: everybody may ask
};

// `file`: one key on each line. Either may be NULL. Errors: VKGPT_BAD_FILE; VKGPT_BAD_ARGUMENT for a key with no bytes.
int auth_open(struct Auth *auth, const char *key, const char *file, vkgpt_error *err);
void auth_close(struct Auth *auth);
// Whether the header Authorization ("Bearer KEY", or NULL) holds one of the keys. The time that it takes depends on
// what was sent, not on the keys.
bool auth_allows(const struct Auth *auth, const char *header);

#endif
