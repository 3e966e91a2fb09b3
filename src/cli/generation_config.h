// generation_config.json: the sampling that a model's authors name, as transformers' generate reads it.
#ifndef VKGPT_CLI_GENERATION_CONFIG_H
#define VKGPT_CLI_GENERATION_CONFIG_H

#include "cli/options.h"

// With --generation-config: sets what the command line did not (temperature, top_k, top_p, min_p, repetition_penalty
// over the whole context, max_new_tokens; do_sample false is temperature 0), and says so on stderr; the lack of the
// file is said too. Without it -v says what the file names. `dir` is the model's directory; a GGUF file has no such
// file. Errors: the file is no JSON (VKGPT_BAD_FILE); a value that the flag does not take (VKGPT_BAD_ARGUMENT).
int generation_config(const char *dir, enum CommandBit command, struct Options *options, vkgpt_error *err);

#endif
