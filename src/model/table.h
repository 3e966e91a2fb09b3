// The tensors of one or several files, which the readers of all file formats fill in.
#ifndef VKGPT_MODEL_TABLE_H
#define VKGPT_MODEL_TABLE_H

#include "base/map.h"
#include "base/os.h"
#include "model/tensor.h"

struct TensorTable { // tensors of one or several files
    struct Tensor *tensors;
    size_t count, capacity;
    struct Map by_name;    // name -> index
    struct Mapping *files; // tensors point into these mappings and names
    char **paths;
    size_t file_count;
    char **names; // owned strings
    size_t name_count, name_capacity;
    void **rooms; // owned values of tensors that are not contiguous in a file
    size_t room_count;
};

// Maps a file and keeps it, with its path, until table_free. kept_path lives as long as the table;
// *mapping is valid until the next table_map.
int table_map(struct TensorTable *table, const char *path, const struct Mapping **mapping, const char **kept_path,
              vkgpt_error *err);
// Makes room for `count` more tensors, so that adding them does not grow the table.
int table_reserve(struct TensorTable *table, const char *file, size_t count, vkgpt_error *err);
// Adds a tensor; its name is copied. Errors (VKGPT_BAD_FILE): the table has a tensor of this name already.
int table_add(struct TensorTable *table, const struct Tensor *tensor, vkgpt_error *err);
// Memory that lives as long as the table, for a tensor that is not contiguous in a file. NULL: no memory.
void *table_room(struct TensorTable *table, size_t bytes);
// NULL when there is no such tensor. The pointer is valid until the next table_add.
const struct Tensor *table_find(const struct TensorTable *table, const char *name);
// Asks the system to read a tensor and the next part of its file from the disk, where the next tensors are. `until`,
// NULL at first, remembers up to where this was done.
void table_read_ahead(const struct TensorTable *table, const struct Tensor *tensor, const uint8_t **until);
// Call this after reading tensors, with the result so far: if a file was truncated meanwhile, that is the error instead
// of `code`. Errors: VKGPT_BAD_FILE, or `code`.
int table_end(const struct TensorTable *table, int code, vkgpt_error *err);
void table_free(struct TensorTable *table);

// Bytes of one element, 0 for DTYPE_BLOCKS and DTYPE_OTHER.
size_t dtype_bytes(enum Dtype dtype);

#define SHAPE_BYTES 192
// "(768, 2304)"; "()" for rank 0.
const char *shape_text(int rank, const int64_t *shape, char text[SHAPE_BYTES]);

#endif
