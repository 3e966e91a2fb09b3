// generation_config.json: the sampling that a model's authors recommend, as transformers' generate reads it.
#ifndef VKGPT_CLI_GENERATION_CONFIG_H
#define VKGPT_CLI_GENERATION_CONFIG_H

#include "cli/options.h"

// With --generation-config: sets what the command line did not (temperature, top_k, top_p, min_p, repetition_penalty
// over the whole context, max_new_tokens; do_sample false is temperature 0), and reports it on stderr, or that there is
// no file. Without the flag, -v reports the values of the file. `dir` is the model's directory; a GGUF file has no such
// file. Errors: the file is not JSON (VKGPT_BAD_FILE); the flag does not take a value (VKGPT_BAD_ARGUMENT).
int generation_config(const char *dir, enum CommandBit command, struct Options *options, vkgpt_error *err);

#endif
