// The table of commands. main, --help, the man page, completions and the tests use it.
#ifndef VKGPT_CLI_COMMANDS_H
#define VKGPT_CLI_COMMANDS_H

#include "cli/cli.h"

enum CommandGroup { GROUP_WRITE, GROUP_MEASURE, GROUP_TASKS, GROUP_CONVERT, GROUP_DEVICE };
extern const char *const GROUP_NAMES[];

// `usage` is the text after the command's name; `example` is a line that works as it is. `brief` is the text in the
// list of commands; NULL: the command is listed with the one before it.
struct Command {
    const char *name;
    enum CommandBit bit;
    enum CommandGroup group; // the commands of a group are next to each other in the table
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
