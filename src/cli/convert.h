// What the two ways of `vkgpt convert` share.
#ifndef VKGPT_CLI_CONVERT_H
#define VKGPT_CLI_CONVERT_H

#include "model/checkpoint.h"

struct Conversion {
    const char *model, *output;
    const char *tokenizer; // where the tokenizer is read: a directory or a GGUF file, as a rule that of the model
    const struct Checkpoint *checkpoint;
    bool half;  // of a directory: f16, else f32
    bool force; // what is there may be replaced
    void (*note)(const char *sentence);
};

// Writes a Hugging Face directory. All of it is made in a folder inside the output, read again and compared, and only
// then put in place. From a directory: config.json with every key, all tensors, the tokenizer's and generation's
// files byte for byte, and a tokenizer.json where there was none and vkgpt reads what there is. From a GGUF file:
// config.json, tokenizer.json and tokenizer_config.json made of what it says. A tokenizer that vkgpt does not read is
// carried all the same.
// Errors: files of a model in the output without `force` (VKGPT_BAD_FILE); with it, those that the new model has not
// are removed. What config_write, tokenizer_json_write and safetensors_write refuse.
int convert_to_directory(const struct Conversion *conversion, vkgpt_error *err);

#endif
