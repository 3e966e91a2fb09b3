// Which file of a model's directory has the weights: the first that exists of model.safetensors, pytorch_model.bin, an
// index of shards of either, and params_shapes.json (model/openai.h), or else the only safetensors file.
#ifndef VKGPT_MODEL_WEIGHTS_FILE_H
#define VKGPT_MODEL_WEIGHTS_FILE_H

#include "model/path.h"
#include "model/table.h"

// The name of this file, which may be an index of shards. False: there is none.
bool weights_file(const char *dir, char *name, size_t size);
// Adds its tensors to the table. `path` becomes its path, for sentences. Errors: those of the format's reader.
int weights_read(const char *dir, struct TensorTable *table, char path[PATH_BYTES], vkgpt_error *err);

#endif
