// The commands of a chat: lines that begin with a slash.
#ifndef VKGPT_CLI_CHAT_COMMANDS_H
#define VKGPT_CLI_CHAT_COMMANDS_H

#include "cli/conversation.h"

struct Chat {
    struct Options options;
    struct Run run;
    struct Conversation talk;
    bool leaves; // after /exit
};

// Runs a line such as "/temp 0.5". Returns 0, or the code of an error with its sentence.
int chat_command(struct Chat *chat, const char *line, vkgpt_error *err);
void chat_help(void);

#endif
