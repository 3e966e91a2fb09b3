// The models of the GPT-2 and GPT-3 papers by name, without weights: what `plan` reckons with and what `make-model`
// fills with random numbers.
#ifndef VKGPT_MODEL_PRESETS_H
#define VKGPT_MODEL_PRESETS_H

#include "model/checkpoint.h"

// A row of table 2 of the GPT-2 paper (Radford et al. 2019) or of table 2.1 of the GPT-3 paper (Brown et al. 2020).
struct Preset {
    const char *name;
    uint32_t layers, heads, dim, context;
    bool banded;         // GPT-3: dense and locally banded layers alternate, the first one dense
    const char *departs; // where it leaves the paper's table, and why; NULL: nowhere
};

extern const struct Preset PRESETS[]; // ends with a NULL name

// What no GPT-3 preset can take from the paper, as one sentence for people.
extern const char PRESET_GPT3_NOTE[];

const struct Preset *preset_find(const char *name); // NULL: there is none
// Its names, with commas between.
void preset_names(char *text, size_t size);

// GPT-2's models are of class gpt2, GPT-3's of class gpt_neo, the open model of that architecture: no biases on q, k
// and v, and no attention scale (preset_write folds 1/sqrt(head_dim) into the random q, which is the same function).
void preset_config(const struct Preset *preset, struct Config *config);

// Sizes other than the preset's; 0: as they are.
struct PresetSizes {
    uint32_t layers, heads, dim, inner, context, vocab;
};

// Errors (VKGPT_BAD_ARGUMENT): a size past what vkgpt reads back, heads that do not divide the width.
int preset_resize(struct Config *config, const struct PresetSizes *sizes, vkgpt_error *err);

struct PresetOutput {
    const char *dir;       // made where it is not there
    const char *tokenizer; // a directory with vocab.json and merges.txt: its tokens, as far as the table reaches
    const char *preset;    // its name, for config.json
    enum Dtype dtype;      // F32, F16 or BF16
    uint64_t seed;
    uint32_t shards;
    bool force;                                                  // a model that is there may be replaced
    bool (*progress)(void *user, uint64_t done, uint64_t total); // bytes; false: stop (VKGPT_INTERRUPTED). Or NULL
    void *user;
};

// Writes a Hugging Face directory with seeded random weights, on all cores, in bounded memory. The bytes depend on
// seed, sizes and dtype only. Initialisation is GPT-2's: deviation 0.02, projections into the residual stream
// 0.02 / sqrt(2 layers); gains are 1 and biases 0 with a deviation of 0.01. The numbers are sums of four uniform
// ones, which end at 3.46 deviations.
// Ids for which the tokenizer has no token get one of their own, which says their number. A model in the same place is
// left alone (VKGPT_BAD_FILE) without `force`; with it, none of its files stays. All files are
// written under another name and renamed when the last one is complete; a failure leaves what was there before.
int preset_write(const struct Config *config, const struct PresetOutput *output, vkgpt_error *err);

#endif
