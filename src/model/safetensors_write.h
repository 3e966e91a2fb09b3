// Writing the weights of a model as Hugging Face's model.safetensors.
#ifndef VKGPT_MODEL_SAFETENSORS_WRITE_H
#define VKGPT_MODEL_SAFETENSORS_WRITE_H

#include "model/checkpoint.h"

// Writes model.safetensors into a directory that is there; it appears whole or not at all. Of a GGUF file the weights
// get the names and the order of class gpt2. Of a directory every tensor stays, by its name and in its order: the
// weights of the language model become f32 or, with `half`, f16, and all others (heads for tasks, buffers) keep their
// type and bytes. Only what is implied (checkpoint_implied) is left out of what a tied head or a mask would repeat.
// Errors: of the file system (VKGPT_BAD_FILE); a weight with a value past 65504 that f16 cannot say, a tensor of a
// type that safetensors has not (VKGPT_BAD_MODEL).
int safetensors_write(const char *dir, const struct Checkpoint *checkpoint, bool half, vkgpt_error *err);

#endif
