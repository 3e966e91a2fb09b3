// Where the model is: -m, else the environment variable VKGPT_MODEL, else the one that comes with the program.
#ifndef VKGPT_CLI_MODEL_PATH_H
#define VKGPT_CLI_MODEL_PATH_H

#include "vkgpt.h"

// The path of what is installed with the program, such as "models/tasks"; false: it is not there, and `path` is
// where it should be.
bool data_path(const char *what, char *path, size_t size);

// Errors: none was given and none is where the default one should be.
int model_path(const char *given, char *path, size_t size, vkgpt_error *err);

#endif
