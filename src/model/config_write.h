// Writing config.json, and comparing what was written with what was meant.
#ifndef VKGPT_MODEL_CONFIG_WRITE_H
#define VKGPT_MODEL_CONFIG_WRITE_H

#include "model/config.h"

// Writes a config.json of class gpt2 or openai-gpt from the facts alone, for a model that has none (a GGUF file,
// OpenAI's release). `half`: the weights are float16, else float32. Several end tokens are a list.
// Errors: another class, or a fact that the class cannot say, by name (VKGPT_BAD_MODEL); of the file system.
int config_write(const char *dir, const struct Config *config, bool half, vkgpt_error *err);

// Writes the config.json of the directory `from` into the directory `to`: every key stays, but the one of the weights'
// type (torch_dtype, or dtype as transformers 5 has it).
int config_carry(const char *from, const char *to, bool half, vkgpt_error *err);

// The name of the first field in which two configs differ, or NULL.
const char *config_difference(const struct Config *a, const struct Config *b);

#endif
