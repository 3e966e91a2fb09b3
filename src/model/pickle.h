// The pickle inside a pytorch_model.bin, read as data: a machine that knows the three dozen opcodes and the few names
// that a saved state dict consists of, and refuses every other. Nothing in it calls or imports anything.
// Source: Python's pickletools.py (the opcodes), torch/serialization.py and torch/_utils.py (what is pickled).
#ifndef VKGPT_MODEL_PICKLE_H
#define VKGPT_MODEL_PICKLE_H

#include "model/checkpoint.h"

// A kind of storage: torch.HalfStorage and its like.
struct PickleStorage {
    const char *name;
    enum Dtype dtype;
    int64_t bytes; // of an element
};

// A tensor as the pickle describes it: a view of a storage, which lies elsewhere.
struct PickleTensor {
    char *name; // of the state dict's key
    char *key;  // of the storage
    const struct PickleStorage *storage;
    int64_t elements; // in the storage
    int64_t offset;   // of the first one, in elements
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t stride[TENSOR_MAX_RANK]; // in elements
};

// Reads the state dict in a pickle of protocol 2 to 5; `what` names the file in sentences. Values of the dict that are
// no tensors are left out. A tensor handed out lies within the elements of its storage, whose bytes do not overflow.
// The caller frees the list with pickle_free, also after an error.
// Errors (VKGPT_BAD_FILE): an opcode or a name that a state dict has not; a pickle that ends early, is not a
// dict, or is malformed in any other way; a view that leaves its storage.
int pickle_read(const char *what, const uint8_t *data, size_t bytes, struct PickleTensor **list, size_t *count,
                vkgpt_error *err);
void pickle_free(struct PickleTensor *list, size_t count);

// The tensor as the model's readers see it; `file` names it in sentences, `storage` is where its storage's bytes are.
struct Tensor pickle_tensor(const struct PickleTensor *p, const char *file, const uint8_t *storage);

#endif
