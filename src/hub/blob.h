// One file of a model in the hub's cache: blobs/HASH, downloaded once whoever asks, and checked.
#ifndef VKGPT_HUB_BLOB_H
#define VKGPT_HUB_BLOB_H

#include "hub/repo.h"
#include "model/path.h"

struct Fetch {
    struct Http *http;
    const struct Hub *hub;
    const char *name; // of the model, in full
    const char *commit;
    char folder[PATH_BYTES]; // of the model in the cache
    char locks[PATH_BYTES];
    uint64_t done, total; // bytes of all files, for `progress`
    void (*progress)(void *user, uint64_t done, uint64_t total);
    void (*note)(const char *sentence);
    void *user;
};

// blobs/HASH of a file, there or not.
int blob_path(const struct Fetch *fetch, const struct RepoFile *file, char path[PATH_BYTES], vkgpt_error *err);
// Whether it is there with the right size.
bool blob_there(const struct Fetch *fetch, const struct RepoFile *file);
// Bytes of an earlier download that stopped.
uint64_t blob_begun(const struct Fetch *fetch, const struct RepoFile *file);

// Gets it, going on with what an earlier download left in blobs/HASH.incomplete; another process that is at the same
// file is waited for, as huggingface_hub does it. What came is kept only when its size and hash are right. Errors
// (VKGPT_BAD_FILE): those of HTTP, a wrong hash, what the disk says.
int blob_fetch(struct Fetch *fetch, const struct RepoFile *file, vkgpt_error *err);

#endif
