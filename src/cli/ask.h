// Asks for a line: on a terminal with editing and history (libedit), else as plain lines of stdin.
#ifndef VKGPT_CLI_ASK_H
#define VKGPT_CLI_ASK_H

#include <stdbool.h>
#include <stdio.h>

#include "tasks/buffer.h"

struct Asker {
    bool terminal;  // stdin is a terminal
    FILE *screen;   // where the prompt goes
    bool cancelled; // Ctrl-C
    const char *prompt;
    void *edit, *history; // libedit's, or NULL: plain lines
};

enum Asked {
    ASKED_LINE,
    ASKED_NOTHING, // Ctrl-C: what was typed is dropped
    ASKED_END,     // the end of stdin, Ctrl-D, or a signal that ends the program
};

// From here on signals only set the flag of os_interrupted.
void asker_open(struct Asker *asker);
void asker_close(struct Asker *asker);
// Reads a line, without its line end. `prompt` is shown on a terminal only.
enum Asked ask(struct Asker *asker, const char *prompt, struct Buffer *line);

#endif
