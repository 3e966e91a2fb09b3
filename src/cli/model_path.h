// Finds the model: -m, else the environment variable VKGPT_MODEL, else the default model. Each names a path, or a model
// that comes with the program.
#ifndef VKGPT_CLI_MODEL_PATH_H
#define VKGPT_CLI_MODEL_PATH_H

#include "cli/options.h"
#include "model/locate.h"
#include "vkgpt.h"

// The path of data that is installed with the program, such as "models/tasks"; false: it is not there, and `path` is
// where it should be.
bool data_path(const char *what, char *path, size_t size);

// Calls `list` for each file with this suffix in the program's data directory `what`, with its path and its name
// without the suffix. Returns the program's exit status, after it has printed the sentence of a failure.
int list_data(const char *what, const char *suffix, int (*list)(const char *path, const char *name, vkgpt_error *err));

// The directory or GGUF file that is meant (model/locate.h). Prints the folder on stderr if it is not the one given.
// Errors: none is given and the default model is not where it should be; those of model_locate.
int model_path(const char *given, char *path, size_t size, vkgpt_error *err);
// The same for callers that need something other than a model that can run.
int model_path_for(enum Need need, const char *given, char *path, size_t size, vkgpt_error *err);
// Whether this is the path of the default model.
bool model_is_default(const char *dir);
// Opens the tokenizer of --tokenizer, else that of `dir`.
int open_tokenizer(const struct Options *options, const char *dir, vkgpt_tokenizer **tok, vkgpt_error *err);

#endif
