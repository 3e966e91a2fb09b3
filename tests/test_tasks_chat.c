// Chat templates: the form of a file, with a sentence for each thing that can be wrong, and templates in Jinja that are
// known in any spelling.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "tasks/chat_template.h"

#include <cmocka.h> // last: it has a macro called fail

static const struct ChatTokens TOKENS = {.bos = "<s>", .bos_bytes = 3, .eos = "</s>", .eos_bytes = 4};

static int parse(const char *text, struct ChatTemplate *chat, vkgpt_error *err)
{
    return chat_template_parse("a.chat", text, strlen(text), &TOKENS, chat, err);
}

static void says(const struct ChatTemplate *chat, enum ChatRole role, const char *said, const char *want)
{
    struct Buffer text = {0}, out = {0};
    if (said) buffer_text(&text, said);
    buffer_add(&out, "", 0);
    chat_render(chat, role, said ? &text : NULL, &out);
    assert_string_equal(out.data, want);
    buffer_free(&text);
    buffer_free(&out);
}

static void test_file(void **state)
{
    (void)state;
    struct ChatTemplate chat;
    vkgpt_error err = {0};
    const char *text = "# of our own\r\n\n"
                       "begin: {start}{bos}\\t\r\n"
                       "user: U:  {text} \\x41{eos}\\n\n"
                       "assistant:A {x} {text}{bos}{eos}\n"
                       "stop: \\n\nstop: {eos}.";
    if (parse(text, &chat, &err)) fail_msg("%s", err.text);
    assert_true(chat.starts);
    assert_string_equal(chat.begin.data, "<s>\t");
    assert_false(chat.has[CHAT_SYSTEM]);
    says(&chat, CHAT_USER, "hello {eos}", "U:  hello {eos} A</s>\n"); // what is said is not looked into
    says(&chat, CHAT_ASSISTANT, "yes", "A {x} yes<s></s>");
    says(&chat, CHAT_ASSISTANT, NULL, "A {x} ");
    assert_int_equal(chat.stop_count, 2);
    assert_string_equal(chat.stops[0].data, "\n");
    assert_string_equal(chat.stops[1].data, "</s>.");
    struct ChatTemplate again; // a saved conversation keeps the source
    assert_int_equal(chat_template_parse("x", chat.source.data, chat.source.bytes, &TOKENS, &again, &err), 0);
    says(&again, CHAT_ASSISTANT, "yes", "A {x} yes<s></s>");
    chat_template_free(&again);
    chat_template_free(&chat);
}

static void test_built_in(void **state)
{
    (void)state;
    struct ChatTemplate chat;
    vkgpt_error err = {0};
    assert_int_equal(chat_template_open("plain", &TOKENS, &chat, &err), 0);
    assert_true(chat.starts);
    says(&chat, CHAT_SYSTEM, "s", "s\n");
    says(&chat, CHAT_USER, "u", "u");
    says(&chat, CHAT_ASSISTANT, "a", "a\n");
    chat_template_free(&chat);
    assert_int_equal(chat_template_open("eos", &TOKENS, &chat, &err), 0);
    assert_false(chat.starts);
    says(&chat, CHAT_SYSTEM, "s", "s</s>");
    says(&chat, CHAT_USER, "u", "u</s>");
    says(&chat, CHAT_ASSISTANT, NULL, "");
    chat_template_free(&chat);
    assert_int_equal(chat_template_open("chatml", &TOKENS, &chat, &err), 0);
    says(&chat, CHAT_SYSTEM, "s", "<|im_start|>system\ns<|im_end|>\n");
    says(&chat, CHAT_USER, "u", "<|im_start|>user\nu<|im_end|>\n");
    says(&chat, CHAT_ASSISTANT, NULL, "<|im_start|>assistant\n");
    assert_string_equal(chat.stops[0].data, "<|im_end|>");
    chat_template_free(&chat);
    assert_int_equal(chat_template_open("eos", &(struct ChatTokens){0}, &chat, &err), VKGPT_BAD_FILE);
    assert_string_equal(err.text, "eos:1: {eos}: the model has no eos token");
}

#define REST "\nuser: {text}\nassistant: {text}\n"

static void test_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "a.chat: has no line for the turns of role user, such as 'user: {text}\\n'"},
        {"user: {text}", "a.chat: has no line for the turns of role assistant, such as 'assistant: {text}\\n'"},
        {"\nhello" REST, "a.chat:2: 'hello' is no line of the form name: value"},
        {"users: {text}" REST,
         "a.chat:1: 'users' is nothing that a chat template says: it has begin, system, user, assistant "
         "and stop"},
        {"system: none" REST, "a.chat:1: system has no {text}, where the text of the turn goes"},
        {"system: {text} {text}" REST, "a.chat:1: system has {text} twice"},
        {"user: {text}" REST, "a.chat:2: user is given twice"},
        {"begin: {text}" REST, "a.chat:1: begin has no {text}: it is before the first turn"},
        {"begin:\nbegin: x" REST, "a.chat:2: begin is given twice"},
        {"begin: x{start}" REST, "a.chat:1: {start} can only be what begin begins with"},
        {"system: {start}{text}" REST, "a.chat:1: {start} can only be what begin begins with"},
        {"stop:" REST, "a.chat:1: stop needs a text that is not empty, without {text}"},
        {"stop: x{text}" REST, "a.chat:1: stop needs a text that is not empty, without {text}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ChatTemplate chat;
        vkgpt_error err = {0};
        int code = parse(cases[i].text, &chat, &err);
        if (code != VKGPT_BAD_FILE || strcmp(err.text, cases[i].sentence) != 0)
            fail_msg("%d: %s; it should say: %s", code, err.text, cases[i].sentence);
    }
    struct ChatTemplate chat;
    struct Buffer many = {0};
    vkgpt_error err = {0};
    for (int i = 0; i < 17; i++) buffer_text(&many, "stop: x\n");
    assert_int_equal(parse(many.data, &chat, &err), VKGPT_BAD_FILE);
    assert_string_equal(err.text, "a.chat:17: there are more than 16 stops");
    assert_int_equal(chat_template_parse("a.chat", "a\0b", 3, &TOKENS, &chat, &err), VKGPT_BAD_FILE);
    while (many.bytes <= CHAT_MAX_TEMPLATE) buffer_text(&many, "# comment\n");
    assert_int_equal(parse(many.data, &chat, &err), VKGPT_BAD_FILE);
    assert_non_null(strstr(err.text, "a chat template has 65536 at most"));
    buffer_free(&many);
}

static void test_jinja(void **state)
{
    (void)state;
    static const struct {
        const char *program, *form;
    } cases[] = {
        {"{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}", "eos"},
        {"{%- for message in messages -%}\n  {{- message[\"content\"] + eos_token -}}\n{%- endfor -%}\n", "eos"},
        {"{% for message in messages %}\n    {{- message['content'] }}{{ eos_token }}{% endfor %}", "eos"},
        // a blank that is printed makes another text
        {"{% for message in messages %} {{ message.content }}{{ eos_token }}{% endfor %}", NULL},
        {"{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}x", NULL},
        {"{% for message in messages %}\n{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
         "'\\n'}}{% if loop.last and add_generation_prompt %}{{'<|im_start|>assistant\\n' }}{% endif %}{% endfor %}",
         "chatml"},
        {"{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in "
         "messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
         "chatml"},
        {"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n'}}"
         "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
         "chatml"},
        // without what asks for an answer it is not what chatml gives
        {"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n'}}"
         "{% endfor %}",
         NULL},
        {"", NULL},
        {"{{", NULL},
        {"{%-", NULL},
        {"{% '", NULL},
        {"{{ x['", NULL},
        {"{{ x['y", NULL},
        {"{{ x['y' }}", NULL},
        {"{", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *form;
        assert_int_equal(chat_jinja_form(cases[i].program, strlen(cases[i].program), &form, NULL), 0);
        if ((form != NULL) != (cases[i].form != NULL) || (form && strcmp(form, cases[i].form) != 0))
            fail_msg("%s: %s", cases[i].program, form ? form : "not known");
    }
}

// ------------------------------------------------------------------------------- against transformers

static const struct Json *at(const struct Json *list, size_t index)
{
    const struct Json *entry = json_first(list);
    while (entry && index--) entry = json_next(entry);
    return entry;
}

// Writes a conversation as vkgpt chat does: the head, each turn with its answer, and what asks for the last one.
static void write_conversation(const struct ChatTemplate *chat, const struct Json *said, const char *lead,
                               struct Buffer *out)
{
    buffer_add(out, chat->begin.data, chat->begin.bytes);
    enum ChatRole role = CHAT_SYSTEM;
    for (const struct Json *turn = json_first(said); turn; turn = json_next(turn)) {
        struct Buffer text = {0};
        if (role == CHAT_ASSISTANT) buffer_text(&text, lead);
        if (json_text(turn)) buffer_text(&text, json_text(turn));
        if (json_text(turn)) chat_render(chat, role, &text, out);
        buffer_free(&text);
        role = role == CHAT_USER ? CHAT_ASSISTANT : CHAT_USER;
    }
    if (role == CHAT_ASSISTANT) chat_render(chat, role, NULL, out);
}

static size_t compare_texts(const struct Json *template, const struct Json *conversations, const char *own)
{
    const char *name = json_text(json_get(template, "from"));
    struct ChatTemplate chat;
    vkgpt_error err = {0};
    int code =
        own ? chat_template_open(own, &TOKENS, &chat, &err) : parse(json_text(json_get(template, "file")), &chat, &err);
    if (code) fail_msg("%s: %s", name, err.text);
    size_t compared = 0;
    for (size_t i = 0; at(conversations, i); i++) {
        const char *want = json_text(at(json_get(template, "texts"), i));
        struct Buffer out = {0};
        write_conversation(&chat, at(conversations, i), json_text(json_get(template, "lead")), &out);
        if (want && strcmp(out.data, want) != 0)
            fail_msg("%s, conversation %zu:\n%s\nnot\n%s", name, i, out.data, want);
        compared += want != NULL;
        buffer_free(&out);
    }
    chat_template_free(&chat);
    return compared;
}

// What apply_chat_template made with templates that are known, or that a file says too (tools/fixtures_chat.py).
static void test_transformers(void **state)
{
    (void)state;
    struct Json *json;
    vkgpt_error err = {0};
    size_t compared = 0;
    if (json_read(VKGPT_SOURCE_DIR "/tests/fixtures/chat/templates.json", 1 << 20, &json, &err))
        fail_msg("%s", err.text);
    assert_string_equal(json_text(json_get(json, "bos")), TOKENS.bos);
    assert_string_equal(json_text(json_get(json, "eos")), TOKENS.eos);
    const struct Json *templates = json_get(json, "templates");
    for (const struct Json *t = json_first(templates); t; t = json_next(t)) {
        const char *program = json_text(json_get(t, "program")), *want = json_text(json_get(t, "form"));
        const char *form;
        assert_int_equal(chat_jinja_form(program, strlen(program), &form, NULL), 0);
        if ((form != NULL) != (want != NULL) || (form && strcmp(form, want) != 0))
            fail_msg("%s: %s", json_text(json_get(t, "from")), form ? form : "not known");
        compared += compare_texts(t, json_get(json, "conversations"), form);
    }
    assert_true(compared > 50);
    json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),  cmocka_unit_test(test_built_in),     cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_jinja), cmocka_unit_test(test_transformers),
    };
    return cmocka_run_group_tests_name("tasks_chat", tests, NULL, NULL);
}
