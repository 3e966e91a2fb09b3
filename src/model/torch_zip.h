// pytorch_model.bin as PyTorch has written it since 1.6: a zip archive whose entries are stored as they are, with the
// pickle of a state dict in NAME/data.pkl and each storage in NAME/data/KEY. What it wrote before is in torch_legacy.h.
// Source: torch/serialization.py (_save), caffe2/serialize/inline_container.cc; the zip format: PKWARE's APPNOTE.TXT.
#ifndef VKGPT_MODEL_TORCH_ZIP_H
#define VKGPT_MODEL_TORCH_ZIP_H

#include "model/checkpoint.h"

// Maps the file, of either form, and adds its tensors to the table; they keep their strides and may share bytes.
// Errors (VKGPT_BAD_FILE): neither form, truncated or damaged; entries that are compressed or encrypted; big-endian
// data; what pickle_read refuses; a storage that is missing, or shorter than its pickle says.
int torch_read(const char *path, struct TensorTable *table, vkgpt_error *err);

#endif
