// The Hugging Face hub's names, and its cache on this machine, in the layout of huggingface_hub: what that library or
// `vkgpt pull` downloaded is found here. Nothing is downloaded here.
#ifndef VKGPT_MODEL_HUB_H
#define VKGPT_MODEL_HUB_H

#include "model/path.h"

#define HUB_NAME_BYTES 208
#define HUB_FOLDER "models--" // what a model's folder begins with

struct HubShort {
    const char *name, *full;
};
extern const struct HubShort HUB_SHORT_NAMES[]; // ends with a NULL name

// "gpt2" becomes "openai-community/gpt2"; any other name stays as it is. False: the hub has no names of this form (two
// parts of letters, digits, '-', '_' and '.', with a '/' between them, or one part).
bool hub_full_name(const char *name, char full[HUB_NAME_BYTES]);

// $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub, there or not.
// False: none of them is set, or it is too long.
bool hub_cache_dir(char path[PATH_BYTES]);

// Where the cache keeps a model of this full name, there or not; false as of hub_cache_dir.
bool hub_folder(const char *full, char path[PATH_BYTES]);

// The folder of a model in the cache, by its short or full name; false: it has none.
bool hub_cached(const char *name, char path[PATH_BYTES]);

// The name of a model from its folder in the cache: "models--org--name" becomes "org/name". False: it is no such
// folder.
bool hub_name_of(const char *folder, char full[HUB_NAME_BYTES]);

#endif
