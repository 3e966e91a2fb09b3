// The table of commands, from which come the program's choice of one, --help, the man page, completions, and the tests.
#ifndef VKGPT_CLI_COMMANDS_H
#define VKGPT_CLI_COMMANDS_H

#include "cli/cli.h"

enum CommandGroup { GROUP_WRITE, GROUP_MEASURE, GROUP_TASKS, GROUP_CONVERT, GROUP_DEVICE };
extern const char *const GROUP_NAMES[];

// `usage` follows the command's name; `example` is a line that works as it is. `brief` is what the list of commands
// says; NULL: the command is listed with the one before it.
struct Command {
    const char *name;
    enum CommandBit bit;
    enum CommandGroup group; // those of a group stand together
    const char *brief;
    const char *summary, *usage, *example;
    int (*run)(const struct Options *options);
};

extern const struct Command COMMANDS[]; // ends with a NULL name

// The command of this name, or NULL.
const struct Command *commands_find(const char *name);
// "; did you mean NAME?", or "".
const char *commands_nearest(const char *name, char hint[96]);

#endif
