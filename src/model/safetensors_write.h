// Writes the weights of a model as Hugging Face's model.safetensors.
#ifndef VKGPT_MODEL_SAFETENSORS_WRITE_H
#define VKGPT_MODEL_SAFETENSORS_WRITE_H

#include "model/checkpoint.h"

// Writes model.safetensors into an existing directory; a reader sees the whole file or none. Weights of a GGUF file get
// the names of class gpt2 and its (in, out) order. Tensors of a directory keep their names, and (in, out) or (out, in):
// the weights of the language model become f32 or, with `half`, f16, and all others (heads for tasks, buffers) keep
// their type and bytes. Only tensors that are checkpoint_implied are left out: mask buffers, a copy of the tied head.
// Errors: of the file system (VKGPT_BAD_FILE); with `half`, a weight with a value past 65504; a tensor of a type that
// safetensors does not have (VKGPT_BAD_MODEL).
int safetensors_write(const char *dir, const struct Checkpoint *checkpoint, bool half, vkgpt_error *err);

#endif
