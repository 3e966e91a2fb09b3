// A chat template in the form of a file, one in Jinja, and the note of a saved conversation.
#include <stdlib.h>
#include <string.h>

#include "cli/conversation_save.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ChatTokens tokens = {.bos = "<s>", .bos_bytes = 3, .eos = "</s>", .eos_bytes = 4};
    struct ChatTemplate chat;
    struct ChatNote note;
    const char *form;
    vkgpt_error err = {0};
    char *text = malloc(size + 1);
    if (!text) abort();
    if (size) memcpy(text, data, size);
    text[size] = '\0';
    int code = chat_template_parse("a file", text, size, &tokens, &chat, &err);
    fuzz_check(code, &err);
    if (!code) chat_template_free(&chat);
    fuzz_check(chat_jinja_form(text, size, &form, &err), &err);
    code = chat_note_read("a file", text, size, 100, &note, &err);
    fuzz_check(code, &err);
    if (!code) {
        struct Options options = options_default();
        fuzz_check(chat_note_settings("a file", &note, &options, &err), &err);
        turns_free(note.turns, note.count);
        free(note.turns);
    }
    free(text);
    return 0;
}
