// What the ranks of a run compare before they load a model: the program's version, the config, and the tensors.
#ifndef VKGPT_MPI_IDENTITY_H
#define VKGPT_MPI_IDENTITY_H

#include "model/checkpoint.h"

struct Identity {
    char version[32];        // of vkgpt: first, because all after it may differ between versions
    uint64_t config;         // a hash of its facts
    uint64_t tensors, bytes; // of all files
    uint64_t headers;        // a hash of the name, type and shape of each tensor
};

void identity_of(const struct Checkpoint *checkpoint, struct Identity *identity);
// Errors (VKGPT_BAD_MODEL): the first difference to rank 0. path: of this rank's checkpoint.
int identity_check(const struct Identity *own, const struct Identity *rank_0, const char *path, vkgpt_error *err);

#endif
