// vkgpt chat: turns from the terminal or from stdin, and the model's answers.
#include <signal.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/chat_answer.h"
#include "cli/chat_commands.h"
#include "cli/chat_form.h"
#include "cli/cli.h"
#include "cli/generation_config.h"

static int open_chat(struct Chat *chat, vkgpt_error *err)
{
    struct ChatTemplate form;
    int code = run_open(&chat->run, &chat->options, true, err);
    if (code) return code;
    code = generation_config(chat->run.dir, CHAT, &chat->options, err);
    if (!code) code = chat_form(&chat->run, &chat->options, "plain", &form, err);
    return code ? code : conversation_open(&chat->talk, &chat->run, &chat->options, form, err);
}

static void greet(const struct Chat *chat)
{
    fprintf(stderr, "%s, %u tokens of context; /help shows the commands, Ctrl-D leaves\n", run_model(&chat->run)->name,
            chat->run.context);
    run_tell_default(&chat->run);
}

// An empty line goes on with an answer that was cut; a text that was not begun has none.
static int take_turn(struct Chat *chat, struct Buffer *line, vkgpt_error *err)
{
    struct Conversation *c = &chat->talk;
    const struct Turn *last = c->count ? &c->turns[c->count - 1] : NULL;
    if (!line->bytes && (!last || last->whole)) return 0;
    if (line->bytes > 1 && line->data[0] == '/' && line->data[1] == '/') buffer_drop(line, 1);
    int code = line->bytes ? conversation_add(c, line, err) : 0;
    return code ? code : chat_answer(c, err);
}

static int take_line(struct Chat *chat, struct Buffer *line, vkgpt_error *err)
{
    if (line->bytes && line->data[line->bytes - 1] == '\r') buffer_cut(line, line->bytes - 1);
    bool command = line->bytes && line->data[0] == '/' && line->data[1] != '/';
    return command ? chat_command(chat, line->data, err) : take_turn(chat, line, err);
}

// Whether the program is to end: a signal other than that of Ctrl-C, or a device that is lost.
static bool must_end(int code)
{
    if (os_interrupted() && os_signal() == SIGINT) os_forget_interrupt();
    return os_interrupted() || code == VKGPT_DEVICE_LOST;
}

static int talk(struct Chat *chat, struct Asker *asker)
{
    struct Buffer line = {0};
    int status = EXIT_OK;
    bool hinted = false, ends = false;
    while (!chat->leaves && !ends) {
        char prompt[48];
        vkgpt_error err;
        uint32_t used = conversation_position(&chat->talk), context = chat->run.context;
        snprintf(prompt, sizeof prompt, "%u/%u> ", used < context ? used : context, context);
        enum Asked asked = ask(asker, prompt, &line);
        if (asked == ASKED_END) break;
        if (asked == ASKED_NOTHING) {
            if (!hinted) fprintf(stderr, "Ctrl-D or /exit leaves\n");
            hinted = true;
            continue;
        }
        int code = take_line(chat, &line, &err);
        ends = must_end(code);
        if (code) status = failed(&err);
        if (code && asker->terminal && !ends) status = EXIT_OK; // the user has seen it
    }
    buffer_free(&line);
    return os_interrupted() ? EXIT_INTERRUPTED : status;
}

int chat_main(const struct Options *options)
{
    struct Chat chat = {.options = *options};
    struct Asker asker;
    vkgpt_error err;
    int status;
    if (open_chat(&chat, &err)) {
        status = failed(&err);
    } else {
        asker_open(&asker);
        if (asker.terminal) greet(&chat);
        status = finish_output(talk(&chat, &asker));
        asker_close(&asker);
        if (options->verbose) run_counters(&chat.run);
    }
    conversation_close(&chat.talk);
    run_close(&chat.run);
    return status;
}
