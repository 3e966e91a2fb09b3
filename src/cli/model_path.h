// Where the model is: -m, else the environment variable VKGPT_MODEL, else the one that comes with the program.
#ifndef VKGPT_CLI_MODEL_PATH_H
#define VKGPT_CLI_MODEL_PATH_H

#include "vkgpt.h"

// Errors: none was given and none is where the default one should be.
int model_path(const char *given, char *path, size_t size, vkgpt_error *err);

#endif
