// A conversation in a session: which tokens belong to which turn. A turn is what the user wrote and the answer to it.
// The session's tokens are: the head (what the template begins with, and the system's text), then the turns.
#ifndef VKGPT_CLI_CONVERSATION_H
#define VKGPT_CLI_CONVERSATION_H

#include "cli/run.h"
#include "tasks/chat_template.h"

struct Turn {
    uint32_t begin, answer,
        end;            // positions: of its first token, of the answer's first token, and after the answer's last token
    bool whole;         // the answer ended by itself; else it was cut, and can go on
    struct Buffer left; // bytes of the answer after its last whole token and before a stop string
};

struct Conversation {
    struct Run *run;
    const struct Options *options;
    struct ChatTemplate form;
    struct Buffer system; // no bytes: none
    uint32_t head;        // tokens
    struct Turn *turns;
    size_t count, capacity;
    bool told_full;
};

// Takes over the template `form`. `run` and `options` have to outlive the conversation.
int conversation_open(struct Conversation *c, struct Run *run, const struct Options *options, struct ChatTemplate form,
                      vkgpt_error *err);
void conversation_close(struct Conversation *c);

// Reads the head again: the template and the system's text (NULL: as it is). The turns stay. Errors
// (VKGPT_BAD_ARGUMENT): the template has no place for a system's text, or it does not fit into the context; the
// conversation is as it was.
int conversation_set_system(struct Conversation *c, const char *system, vkgpt_error *err);
void conversation_reset(struct Conversation *c); // forgets all turns
bool conversation_undo(struct Conversation *c);  // forgets the last turn; false: there is none
// Adds a turn with what the user wrote, up to the answer's first token. Errors (VKGPT_BAD_ARGUMENT): it does not fit
// into the context; the conversation is as it was.
int conversation_add(struct Conversation *c, const struct Buffer *text, vkgpt_error *err);
// Makes room for `need` tokens: the oldest turns go, but not the last `keep` ones. The first time, stderr says so.
// `need` may be more than what can be free then.
int conversation_make_room(struct Conversation *c, uint32_t need, size_t keep, vkgpt_error *err);
// After an error that lost the device, for the first time: opens another one, and reads all tokens of the session
// again. Returns 0: go on; else the error. The functions above, conversation_save and conversation_load do so
// themselves.
int conversation_again(struct Conversation *c, int code, vkgpt_error *err);

uint32_t conversation_position(const struct Conversation *c);
void turns_free(struct Turn *turns, size_t count);

#endif
