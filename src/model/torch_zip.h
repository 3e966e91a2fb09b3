// Reads pytorch_model.bin as PyTorch has written it since 1.6: a zip archive of uncompressed entries, with the pickle
// of a state dict in NAME/data.pkl and each storage in NAME/data/KEY. The older format is in torch_legacy.h.
// Source: torch/serialization.py (_save), caffe2/serialize/inline_container.cc; the zip format: PKWARE's APPNOTE.TXT.
#ifndef VKGPT_MODEL_TORCH_ZIP_H
#define VKGPT_MODEL_TORCH_ZIP_H

#include "model/table.h"

// Maps a file of either format, and adds its tensors to the table; they keep their strides and may share bytes.
// Errors (VKGPT_BAD_FILE): neither format, truncated or damaged; compressed or encrypted entries; big-endian data; what
// pickle_read refuses; a storage that is missing, or shorter than its pickle says.
int torch_read(const char *path, struct TensorTable *table, vkgpt_error *err);

#endif
