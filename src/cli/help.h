// Prints --help and the man page, both from the tables of commands and flags.
#ifndef VKGPT_CLI_HELP_H
#define VKGPT_CLI_HELP_H

#include "cli/commands.h"

void help_program(FILE *out);
// Five lines for users who type the program's name alone.
void help_first(FILE *out);
void help_command(FILE *out, const struct Command *command);
void help_man(FILE *out); // troff, for man(1)

#endif
