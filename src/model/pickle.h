// Reads the pickle inside a pytorch_model.bin as data: a machine that knows the three dozen opcodes and the few names
// in a saved state dict, and refuses all others. It calls and imports nothing.
// Source: Python's pickletools.py (the opcodes), torch/serialization.py and torch/_utils.py (what is pickled).
#ifndef VKGPT_MODEL_PICKLE_H
#define VKGPT_MODEL_PICKLE_H

#include "model/tensor.h"
#include "vkgpt.h"

// A kind of storage, such as torch.HalfStorage.
struct PickleStorage {
    const char *name;
    enum Dtype dtype;
    int64_t bytes; // of an element
};

// A tensor as the pickle describes it: a view of a storage. The storage's bytes are outside the pickle.
struct PickleTensor {
    char *name; // its key in the state dict
    char *key;  // name of the storage
    const struct PickleStorage *storage;
    int64_t elements; // in the storage
    int64_t offset;   // of the tensor's first element, in elements
    int rank;
    int64_t shape[TENSOR_MAX_RANK];
    int64_t stride[TENSOR_MAX_RANK]; // in elements
};

// Reads the state dict in a pickle of protocol 2 to 5; `what` names the file in sentences. Values that are not tensors
// are left out. Every tensor in the list is inside its storage, and the storage's size in bytes does not overflow.
// The caller frees the list with pickle_free, also after an error.
// Errors (VKGPT_BAD_FILE): an opcode or a name that no state dict has; a pickle that ends early, is not a dict, or is
// malformed in any other way; a view outside its storage.
int pickle_read(const char *what, const uint8_t *data, size_t bytes, struct PickleTensor **list, size_t *count,
                vkgpt_error *err);
void pickle_free(struct PickleTensor *list, size_t count);

// The same as a struct Tensor; `file` names it in sentences, `storage` points to the bytes of its storage.
struct Tensor pickle_tensor(const struct PickleTensor *p, const char *file, const uint8_t *storage);

#endif
