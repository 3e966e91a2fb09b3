// Reads pytorch_model.bin as PyTorch wrote it before 1.6, and still writes it on request: a stream of five pickles (a
// magic number, a version, the machine's sizes, the state dict, the keys of its storages), then the storages in the
// order of the keys, each a count of elements and its values, all little-endian. Source: torch/serialization.py
// (_legacy_save, _legacy_load), torch/csrc/serialization.cpp (THPStorage_writeFileRaw).
#ifndef VKGPT_MODEL_TORCH_LEGACY_H
#define VKGPT_MODEL_TORCH_LEGACY_H

#include "model/table.h"

// Whether the file begins with the magic number.
bool torch_is_legacy(const struct Mapping *file);
// Adds the tensors of a file that the table has mapped; `path` must live as long as the table.
// Errors (VKGPT_BAD_FILE): another version; what pickle_read refuses; keys that are not those of the state dict's
// storages; a storage whose count differs from the pickle's, or that passes the end of the file.
int torch_legacy_read(const char *path, const struct Mapping *file, struct TensorTable *table, vkgpt_error *err);

#endif
