// What a model on the hub consists of: its commit, its files with sizes and hashes, and those of them that vkgpt reads.
#ifndef VKGPT_HUB_REPO_H
#define VKGPT_HUB_REPO_H

#include "hub/http.h"

#define REPO_MAX_FILES 512
#define REPO_COMMIT 40 // hexadecimal digits

struct RepoFile {
    char name[128];
    uint64_t bytes;
    char hash[65]; // SHA-256 where `large`, else Git's SHA-1 of a blob; the name of the file in the cache's blobs
    bool large;
};

struct Repo {
    char commit[REPO_COMMIT + 1];
    struct RepoFile files[REPO_MAX_FILES]; // the small ones first, config.json before all
    size_t count, small;                   // `small` of them are no weights
};

// Where the hub is and who asks.
struct Hub {
    char endpoint[512]; // $HF_ENDPOINT, else https://huggingface.co
    char token[512];    // $HF_TOKEN, else that of `hf auth login`; "": none
};
// Errors (VKGPT_BAD_ARGUMENT): an endpoint that is no URL, a token with other than printing characters.
int hub_settings(struct Hub *hub, vkgpt_error *err);

// Asks the hub for a model by its full name, and chooses its files: config.json and the tokenizer's, then safetensors
// before PyTorch's files; a GGUF file where there is no config.json, or the one that `gguf` (or NULL) names.
// Errors (VKGPT_BAD_FILE): no such model or revision, one that needs a token, nothing in it that vkgpt reads; those of
// http_text.
int repo_read(struct Http *http, const struct Hub *hub, const char *name, const char *revision, const char *gguf,
              struct Repo *repo, vkgpt_error *err);

// The sentence for a status of HTTP that is no success.
int repo_refused(const struct Hub *hub, const char *name, const char *what, long status, vkgpt_error *err);

#endif
