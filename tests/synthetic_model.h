// Checkpoints of any size with seeded random weights, written as a Hugging Face directory, for tests whose model is too
// large to commit as a fixture. tools/fixtures_gpt2.py makes the same weights, bit for bit.
#ifndef TESTS_SYNTHETIC_MODEL_H
#define TESTS_SYNTHETIC_MODEL_H

#include "model/checkpoint.h"

struct SyntheticModel {
    uint32_t layers, heads, dim, context, vocab;
    uint32_t inner; // 0: 4 dim
    uint32_t seed;
    enum Dtype dtype; // F32, F16 or BF16; the weights are exact in it
    enum Activation activation;
    bool separate_head;
    float mean; // added to the position table: rows of x have a large mean (F32 holds it best)
};

// Writes config.json and model.safetensors into an existing directory.
int synthetic_model_write(const char *dir, const struct SyntheticModel *model, vkgpt_error *err);

// The same in a new directory in $TMPDIR or /tmp, whose path is written to dir (size bytes).
int synthetic_model_temporary(const struct SyntheticModel *model, char *dir, size_t size, vkgpt_error *err);
void synthetic_model_remove(const char *dir);

#endif
