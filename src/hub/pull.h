// A model of the hub, downloaded into the hub's own cache.
#ifndef VKGPT_HUB_PULL_H
#define VKGPT_HUB_PULL_H

#include "model/path.h"

struct Pull {
    const char *name;     // in full: "openai-community/gpt2"
    const char *revision; // a branch, a tag or a commit: "main"
    const char *gguf;     // the GGUF file that is wanted, or NULL
    void (*note)(const char *sentence);
    void (*progress)(void *user, uint64_t done, uint64_t total); // bytes of all files
    void *user;
};

// Downloads what vkgpt reads of a model into the cache that huggingface_hub uses (model/hub.h), in its layout: blobs
// named by their hashes, snapshots/COMMIT with links to them, refs/REVISION last. What is there already is not
// downloaded again. `snapshot` gets the folder of the model. Where hub_offline() is true, only the cache is looked at.
// Errors: those of repo_read and blob_fetch; a class of model that vkgpt does not run, before its weights are
// downloaded; a disk that has less room than is needed, with both numbers; offline, a model that the cache has not
// whole.
int hub_pull(const struct Pull *pull, char snapshot[PATH_BYTES], vkgpt_error *err);

#endif
