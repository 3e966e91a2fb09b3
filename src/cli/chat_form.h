// The chat template of chat and serve.
#ifndef VKGPT_CLI_CHAT_FORM_H
#define VKGPT_CLI_CHAT_FORM_H

#include "cli/run.h"
#include "tasks/chat_template.h"

// The template that --chat-template names, else that of the tokenizer; where it has none, the form `otherwise`, or an
// error if that is NULL.
int chat_form(const struct Run *run, const struct Options *options, const char *otherwise, struct ChatTemplate *form,
              vkgpt_error *err);

#endif
