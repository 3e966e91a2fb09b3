// Completions for the shells, from the tables of commands and flags.
#ifndef VKGPT_CLI_COMPLETION_H
#define VKGPT_CLI_COMPLETION_H

#include "cli/commands.h"

// shell: bash, zsh or fish. False for any other.
bool completion_print(FILE *out, const char *shell);

#endif
