// The models that people meet and vkgpt does not run: their names, and what runs them.
#ifndef VKGPT_MODEL_CLASSES_H
#define VKGPT_MODEL_CLASSES_H

#include <stddef.h>

#define CLASS_BYTES 160

// What to say of a model_type of config.json, or of a general.architecture of GGUF, that is not run here: "a Llama,
// which llama.cpp runs". Always something.
const char *class_told(const char *type, char text[CLASS_BYTES]);

#endif
