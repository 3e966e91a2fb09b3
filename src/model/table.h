// Filling a struct TensorTable: what the readers of safetensors and PyTorch files have in common.
#ifndef VKGPT_MODEL_TABLE_H
#define VKGPT_MODEL_TABLE_H

#include "model/checkpoint.h"

// Maps a file and keeps it, with its path, until table_free. The pointers live as long as the table.
int table_map(struct TensorTable *table, const char *path, const struct Mapping **mapping, const char **kept_path,
              vkgpt_error *err);
// Room for so many tensors more. Without it, each time that room runs out all are copied.
int table_reserve(struct TensorTable *table, const char *file, size_t count, vkgpt_error *err);
// Adds a tensor; its name is copied. Errors (VKGPT_BAD_FILE): a tensor of this name is there already.
int table_add(struct TensorTable *table, const struct Tensor *tensor, vkgpt_error *err);
// Memory that lives as long as the table, for a tensor that no file holds in one piece. NULL when there is none.
void *table_room(struct TensorTable *table, size_t bytes);
// NULL when there is none. The pointer lives until the next table_add.
const struct Tensor *table_find(const struct TensorTable *table, const char *name);
// Asks for a tensor and the part of its file behind it to be read from the disk: the next ones lie there. `until`, NULL
// at first, remembers how far that was done.
void table_read_ahead(const struct TensorTable *table, const struct Tensor *tensor, const uint8_t **until);
// To be asked at the end of what read tensors, with how it ended: a file that was cut meanwhile makes a failure of it,
// in place of any other one. Errors: VKGPT_BAD_FILE, or `code`.
int table_end(const struct TensorTable *table, int code, vkgpt_error *err);
void table_free(struct TensorTable *table);

// Bytes of one element, 0 for DTYPE_BLOCKS and DTYPE_OTHER.
size_t dtype_bytes(enum Dtype dtype);

#define SHAPE_BYTES 192
// "(768, 2304)"; "()" for rank 0.
const char *shape_text(int rank, const int64_t *shape, char text[SHAPE_BYTES]);

#endif
