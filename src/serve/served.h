// What a server serves: one model, by its tokenizer.
#ifndef VKGPT_SERVE_SERVED_H
#define VKGPT_SERVE_SERVED_H

#include "tasks/chat_template.h"
#include "vkgpt.h"

struct Served {
    const vkgpt_tokenizer *tok;
    const vkgpt_model_info *model; // lives as long as the server, also if its model is opened anew
    const char *name;              // in answers: --alias, or the model's own
    uint32_t context, slots;
    const struct ChatTemplate *chat; // NULL: `no_chat` says why
    const char *no_chat;
};

#endif
