// What a model's path means: the one place that looks at it, before anything of it is opened, by content and not by
// name.
#ifndef VKGPT_MODEL_LOCATE_H
#define VKGPT_MODEL_LOCATE_H

#include "model/path.h"

enum Need {         // what the caller wants to find there
    NEED_WEIGHTS,   // a model that can run
    NEED_CONFIG,    // its facts: config.json alone will do
    NEED_TOKENIZER, // a tokenizer: no model has to be there
    NEED_ADAPTER,   // LoRA weights of PEFT
};

struct Located {
    char path[PATH_BYTES]; // a directory, or a GGUF file
    char note[512];        // "", or which folder inside of the one that was given is meant
};

// Takes: a Hugging Face directory, or a file of one whose weights or settings are those that the directory is read
// with; a GGUF file of any name, or a directory that holds one and no config.json; OpenAI's release of GPT-1; the
// folder of a model in the hub's cache (the snapshot of refs/main, or the only one); a folder that holds one of these
// one level down, such as a trainer's output; where there is no such path, the name of a model in the hub's cache
// (model/hub.h). Where several are there they are listed, and nothing is chosen. Errors
// (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): nothing there; all else, by what it is, with what to do: another class of model,
// an adapter, the weights of another framework, a Git LFS pointer, a web page, ...
int model_locate(const char *given, enum Need need, struct Located *located, vkgpt_error *err);

// A model's name from its path: the last component, or the name in the hub of a folder in its cache.
void model_name(const char *path, char *name, size_t size);

#endif
