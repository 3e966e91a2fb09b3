// The answer to the last turn of a conversation, printed as it comes.
#ifndef VKGPT_CLI_CHAT_ANSWER_H
#define VKGPT_CLI_CHAT_ANSWER_H

#include "cli/conversation.h"

// Generates the answer, or more of it. Ctrl-C ends it: the tokens so far stay, and os_interrupted is true. After an
// error too what was printed stays.
int chat_answer(struct Conversation *c, vkgpt_error *err);

#endif
