// The chat template that comes with a tokenizer. It is a program in Jinja, which is not run; the few programs that say
// the same as a built-in form are recognised, in any spelling: blanks, quotes and message['role'] do not matter.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/os.h"
#include "model/gguf.h"
#include "model/path.h"
#include "model/table.h"
#include "tasks/chat_template.h"

#define MAX_CONFIG ((size_t)64 << 20)

#define EACH "{%formessageinmessages%}"
#define TURN "'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>"
#define ANSWER "{%ifadd_generation_prompt%}{{'<|im_start|>assistant\\n'}}{%endif%}"
#define DEFAULT "{%ifnotadd_generation_promptisdefined%}{%setadd_generation_prompt=false%}{%endif%}"
#define LAST "{%ifloop.lastandadd_generation_prompt%}{{'<|im_start|>assistant\\n'}}{%endif%}"

// Programs without blanks, each with the form that gives the same text.
static const struct Known {
    const char *program, *form;
} KNOWN[] = {
    {EACH "{{message.content}}{{eos_token}}{%endfor%}", "eos"}, // DialoGPT's, and that of GPT-2 in transformers 4
    {EACH "{{message.content+eos_token}}{%endfor%}", "eos"},
    {EACH "{{" TURN "'+'\\n'}}{%endfor%}" ANSWER, "chatml"},
    {EACH "{{" TURN "\\n'}}{%endfor%}" ANSWER, "chatml"},
    {EACH "{{" TURN "'+'\\n'}}" LAST "{%endfor%}", "chatml"},
    {DEFAULT EACH "{{" TURN "'+'\\n'}}{%endfor%}" ANSWER, "chatml"},
    {DEFAULT EACH "{{" TURN "\\n'}}{%endfor%}" ANSWER, "chatml"},
};

// ------------------------------------------------------------------------------------------- spelling

struct Squeeze {
    const char *at, *end;
    struct Buffer out;
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void drop_blanks_at_end(struct Buffer *out, size_t from, bool all)
{
    while (out->bytes > from && (all ? is_blank(out->data[out->bytes - 1])
                                     : out->data[out->bytes - 1] == ' ' || out->data[out->bytes - 1] == '\t'))
        buffer_cut(out, out->bytes - 1);
}

// A string of the program, in single quotes; a line break in it becomes \n.
static void squeeze_string(struct Squeeze *s)
{
    char quote = *s->at++;
    buffer_text(&s->out, "'");
    for (; s->at < s->end && *s->at != quote; s->at++)
        if (*s->at == '\n') buffer_text(&s->out, "\\n");
        else buffer_add(&s->out, s->at, 1);
    buffer_text(&s->out, "'");
    if (s->at < s->end) s->at++;
}

// ['role'] becomes .role
static void squeeze_index(struct Buffer *out, size_t from)
{
    for (size_t i = from; i + 4 < out->bytes; i++) {
        if (memcmp(out->data + i, "['", 2) != 0) continue;
        char *close = memchr(out->data + i + 2, '\'', out->bytes - i - 2);
        if (!close || (size_t)(close - out->data) + 1 >= out->bytes || close[1] != ']') continue;
        size_t name = (size_t)(close - out->data) - i - 2, after = i + name + 4;
        out->data[i] = '.';
        memmove(out->data + i + 1, out->data + i + 2, name);
        memmove(out->data + i + 1 + name, out->data + after, out->bytes - after);
        buffer_cut(out, out->bytes - 3);
    }
}

// {% ... %} or {{ ... }}, without blanks and without the marks that trim what is around it.
static void squeeze_tag(struct Squeeze *s)
{
    char kind = s->at[1] == '%' ? '%' : '}';
    size_t from = s->out.bytes;
    buffer_add(&s->out, s->at, 2);
    s->at += 2;
    if (s->at < s->end && *s->at == '-') s->at++;
    while (s->at + 1 < s->end && !(s->at[0] == kind && s->at[1] == '}')) {
        if (*s->at == '\'' || *s->at == '"') squeeze_string(s);
        else if (is_blank(*s->at)) s->at++;
        else buffer_add(&s->out, s->at++, 1);
    }
    bool trims = s->out.bytes && s->out.data[s->out.bytes - 1] == '-';
    if (trims) buffer_cut(&s->out, s->out.bytes - 1);
    squeeze_index(&s->out, from);
    buffer_add(&s->out, kind == '%' ? "%}" : "}}", 2);
    s->at = s->at + 2 < s->end ? s->at + 2 : s->end;
    while (trims && s->at < s->end && is_blank(*s->at)) s->at++;
    if (!trims && kind == '%' && s->at < s->end && *s->at == '\n') s->at++; // trim_blocks, as transformers sets it
}

// Text between tags, which the program would print; blanks before a block at the beginning of a line are not
// (lstrip_blocks, as transformers sets it).
static void squeeze_text(struct Squeeze *s)
{
    size_t from = s->out.bytes;
    while (s->at < s->end && !(s->at + 1 < s->end && s->at[0] == '{' && (s->at[1] == '%' || s->at[1] == '{')))
        buffer_add(&s->out, s->at++, 1);
    if (s->at + 2 >= s->end || s->out.bytes == from) return;
    size_t line = s->out.bytes;
    while (line > from && (s->out.data[line - 1] == ' ' || s->out.data[line - 1] == '\t')) line--;
    bool at_line = line == from || s->out.data[line - 1] == '\n';
    if (s->at[2] == '-') drop_blanks_at_end(&s->out, from, true);
    else if (s->at[1] == '%' && at_line) drop_blanks_at_end(&s->out, from, false);
}

int chat_jinja_form(const char *jinja, size_t bytes, const char **form, vkgpt_error *err)
{
    struct Squeeze s = {.at = jinja, .end = jinja + bytes};
    *form = NULL;
    while (s.at < s.end) {
        bool tag = s.at + 1 < s.end && s.at[0] == '{' && (s.at[1] == '%' || s.at[1] == '{');
        if (tag) squeeze_tag(&s);
        else squeeze_text(&s);
    }
    if (s.out.bytes && s.out.data[s.out.bytes - 1] == '\n') buffer_cut(&s.out, s.out.bytes - 1); // as Jinja does
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (strlen(KNOWN[i].program) == s.out.bytes && memcmp(KNOWN[i].program, s.out.data, s.out.bytes) == 0)
            *form = KNOWN[i].form;
    int code = buffer_check(&s.out, "a chat template", err);
    buffer_free(&s.out);
    return code;
}

// ------------------------------------------------------------------------------------------- the files

// tokenizer_config.json: a text, or a list of named ones, of which "default" counts.
static int from_config(const char *path, struct Buffer *jinja, vkgpt_error *err)
{
    struct Json *json;
    int code = json_read_python(path, MAX_CONFIG, &json, err);
    if (code) return code;
    const struct Json *value = json_get(json, "chat_template");
    if (json_is_array(value)) {
        const struct Json *entry = json_first(value);
        while (entry &&
               !(json_text(json_get(entry, "name")) && strcmp(json_text(json_get(entry, "name")), "default") == 0))
            entry = json_next(entry);
        value = json_get(entry, "template");
    }
    if (json_text(value)) buffer_text(jinja, json_text(value));
    json_free(json);
    return 0;
}

static int from_gguf(const char *path, struct Buffer *jinja, vkgpt_error *err)
{
    struct TensorTable table = {0};
    struct Gguf gguf = {0};
    struct GgufText text = {0};
    int code = gguf_read(path, &table, &gguf, err);
    if (!code) code = gguf_text(&gguf, "tokenizer.chat_template", &text, err);
    if (!code && text.bytes) buffer_add(jinja, text.text, text.bytes);
    gguf_free(&gguf);
    table_free(&table);
    return code;
}

static int from_directory(const char *dir, struct Buffer *jinja, vkgpt_error *err)
{
    char file[PATH_BYTES], config[PATH_BYTES], *text;
    size_t bytes;
    int code = path_join(file, dir, "chat_template.jinja", err);
    if (!code) code = path_join(config, dir, "tokenizer_config.json", err);
    if (code) return code;
    if (!os_exists(file)) return os_exists(config) ? from_config(config, jinja, err) : 0;
    code = os_read_file(file, MAX_CONFIG, &text, &bytes, err);
    if (code) return code;
    buffer_add(jinja, text, bytes);
    free(text);
    return 0;
}

int chat_template_own(const char *path, const char *otherwise, const struct ChatTokens *tokens,
                      struct ChatTemplate *chat, vkgpt_error *err)
{
    struct Buffer jinja = {0};
    const char *form = otherwise;
    bool is_gguf;
    char file[PATH_BYTES];
    *chat = (struct ChatTemplate){.starts = false};
    int code = gguf_path(path, &is_gguf, file, err);
    if (!code) code = is_gguf ? from_gguf(file, &jinja, err) : os_is_dir(path) ? from_directory(path, &jinja, err) : 0;
    if (!code) code = buffer_check(&jinja, path, err);
    bool none = !jinja.bytes;
    if (!code && !none) code = chat_jinja_form(jinja.data, jinja.bytes, &form, err);
    buffer_free(&jinja);
    if (code) return code;
    if (form) return chat_template_open(form, tokens, chat, err);
    return fail(
        err, VKGPT_BAD_MODEL,
        none ? "%s: its tokenizer has no chat template; --chat-template plain|eos|chatml|FILE says how turns are "
               "written"
             : "%s: its chat template is none that vkgpt knows; --chat-template plain|eos|chatml|FILE says how "
               "turns are written",
        path);
}
