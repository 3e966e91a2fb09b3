#include "cli/help.h"

#include <string.h>

#define COLUMN 34 // where the sentences of the flags begin

static const char SUMMARY[] = "run models of the GPT family on any Vulkan device";
static const char *const ENVIRONMENT[][2] = {
    {"VKGPT_MODEL", "the model's directory where -m is not given"},
    {"VKGPT_DISABLE", "optional features of the device to do without, such as coopmat,shuffle (vkgpt.h lists them)"},
    {"VKGPT_PERSISTENT", "decode as one kernel: off, or its workgroups, 0 for as many as stay resident"},
    {"VKGPT_TUNING", "the file of vkgpt tune, other than that in the cache folder; off: none, no quick tuning"},
    {"HF_HUB_CACHE, HF_HOME", "where the hub's cache is (~/.cache/huggingface/hub)"},
    {"HF_TOKEN, HF_ENDPOINT", "of vkgpt pull: who asks, and another hub than https://huggingface.co"},
    {"HF_HUB_OFFLINE", "1: vkgpt pull asks nobody, and says whether the cache has the model"},
    {"VKGPT_VALIDATE", "1: run under the Vulkan validation layer; any message from it is a failure"},
};
static const char *const STATUSES[][2] = {
    {"0", "success"},
    {"1", "failure, with one sentence on stderr"},
    {"2", "wrong usage"},
    {"130", "ended by Ctrl-C"},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// Commands that share a line: "classify, entail, similar, choose". Returns the last of them.
static const struct Command *join_names(const struct Command *c, char *names, size_t size)
{
    size_t n = (size_t)snprintf(names, size, "%s", c->name);
    for (; c[1].name && !c[1].brief; c++) n += (size_t)snprintf(names + n, size - n, ", %s", c[1].name);
    return c;
}

void help_program(FILE *out)
{
    const char *group = "";
    fprintf(out, "vkgpt: %s\nusage: vkgpt COMMAND [flags]; vkgpt COMMAND --help shows them, with an example\n",
            SUMMARY);
    for (const struct Command *c = COMMANDS; c->name; c++) {
        char names[96];
        const char *own = GROUP_NAMES[c->group], *brief = c->brief;
        c = join_names(c, names, sizeof names);
        fprintf(out, "  %-8s %-21s  %s\n", strcmp(own, group) ? own : "", names, brief);
        group = own;
    }
    fprintf(out, "also: vkgpt help --man, vkgpt help --completions bash|zsh|fish, vkgpt --version\n");
}

void help_first(FILE *out)
{
    fprintf(out,
            "vkgpt: %s. Try:\n"
            "  vkgpt generate \"Once upon a time\"   writes on, with the small model that comes with vkgpt\n"
            "  vkgpt pull gpt2 && vkgpt generate -m gpt2 \"The Vulkan API\"   with GPT-2\n"
            "  vkgpt devices   lists what it runs on\n"
            "  vkgpt --help    lists all commands; vkgpt COMMAND --help has an example of each\n",
            SUMMARY);
}

// The names of the flags that exist only so that command lines of llama.cpp work.
static size_t ignored_names(char *text, size_t size, const struct Command *command)
{
    size_t n = 0;
    *text = '\0';
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++)
        if (flag->kind == FLAG_IGNORED && flag->commands & command->bit)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", flag->names[0]);
    return n;
}

// "-n, --predict, --n-predict N"
static void flag_names(char *text, size_t size, const struct Flag *flag)
{
    size_t n = 0;
    for (int i = 0; i < FLAG_MAX_NAMES && flag->names[i]; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", flag->names[i]);
    if (flag->value) snprintf(text + n, size - n, " %s", flag->value);
}

void help_command(FILE *out, const struct Command *command)
{
    fprintf(out, "vkgpt %s: %s\n\nusage: vkgpt %s %s\n\n", command->name, command->summary, command->name,
            command->usage);
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++) {
        if (!(flag->commands & command->bit) || !flag_is_shown(flag)) continue;
        char names[128];
        flag_names(names, sizeof names, flag);
        bool fits = strlen(names) < COLUMN - 4;
        fprintf(out, "  %-*s", COLUMN - 2, names);
        if (!fits) fprintf(out, "\n%*s", COLUMN, "");
        fprintf(out, "%s\n", flag->help);
    }
    char ignored[128];
    if (ignored_names(ignored, sizeof ignored, command))
        fprintf(out, "\nfrom command lines of llama.cpp, without effect here: %s\n", ignored);
    fprintf(out, "\nexample:\n  %s\n", command->example);
}

// -------------------------------------------------------------------------------------------- man page

// Backslashes and hyphens have a meaning in troff, and so has a dot or a quote at the beginning of a line.
static void man_text(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\') fputs("\\e", out);
        else if (*text == '-') fputs("\\-", out);
        else fputc(*text, out);
    }
}

static void man_item(FILE *out, const char *term, const char *text)
{
    fprintf(out, ".TP\n.B ");
    man_text(out, term);
    fprintf(out, "\n");
    man_text(out, text);
    fprintf(out, "\n");
}

static void man_command(FILE *out, const struct Command *command)
{
    fprintf(out, ".SS vkgpt %s\n", command->name);
    man_text(out, command->summary);
    fprintf(out, "\n.PP\n.B vkgpt %s\n", command->name);
    man_text(out, command->usage);
    fprintf(out, "\n");
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++) {
        if (!(flag->commands & command->bit) || !flag_is_shown(flag)) continue;
        char names[128];
        flag_names(names, sizeof names, flag);
        man_item(out, names, flag->help);
    }
    char ignored[128];
    if (ignored_names(ignored, sizeof ignored, command)) {
        fprintf(out, ".PP\nFrom command lines of llama.cpp, without effect here: ");
        man_text(out, ignored);
        fprintf(out, "\n");
    }
    fprintf(out, ".PP\nExample:\n.PP\n.RS\n.EX\n");
    man_text(out, command->example);
    fprintf(out, "\n.EE\n.RE\n");
}

void help_man(FILE *out)
{
    fprintf(out, ".TH VKGPT 1 \"\" \"vkgpt %s\" \"User Commands\"\n.SH NAME\nvkgpt \\- %s\n", VKGPT_VERSION, SUMMARY);
    fprintf(out, ".SH SYNOPSIS\n.B vkgpt\nCOMMAND [flags]\n");
    fprintf(out, ".SH DESCRIPTION\nReads checkpoints as Hugging Face publishes them and runs them on a GPU, or on a\n"
                 "software driver where there is none. A flag's usual value is in parentheses.\n");
    fprintf(out, ".SH COMMANDS\n");
    for (const struct Command *command = COMMANDS; command->name; command++) man_command(out, command);
    fprintf(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < COUNT(STATUSES); i++) man_item(out, STATUSES[i][0], STATUSES[i][1]);
    fprintf(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < COUNT(ENVIRONMENT); i++) man_item(out, ENVIRONMENT[i][0], ENVIRONMENT[i][1]);
}
