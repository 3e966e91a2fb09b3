#include "tasks/chat_template.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "tasks/escapes.h"

// clang-format off
static const struct Form {
    const char *name, *text;
} FORMS[] = {
    // a text that goes on: for models that were not trained on conversations
    {"plain", "begin: {start}\n"
              "system: {text}\\n\n"
              "user: {text}\n"
              "assistant: {text}\\n\n"},
    // each turn ends with the model's end token: DialoGPT (Zhang et al. 2019)
    {"eos", "system: {text}{eos}\n"
            "user: {text}{eos}\n"
            "assistant: {text}{eos}\n"},
    // OpenAI's ChatML
    {"chatml", "system: <|im_start|>system\\n{text}<|im_end|>\\n\n"
               "user: <|im_start|>user\\n{text}<|im_end|>\\n\n"
               "assistant: <|im_start|>assistant\\n{text}<|im_end|>\\n\n"
               "stop: <|im_end|>\n"},
};
// clang-format on
#define FORM_COUNT (sizeof FORMS / sizeof FORMS[0])

static const char *const ROLE_NAMES[CHAT_ROLES] = {"system", "user", "assistant"};

struct ChatReader {
    const char *what;
    unsigned line;
    const struct ChatTokens *tokens;
    struct ChatTemplate *chat;
    vkgpt_error *err;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct ChatReader *r, const char *format, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return fail(r->err, VKGPT_BAD_FILE, "%s:%u: %s", r->what, r->line, sentence);
}

// ------------------------------------------------------------------------------------------- one value

static void add_literal(struct Buffer *out, const char *text, size_t bytes)
{
    struct Buffer piece = {0};
    buffer_add(&piece, text, bytes);
    escapes_replace_in(&piece);
    buffer_add(out, piece.data, piece.bytes);
    out->failed = out->failed || piece.failed;
    buffer_free(&piece);
}

static int add_token(const struct ChatReader *r, struct Buffer *out, const char *name, const char *text, size_t bytes)
{
    if (!text || !bytes) return wrong(r, "{%s}: the model has no %s token", name, name);
    buffer_add(out, text, bytes);
    return 0;
}

static bool begins(const char *text, size_t bytes, const char *word)
{
    return bytes >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

// Adds a value with its {bos} and {eos}. It ends before {text}, or at its end; *used becomes the bytes up to there.
static int add_value(const struct ChatReader *r, struct Buffer *out, const char *text, size_t bytes, size_t *used)
{
    const struct ChatTokens *t = r->tokens;
    size_t at = 0, some;
    int code = 0;
    for (; !code && at < bytes && !begins(text + at, bytes - at, "{text}"); at += some) {
        some = strlen("{bos}");
        if (begins(text + at, bytes - at, "{bos}")) code = add_token(r, out, "bos", t->bos, t->bos_bytes);
        else if (begins(text + at, bytes - at, "{eos}")) code = add_token(r, out, "eos", t->eos, t->eos_bytes);
        else if (begins(text + at, bytes - at, "{start}"))
            code = wrong(r, "{start} can only be what begin begins with");
        else {
            for (some = 1; at + some < bytes && text[at + some] != '{';) some++;
            add_literal(out, text + at, some);
        }
    }
    *used = at;
    return code;
}

static int set_begin(struct ChatReader *r, const char *value, size_t bytes)
{
    size_t used, skip = begins(value, bytes, "{start}") ? strlen("{start}") : 0;
    if (r->chat->begin.data || r->chat->starts) return wrong(r, "begin is given twice");
    r->chat->starts = skip != 0;
    int code = add_value(r, &r->chat->begin, value + skip, bytes - skip, &used);
    buffer_add(&r->chat->begin, "", 0); // a NUL after it, even when it is empty
    return code || skip + used == bytes ? code : wrong(r, "begin has no {text}: it is before the first turn");
}

static int set_role(struct ChatReader *r, enum ChatRole role, const char *value, size_t bytes)
{
    struct ChatTemplate *chat = r->chat;
    size_t used, more;
    if (chat->has[role]) return wrong(r, "%s is given twice", ROLE_NAMES[role]);
    chat->has[role] = true;
    int code = add_value(r, &chat->before[role], value, bytes, &used);
    if (code) return code;
    if (used == bytes) return wrong(r, "%s has no {text}, where the text of the turn goes", ROLE_NAMES[role]);
    value += used + strlen("{text}");
    bytes -= used + strlen("{text}");
    code = add_value(r, &chat->after[role], value, bytes, &more);
    return code || more == bytes ? code : wrong(r, "%s has {text} twice", ROLE_NAMES[role]);
}

static int add_stop(struct ChatReader *r, const char *value, size_t bytes)
{
    struct ChatTemplate *chat = r->chat;
    size_t used;
    if (chat->stop_count == CHAT_MAX_STOPS) return wrong(r, "there are more than %d stops", CHAT_MAX_STOPS);
    struct Buffer *stop = &chat->stops[chat->stop_count++];
    int code = add_value(r, stop, value, bytes, &used);
    if (code) return code;
    return used == bytes && stop->bytes ? 0 : wrong(r, "stop needs a text that is not empty, without {text}");
}

// ------------------------------------------------------------------------------------------- all of it

// "name: value"; one blank after the colon does not count, all others do.
static int read_line(struct ChatReader *r, const char *line, size_t bytes)
{
    const char *colon = memchr(line, ':', bytes);
    size_t name = colon ? (size_t)(colon - line) : bytes;
    if (!colon) return wrong(r, "'%.*s' is no line of the form name: value", bytes < 40 ? (int)bytes : 40, line);
    const char *value = colon + 1;
    size_t length = bytes - name - 1;
    if (length && *value == ' ') value++, length--;
    for (int role = 0; role < CHAT_ROLES; role++)
        if (strlen(ROLE_NAMES[role]) == name && memcmp(line, ROLE_NAMES[role], name) == 0)
            return set_role(r, (enum ChatRole)role, value, length);
    if (name == 5 && memcmp(line, "begin", 5) == 0) return set_begin(r, value, length);
    if (name == 4 && memcmp(line, "stop", 4) == 0) return add_stop(r, value, length);
    return wrong(r, "'%.*s' is nothing that a chat template says: it has begin, system, user, assistant and stop",
                 name < 40 ? (int)name : 40, line);
}

static int read_lines(struct ChatReader *r, const char *text, size_t bytes)
{
    int code = 0;
    while (!code && bytes) {
        const char *end = memchr(text, '\n', bytes);
        size_t length = end ? (size_t)(end - text) : bytes, next = end ? length + 1 : length;
        size_t own = length && text[length - 1] == '\r' ? length - 1 : length;
        r->line++;
        if (own && *text != '#') code = read_line(r, text, own);
        text += next;
        bytes -= next;
    }
    return code;
}

// What was left out for want of memory makes other sentences wrong, so that this one comes before them.
static int check_memory(const struct ChatTemplate *chat, const char *what, int code, vkgpt_error *err)
{
    bool failed = chat->source.failed || chat->begin.failed;
    for (int role = 0; role < CHAT_ROLES; role++) failed |= chat->before[role].failed || chat->after[role].failed;
    for (size_t i = 0; i < chat->stop_count; i++) failed |= chat->stops[i].failed;
    return failed ? fail_memory(err, what, 0) : code;
}

int chat_template_parse(const char *what, const char *text, size_t bytes, const struct ChatTokens *tokens,
                        struct ChatTemplate *chat, vkgpt_error *err)
{
    *chat = (struct ChatTemplate){.starts = false};
    struct ChatReader r = {.what = what, .tokens = tokens, .chat = chat, .err = err};
    buffer_add(&chat->source, text, bytes);
    int code = 0;
    if (bytes > CHAT_MAX_TEMPLATE)
        code = fail(err, VKGPT_BAD_FILE, "%s: has %zu bytes, a chat template has %zu at most", what, bytes,
                    CHAT_MAX_TEMPLATE);
    else if (bytes && memchr(text, '\0', bytes))
        code = fail(err, VKGPT_BAD_FILE, "%s: is no chat template: it holds a NUL byte", what);
    if (!code) code = read_lines(&r, text, bytes);
    for (int role = CHAT_USER; !code && role < CHAT_ROLES; role++)
        if (!chat->has[role])
            code = fail(err, VKGPT_BAD_FILE, "%s: has no line for the turns of role %s, such as '%s: {text}\\n'", what,
                        ROLE_NAMES[role], ROLE_NAMES[role]);
    code = check_memory(chat, what, code, err);
    if (code) chat_template_free(chat);
    return code;
}

static const struct Form *find_form(const char *name)
{
    for (size_t i = 0; i < FORM_COUNT; i++)
        if (strcmp(FORMS[i].name, name) == 0) return &FORMS[i];
    return NULL;
}

int chat_template_open(const char *name, const struct ChatTokens *tokens, struct ChatTemplate *chat, vkgpt_error *err)
{
    const struct Form *form = find_form(name);
    if (form) return chat_template_parse(name, form->text, strlen(form->text), tokens, chat, err);
    char *text;
    size_t bytes;
    *chat = (struct ChatTemplate){.starts = false};
    if (!os_exists(name))
        return fail(err, VKGPT_BAD_FILE, "--chat-template %s: is none of plain, eos and chatml, and no file", name);
    int code = os_read(name, CHAT_MAX_TEMPLATE, &text, &bytes, err);
    if (code) return code;
    code = chat_template_parse(name, text, bytes, tokens, chat, err);
    free(text);
    return code;
}

void chat_template_free(struct ChatTemplate *chat)
{
    buffer_free(&chat->source);
    buffer_free(&chat->begin);
    for (int role = 0; role < CHAT_ROLES; role++) {
        buffer_free(&chat->before[role]);
        buffer_free(&chat->after[role]);
    }
    for (size_t i = 0; i < chat->stop_count; i++) buffer_free(&chat->stops[i]);
    *chat = (struct ChatTemplate){.starts = false};
}

struct ChatTokens chat_tokens(const vkgpt_model_info *model, const vkgpt_tokenizer *tok)
{
    struct ChatTokens tokens = {0};
    if (model->bos >= 0) tokens.bos = vkgpt_token_bytes(tok, (uint32_t)model->bos, &tokens.bos_bytes);
    if (model->eos_count) tokens.eos = vkgpt_token_bytes(tok, model->eos[0], &tokens.eos_bytes);
    return tokens;
}

void chat_render(const struct ChatTemplate *chat, enum ChatRole role, const struct Buffer *text, struct Buffer *out)
{
    buffer_add(out, chat->before[role].data, chat->before[role].bytes);
    if (!text) return;
    buffer_add(out, text->data, text->bytes);
    buffer_add(out, chat->after[role].data, chat->after[role].bytes);
}
