// What a model's path means, decided in this one place before anything is opened, by content and not by name.
#ifndef VKGPT_MODEL_LOCATE_H
#define VKGPT_MODEL_LOCATE_H

#include "model/path.h"

enum Need {         // what the caller needs
    NEED_WEIGHTS,   // a model that can run
    NEED_CONFIG,    // the config only: config.json is enough
    NEED_TOKENIZER, // a tokenizer; a model is not needed
    NEED_ADAPTER,   // LoRA weights of PEFT
};

struct Located {
    char path[PATH_BYTES]; // a directory, or a GGUF file
    char note[512];        // "", or which folder inside the given one was chosen
};

// Accepts:
// - a Hugging Face directory, or a file in one, if it is the file that is read there;
// - a GGUF file of any name, or a directory that has one and no config.json;
// - OpenAI's release of GPT-1;
// - the folder of a model in the hub's cache (the snapshot of refs/main, or the only one);
// - a folder with one of these one level below, such as a trainer's output;
// - if the path does not exist, the name of a model in the hub's cache (model/hub.h).
// If a folder has several, none is chosen: the error lists them. Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): nothing is
// found; or something else, with what it is and what to do: another class of model, an adapter, the weights of another
// framework, a Git LFS pointer, a web page, ...
int model_locate(const char *given, enum Need need, struct Located *located, vkgpt_error *err);

// A model's name from its path: the last component, or for a folder in the hub's cache its name on the hub.
void model_name(const char *path, char *name, size_t size);

#endif
