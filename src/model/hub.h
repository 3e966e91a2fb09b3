// Names of the Hugging Face hub, and its cache on this machine, in the layout of huggingface_hub: finds what that
// library or `vkgpt pull` has downloaded. This code downloads nothing.
#ifndef VKGPT_MODEL_HUB_H
#define VKGPT_MODEL_HUB_H

#include "model/path.h"

#define HUB_NAME_BYTES 208
#define HUB_REVISION_BYTES 256
#define HUB_FOLDER "models--" // prefix of a model's folder

struct HubShort {
    const char *name, *full;
};
extern const struct HubShort HUB_SHORT_NAMES[]; // ends with a NULL name

// Short names become full names: "gpt2" becomes "openai-community/gpt2". Other names stay as they are. False: not a
// valid name on the hub (one or two parts of letters, digits, '-', '_' and '.', with a '/' between two).
bool hub_full_name(const char *name, char full[HUB_NAME_BYTES]);

// Whether this can be a revision on the hub: a branch, a tag, a commit or "refs/pr/N", by Git's rules for names.
bool hub_is_revision(const char *revision);
// $HF_HUB_OFFLINE or $TRANSFORMERS_OFFLINE is 1, ON, YES or TRUE: nothing is asked of the hub.
bool hub_offline(void);

// The cache directory, which may not exist: $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub,
// else ~/.cache/huggingface/hub. False: none of the variables is set, or the path is too long.
bool hub_cache_dir(char path[PATH_BYTES]);
// The file with the user's token, which may not exist: $HF_TOKEN_PATH, else `token` in $HF_HOME,
// $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface. False: as for hub_cache_dir.
bool hub_token_path(char path[PATH_BYTES]);

// The folder of a model in the cache, by its full name; it may not exist. False: as for hub_cache_dir.
bool hub_folder(const char *full, char path[PATH_BYTES]);

// The folder of a model in the cache, by its short or full name; false: the model is not there.
bool hub_cached(const char *name, char path[PATH_BYTES]);

// The name of a model from its folder in the cache: "models--org--name" becomes "org/name". False: not such a folder.
bool hub_name_of(const char *folder, char full[HUB_NAME_BYTES]);

#endif
