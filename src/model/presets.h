// The models of the GPT-2 and GPT-3 papers by name, without weights: for the estimates of `plan`, and for `make-model`,
// which fills them with random numbers.
#ifndef VKGPT_MODEL_PRESETS_H
#define VKGPT_MODEL_PRESETS_H

#include "model/checkpoint.h"

// A row of table 2 of the GPT-2 paper (Radford et al. 2019) or of table 2.1 of the GPT-3 paper (Brown et al. 2020).
struct Preset {
    const char *name;
    uint32_t layers, heads, dim, context;
    bool banded;         // GPT-3: dense and locally banded layers alternate; the first is dense
    const char *departs; // where it differs from the paper's table, and why; NULL: nowhere
};

extern const struct Preset PRESETS[]; // ends with a NULL name

// One sentence for users: what the GPT-3 paper does not say.
extern const char PRESET_GPT3_NOTE[];

const struct Preset *preset_find(const char *name); // NULL: there is none
// All names, separated by commas.
void preset_names(char *text, size_t size);

// GPT-2's models are of class gpt2, GPT-3's of class gpt_neo, the open model of that architecture: no biases on q, k
// and v, and no attention scale (preset_write folds 1/sqrt(head_dim) into the random q, which is the same function).
void preset_config(const struct Preset *preset, struct Config *config);

// Sizes that replace the preset's; 0: no change.
struct PresetSizes {
    uint32_t layers, heads, dim, inner, context, vocab;
};

// Errors (VKGPT_BAD_ARGUMENT): a size past vkgpt's limits, a width that is not a multiple of the heads.
int preset_resize(struct Config *config, const struct PresetSizes *sizes, vkgpt_error *err);

struct PresetOutput {
    const char *dir;       // created if it does not exist
    const char *tokenizer; // a directory with vocab.json and merges.txt; tokens past the table are dropped
    const char *preset;    // its name, for config.json
    enum Dtype dtype;      // F32, F16 or BF16
    uint64_t seed;
    uint32_t shards;
    bool force;                                                  // may replace an existing model
    bool (*progress)(void *user, uint64_t done, uint64_t total); // bytes; false: stop (VKGPT_INTERRUPTED). Or NULL
    void *user;
};

// Writes a Hugging Face directory with seeded random weights, on all cores, in bounded memory. The bytes depend on
// seed, sizes and dtype only. Initialisation is GPT-2's: deviation 0.02, projections into the residual stream
// 0.02 / sqrt(2 layers); gains are 1 and biases 0, with a deviation of 0.01. The numbers are sums of four uniform
// numbers, so they are within 3.46 deviations.
// Ids without a token in the tokenizer get a token that shows their number. Without `force` an existing model in the
// directory is an error (VKGPT_BAD_FILE); with it, all its files are removed. Files are written under temporary names
// and renamed when all are complete; after a failure before that, the old files are unchanged.
int preset_write(const struct Config *config, const struct PresetOutput *output, vkgpt_error *err);

#endif
