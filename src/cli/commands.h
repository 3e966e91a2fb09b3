// The table of commands, from which come the program's choice of one, --help, the man page, completions, and the tests.
#ifndef VKGPT_CLI_COMMANDS_H
#define VKGPT_CLI_COMMANDS_H

#include "cli/cli.h"

// `usage` follows the command's name; `example` is a line that works as it is.
struct Command {
    const char *name;
    enum CommandBit bit;
    const char *summary, *usage, *example;
    int (*run)(const struct Options *options);
};

extern const struct Command COMMANDS[]; // ends with a NULL name

// The command of this name, or NULL.
const struct Command *commands_find(const char *name);

#endif
