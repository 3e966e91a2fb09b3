// Where the model is: -m, else the environment variable VKGPT_MODEL, else the one that comes with the program.
#ifndef VKGPT_CLI_MODEL_PATH_H
#define VKGPT_CLI_MODEL_PATH_H

#include "vkgpt.h"

// The path of what is installed with the program, such as "models/tasks"; false: it is not there, and `path` is
// where it should be.
bool data_path(const char *what, char *path, size_t size);

// Calls `list` for each file with this suffix that comes with the program in `what`, by its path and its name without the
// suffix, and returns the program's exit status: a failure of it has been told.
int list_data(const char *what, const char *suffix, int (*list)(const char *path, const char *name, vkgpt_error *err));

// Errors: none was given and none is where the default one should be.
int model_path(const char *given, char *path, size_t size, vkgpt_error *err);

#endif
