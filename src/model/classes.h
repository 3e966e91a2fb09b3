// Well-known models that vkgpt does not run: their names, and which programs run them.
#ifndef VKGPT_MODEL_CLASSES_H
#define VKGPT_MODEL_CLASSES_H

#include <stddef.h>

#define CLASS_BYTES 160

// The part of a sentence about a model_type (config.json) or general.architecture (GGUF) that vkgpt does not run: "this
// is a Llama, which llama.cpp and transformers run". Never empty.
const char *class_told(const char *type, char text[CLASS_BYTES]);

#endif
