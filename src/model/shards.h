// Checkpoints in several files: an index names for every tensor the file that holds it.
#ifndef VKGPT_MODEL_SHARDS_H
#define VKGPT_MODEL_SHARDS_H

#include "model/checkpoint.h"

typedef int ShardReadFn(const char *path, struct TensorTable *table, vkgpt_error *err);

// Reads the index dir/name (model.safetensors.index.json and its like) and every shard that it names, by `read`.
// Errors (VKGPT_BAD_FILE): no "weight_map"; a shard name with a path in it; a shard missing or bad; a tensor that
// stands in two shards, or not in the one that the index names.
int shards_read(const char *dir, const char *name, ShardReadFn *read, struct TensorTable *table, vkgpt_error *err);

#endif
