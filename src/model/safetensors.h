// The safetensors format: an 8-byte length, a JSON header, and the tensors' bytes without gaps.
// Source: https://github.com/huggingface/safetensors (README, "Format", and safetensors/src/tensor.rs).
#ifndef VKGPT_MODEL_SAFETENSORS_H
#define VKGPT_MODEL_SAFETENSORS_H

#include "model/checkpoint.h"

// Maps the file and adds its tensors to the table. Everything that the reference implementation checks is checked.
// Errors (VKGPT_BAD_FILE): empty, truncated or oversized; a header past the file or 100 MB, not JSON, with duplicate
// names; a dtype that is not known; a shape whose product overflows or contradicts its bytes; byte ranges that
// overlap, leave a gap or pass the end.
int safetensors_read(const char *path, struct TensorTable *table, vkgpt_error *err);

#endif
