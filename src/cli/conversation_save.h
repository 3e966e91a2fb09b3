// Conversations in files: /save and /load. The file is a saved session (vkgpt_session_save), whose note holds the
// settings, the template, the system's text and the places of the turns.
#ifndef VKGPT_CLI_CONVERSATION_SAVE_H
#define VKGPT_CLI_CONVERSATION_SAVE_H

#include "cli/conversation.h"

// Errors (VKGPT_BAD_FILE): those of vkgpt_session_save; a file that is there and is not a saved session.
int conversation_save(struct Conversation *c, const char *path, vkgpt_error *err);
// Replaces the conversation, and the settings of `options`. After an error both are as they were.
int conversation_load(struct Conversation *c, struct Options *options, const char *path, vkgpt_error *err);

// The note, as bytes. The texts point into it; `turns` is freed by the caller, with turns_free first.
struct ChatNote {
    const char *settings, *form, *system;
    size_t settings_bytes, form_bytes, system_bytes;
    uint32_t head;
    struct Turn *turns;
    size_t count;
};
// Finds the parts of a note for a session with `position` tokens. Errors (VKGPT_BAD_FILE): it is not a note, or its
// positions contradict each other.
int chat_note_read(const char *path, const char *data, size_t bytes, uint32_t position, struct ChatNote *note,
                   vkgpt_error *err);
// Sets the settings of a note in `options`. Errors (VKGPT_BAD_FILE): one that is unknown or out of range.
int chat_note_settings(const char *path, const struct ChatNote *note, struct Options *options, vkgpt_error *err);

#endif
