// Checkpoints in several files: an index names the file of every tensor.
#ifndef VKGPT_MODEL_SHARDS_H
#define VKGPT_MODEL_SHARDS_H

#include "model/table.h"

typedef int ShardReadFn(const char *path, struct TensorTable *table, vkgpt_error *err);

// Reads the index dir/name, such as model.safetensors.index.json, and with `read` every shard that it names.
// Errors (VKGPT_BAD_FILE): no "weight_map"; a shard name with a path in it; a missing or bad shard; a tensor that is in
// two shards, or not in the one that the index names.
int shards_read(const char *dir, const char *name, ShardReadFn *read, struct TensorTable *table, vkgpt_error *err);

#endif
