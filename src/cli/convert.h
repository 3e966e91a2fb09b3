// What the two ways of `vkgpt convert` share.
#ifndef VKGPT_CLI_CONVERT_H
#define VKGPT_CLI_CONVERT_H

#include "model/checkpoint.h"

struct Conversion {
    const char *model, *output;
    const char *tokenizer; // where the tokenizer is read from: a directory or a GGUF file, usually that of the model
    const struct Checkpoint *checkpoint;
    bool half;  // for a directory: f16, else f32
    bool force; // existing files may be replaced
    void (*note)(const char *sentence);
};

// Writes a Hugging Face directory. All files are made in a folder inside the output, read again and compared, and only
// then moved into place. From a directory: config.json with every key, all tensors, the files of the tokenizer and of
// generation byte for byte, and a tokenizer.json if there was none and vkgpt can read the tokenizer. From a GGUF file:
// config.json, tokenizer.json and tokenizer_config.json are made from its data. A tokenizer in a directory is copied
// even if vkgpt cannot read it.
// Errors: the output has files of a model and `force` is false (VKGPT_BAD_FILE; with `force`, files that the new model
// does not have are removed); what config_write, tokenizer_json_write and safetensors_write refuse.
int convert_to_directory(const struct Conversion *conversion, vkgpt_error *err);

#endif
