#include "cli/ask.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

#ifdef VKGPT_WITH_EDIT
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <wchar.h>
#endif

#define HISTORY 1000 // lines

// SIGINT at the prompt was Ctrl-C; any other signal ends the program.
static bool was_cancelled(struct Asker *a)
{
    if (os_signal() != SIGINT) return false;
    os_forget_interrupt();
    a->cancelled = true;
    return true;
}

static enum Asked ask_plain(struct Asker *a, struct Buffer *line)
{
    uint8_t byte;
    if (a->terminal) fputs(a->prompt, a->screen);
    fflush(a->screen);
    for (;;) {
        enum OsKey key = os_read_key(&byte);
        if (key == OS_KEY_END) return line->bytes ? ASKED_LINE : ASKED_END;
        if (key == OS_KEY_SIGNAL) {
            (void)os_terminal_changed();
            if (os_interrupted()) return was_cancelled(a) ? ASKED_NOTHING : ASKED_END;
        } else if (byte == '\n') {
            return ASKED_LINE;
        } else {
            buffer_add(line, &byte, 1);
        }
    }
}

#ifdef VKGPT_WITH_EDIT
static struct Asker *asker_of(EditLine *edit)
{
    struct Asker *a = NULL;
    el_get(edit, EL_CLIENTDATA, &a);
    return a;
}

static char *show_prompt(EditLine *edit) { return (char *)asker_of(edit)->prompt; }

static void draw_again(EditLine *edit)
{
    el_resize(edit);
    el_set(edit, EL_PREP_TERM, 0); // after a SIGCONT the terminal is as the shell left it
    el_set(edit, EL_PREP_TERM, 1);
    el_set(edit, EL_REFRESH);
}

// A Ctrl-D that is typed before a line is asked for reaches the program as a NUL, once the terminal gives single keys.
#define CONTROL_D L'\x04'

// One character of UTF-8, for libedit. 0: there is no more.
static int read_character(EditLine *edit, wchar_t *character)
{
    struct Asker *a = asker_of(edit);
    mbstate_t state = {0};
    for (;;) {
        char byte;
        enum OsKey key = os_read_key((uint8_t *)&byte);
        if (key == OS_KEY_END) return 0;
        if (key == OS_KEY_SIGNAL) {
            if (os_terminal_changed()) draw_again(edit);
            if (!os_interrupted()) continue;
            if (!was_cancelled(a)) return 0;
            *character = L'\n'; // ends the line, which is dropped
            return 1;
        }
        size_t n = mbrtowc(character, &byte, 1, &state);
        if (n == (size_t)-2) continue;
        if (n == (size_t)-1) *character = 0xFFFD;
        if (n == 0) *character = CONTROL_D;
        return 1;
    }
}

// Characters must be UTF-8. If the locale has another encoding, C.UTF-8 is used, which every system has.
static bool choose_locale(void)
{
    if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return true;
    return setlocale(LC_CTYPE, "C.UTF-8") != NULL;
}

static void open_edit(struct Asker *a)
{
    HistEvent event;
    const char *kind = getenv("TERM");
    if (!kind || strcmp(kind, "dumb") == 0 || !choose_locale()) return;
    EditLine *edit = el_init("vkgpt", stdin, a->screen, stderr);
    History *past = history_init();
    if (edit && past) {
        el_set(edit, EL_CLIENTDATA, a);
        el_set(edit, EL_PROMPT, show_prompt);
        el_set(edit, EL_EDITOR, "emacs");
        el_set(edit, EL_SIGNAL, 0);
        el_set(edit, EL_GETCFN, read_character);
        history(past, &event, H_SETSIZE, HISTORY);
        history(past, &event, H_SETUNIQUE, 1);
        el_set(edit, EL_HIST, history, past);
        el_source(edit, NULL); // the user's .editrc
        a->edit = edit;
        a->history = past;
        return;
    }
    if (edit) el_end(edit);
    if (past) history_end(past);
}

static void close_edit(struct Asker *a)
{
    if (a->history) history_end(a->history);
    if (a->edit) el_end(a->edit);
}

static enum Asked ask_edited(struct Asker *a, struct Buffer *line)
{
    int bytes = 0;
    HistEvent event;
    el_resize(a->edit); // it may have changed since the last line
    const char *text = el_gets(a->edit, &bytes);
    if (a->cancelled) return ASKED_NOTHING;
    if (!text || bytes <= 0) return ASKED_END;
    while (bytes && text[bytes - 1] == '\n') bytes--;
    buffer_add(line, text, (size_t)bytes);
    if (bytes) history(a->history, &event, H_ENTER, line->data);
    return ASKED_LINE;
}
#else
static void open_edit(struct Asker *a)
{
    (void)a;
    fprintf(stderr, "vkgpt: this vkgpt was built without libedit: lines are not edited here, and have no history\n");
}

static void close_edit(struct Asker *a) { (void)a; }

static enum Asked ask_edited(struct Asker *a, struct Buffer *line) { return ask_plain(a, line); }
#endif

void asker_open(struct Asker *a)
{
    *a = (struct Asker){.terminal = os_is_terminal(0), .screen = os_is_terminal(1) ? stdout : stderr};
    os_hold_interrupt();
    if (a->terminal) open_edit(a);
}

void asker_close(struct Asker *a)
{
    close_edit(a);
    *a = (struct Asker){0};
}

enum Asked ask(struct Asker *a, const char *prompt, struct Buffer *line)
{
    line->bytes = 0;
    buffer_add(line, "", 0); // a NUL, even when it stays empty
    a->cancelled = false;
    a->prompt = prompt;
    fflush(stdout);
    os_ask_begin();
    enum Asked asked = a->edit ? ask_edited(a, line) : ask_plain(a, line);
    os_ask_end();
    if (a->terminal && asked != ASKED_LINE) fputs("\n", a->screen);
    return asked;
}
