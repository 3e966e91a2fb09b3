#include "cli/chat_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/os.h"
#include "cli/conversation_save.h"
#include "cli/nearest.h"

// The argument of a command: all that comes after its name, without the blanks around it; "" if there is nothing.
struct Slash {
    const char *name, *value; // value: as --help shows it; NULL: the command takes no value
    bool needed;              // the command must have a value
    const char *help;
    int (*run)(struct Chat *chat, const char *value, vkgpt_error *err);
};

extern const struct Slash SLASHES[];

static int run_help(struct Chat *chat, const char *value, vkgpt_error *err)
{
    (void)chat, (void)value, (void)err;
    chat_help();
    return 0;
}

static int run_reset(struct Chat *chat, const char *value, vkgpt_error *err)
{
    (void)value, (void)err;
    conversation_reset(&chat->talk);
    fprintf(stderr, "the conversation begins again\n");
    return 0;
}

static int run_undo(struct Chat *chat, const char *value, vkgpt_error *err)
{
    (void)value;
    if (!conversation_undo(&chat->talk)) return fail(err, VKGPT_BAD_ARGUMENT, "/undo: there is no turn");
    fprintf(stderr, "the last turn is gone, %zu left\n", chat->talk.count);
    return 0;
}

// Sets a flag, where a value is given.
static int set(struct Chat *chat, const char *flag, const char *shown, const char *value, vkgpt_error *err)
{
    char sentence[256];
    if (!*value || options_set(CHAT, &chat->options, flag, shown, value, sentence, sizeof sentence)) return 0;
    return fail(err, VKGPT_BAD_ARGUMENT, "%s", sentence);
}

static int run_seed(struct Chat *chat, const char *value, vkgpt_error *err)
{
    int code = set(chat, "seed", "/seed", value, err);
    if (code) return code;
    if (chat->options.seed < 0) fprintf(stderr, "seed: a new one for each answer\n");
    else fprintf(stderr, "seed: %" PRId64 "\n", chat->options.seed);
    return 0;
}

static int run_temp(struct Chat *chat, const char *value, vkgpt_error *err)
{
    int code = set(chat, "temp", "/temp", value, err);
    if (!code) fprintf(stderr, "temperature: %g\n", chat->options.temperature);
    return code;
}

static int run_system(struct Chat *chat, const char *value, vkgpt_error *err)
{
    struct Conversation *c = &chat->talk;
    int code = *value ? conversation_set_system(c, strcmp(value, "-") == 0 ? "" : value, err) : 0;
    if (code) return code;
    if (c->system.bytes) fprintf(stderr, "system: %.*s\n", (int)c->system.bytes, c->system.data);
    else fprintf(stderr, "system: none\n");
    return 0;
}

static int run_save(struct Chat *chat, const char *value, vkgpt_error *err)
{
    double start = os_seconds();
    int code = conversation_save(&chat->talk, value, err);
    if (!code)
        fprintf(stderr, "%u tokens in %zu turns are saved in %s, in %.3f s\n", conversation_position(&chat->talk),
                chat->talk.count, value, os_seconds() - start);
    return code;
}

static int run_load(struct Chat *chat, const char *value, vkgpt_error *err)
{
    double start = os_seconds();
    int code = conversation_load(&chat->talk, &chat->options, value, err);
    if (!code)
        fprintf(stderr, "%u tokens in %zu turns are loaded from %s, in %.3f s\n", conversation_position(&chat->talk),
                chat->talk.count, value, os_seconds() - start);
    return code;
}

static int run_tokens(struct Chat *chat, const char *value, vkgpt_error *err)
{
    const struct Conversation *c = &chat->talk;
    (void)value, (void)err;
    fprintf(stderr, "%u of %u tokens of the context are used: %u before the first turn, and %zu turns\n",
            conversation_position(c), chat->run.context, c->head, c->count);
    for (size_t i = 0; i < c->count; i++)
        fprintf(stderr, "turn %zu: %u tokens, answer %u tokens%s\n", i + 1, c->turns[i].answer - c->turns[i].begin,
                c->turns[i].end - c->turns[i].answer, c->turns[i].whole ? "" : ", cut");
    return 0;
}

static int run_exit(struct Chat *chat, const char *value, vkgpt_error *err)
{
    (void)value, (void)err;
    chat->leaves = true;
    return 0;
}

// clang-format off
const struct Slash SLASHES[] = {
    {"/help", NULL, false, "this list", run_help},
    {"/reset", NULL, false, "forget all turns", run_reset},
    {"/undo", NULL, false, "forget the last turn", run_undo},
    {"/seed", "N", false, "of the random numbers; -1: a new one for each answer; without N: say it", run_seed},
    {"/temp", "T", false, "temperature; 0 takes the likeliest token; without T: say it", run_temp},
    {"/system", "TEXT", false, "what the conversation begins with; - is none; without TEXT: say it", run_system},
    {"/save", "FILE", true, "tokens, settings and KV cache to a file", run_save},
    {"/load", "FILE", true, "go on from such a file", run_load},
    {"/tokens", NULL, false, "what the turns take of the context", run_tokens},
    {"/exit", NULL, false, "leave, as Ctrl-D does", run_exit},
    {0},
};
// clang-format on

void chat_help(void)
{
    for (const struct Slash *s = SLASHES; s->name; s++) {
        char left[32];
        snprintf(left, sizeof left, "%s %s", s->name, s->value ? s->value : "");
        fprintf(stderr, "  %-14s %s\n", left, s->help);
    }
    fprintf(stderr,
            "An empty line goes on with the last answer; // begins a turn with a slash; Ctrl-C stops an answer.\n");
}

static int unknown(const char *name, size_t length, vkgpt_error *err)
{
    char hint[96];
    struct Nearest nearest = nearest_to(name, length);
    for (const struct Slash *s = SLASHES; s->name; s++) nearest_add(&nearest, s->name, strlen(s->name));
    return fail(err, VKGPT_BAD_ARGUMENT, "there is no command %.*s%s (/help shows them)",
                length < 40 ? (int)length : 40, name, nearest_hint(&nearest, hint));
}

int chat_command(struct Chat *chat, const char *line, vkgpt_error *err)
{
    const char *name = line;
    size_t length = strcspn(name, " \t");
    struct Buffer value = {0};
    buffer_text(&value, name + length + strspn(name + length, " \t"));
    while (value.bytes && strchr(" \t", value.data[value.bytes - 1])) buffer_cut(&value, value.bytes - 1);
    const struct Slash *s = SLASHES;
    while (s->name && (strlen(s->name) != length || memcmp(s->name, name, length) != 0)) s++;
    int code;
    if (!s->name) code = unknown(name, length, err);
    else if (!s->value && value.bytes) code = fail(err, VKGPT_BAD_ARGUMENT, "%s takes no value", s->name);
    else if (s->needed && !value.bytes) code = fail(err, VKGPT_BAD_ARGUMENT, "%s needs a value: %s", s->name, s->value);
    else code = s->run(chat, value.data, err);
    buffer_free(&value);
    return code;
}
