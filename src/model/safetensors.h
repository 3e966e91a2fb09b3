// Reads the safetensors format: an 8-byte length, a JSON header, and the tensors' bytes without gaps.
// Source: https://github.com/huggingface/safetensors (README, "Format", and safetensors/src/tensor.rs).
#ifndef VKGPT_MODEL_SAFETENSORS_H
#define VKGPT_MODEL_SAFETENSORS_H

#include "model/table.h"

// Maps the file and adds its tensors to the table, with all checks of the reference implementation.
// Errors (VKGPT_BAD_FILE): empty, truncated or oversized; a header that passes the end of the file or 100 MB, is not
// JSON, or has duplicate names; an unknown dtype; a shape whose product overflows or contradicts its bytes; byte ranges
// that overlap, leave a gap or pass the end.
int safetensors_read(const char *path, struct TensorTable *table, vkgpt_error *err);

#endif
