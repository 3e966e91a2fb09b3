// Writes config.json, and compares configs.
#ifndef VKGPT_MODEL_CONFIG_WRITE_H
#define VKGPT_MODEL_CONFIG_WRITE_H

#include "model/config.h"

// Writes a config.json of class gpt2 or openai-gpt from the facts alone, for a model that has none (a GGUF file,
// OpenAI's release). `half`: the weights are float16, else float32. Several end tokens become a list.
// Errors (VKGPT_BAD_MODEL): another class, or a fact that the class has no key for, by name; errors of the file system.
int config_write(const char *dir, const struct Config *config, bool half, vkgpt_error *err);

// Copies the config.json of the directory `from` to the directory `to`. Every key stays except the type of the weights
// (torch_dtype, or dtype in transformers 5).
int config_carry(const char *from, const char *to, bool half, vkgpt_error *err);

// The name of the first field in which two configs differ, or NULL.
const char *config_difference(const struct Config *a, const struct Config *b);

#endif
