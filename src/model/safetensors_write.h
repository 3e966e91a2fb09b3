// Writing a model of class gpt2 as Hugging Face's files: config.json and model.safetensors.
#ifndef VKGPT_MODEL_SAFETENSORS_WRITE_H
#define VKGPT_MODEL_SAFETENSORS_WRITE_H

#include "model/checkpoint.h"

// Writes both into a directory that is there; each file appears whole or not at all. All tensors are f32 or, with
// `half`, f16. Errors: of the file system (VKGPT_BAD_FILE); a value past 65504 that f16 cannot say (VKGPT_BAD_MODEL).
int safetensors_write(const char *dir, const struct Checkpoint *checkpoint, bool half, vkgpt_error *err);

#endif
