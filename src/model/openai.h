// GPT-1 as OpenAI published it: params_0.npy ... params_9.npy, ten pieces of one flat array, and params_shapes.json,
// the shapes of its tensors. There is no config.json.
// Source: https://github.com/openai/finetune-transformer-lm (train.py: the order of the variables, and the model).
#ifndef VKGPT_MODEL_OPENAI_H
#define VKGPT_MODEL_OPENAI_H

#include "model/table.h"

#define OPENAI_SHAPES "params_shapes.json"

struct OpenaiSizes {
    uint32_t layers, dim, context, vocab;
};

// The sizes, from the shapes; `path` is that of params_shapes.json.
// Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): not JSON; not a list of shapes; a count that is not 2 + 12 per layer.
int openai_sizes(const char *path, struct OpenaiSizes *sizes, vkgpt_error *err);

// Adds its tensors to the table, under Hugging Face's names. A tensor that spans pieces is copied to memory.
// Errors (VKGPT_BAD_FILE, VKGPT_BAD_MODEL): those of openai_sizes; a missing or damaged piece; shapes that need more or
// fewer numbers than the pieces hold.
int openai_read(const char *path, struct TensorTable *table, vkgpt_error *err);

#endif
