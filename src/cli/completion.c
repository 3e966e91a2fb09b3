#include "cli/completion.h"

#include <string.h>

static bool takes(const struct Flag *flag, const struct Command *command)
{
    return (flag->commands & command->bit) && flag->kind != FLAG_WORD && flag_is_shown(flag);
}

static void print_choices(FILE *out, const char *choices)
{
    for (; *choices; choices++) fputc(*choices == '|' ? ' ' : *choices, out);
}

static void print_names(FILE *out, const struct Flag *flag, const char *between)
{
    for (int i = 0; i < FLAG_MAX_NAMES && flag->names[i]; i++) fprintf(out, "%s%s", i ? between : "", flag->names[i]);
}

// ------------------------------------------------------------------------------------------------ bash

static void bash_value(FILE *out, const struct Flag *flag)
{
    fprintf(out, "            ");
    print_names(out, flag, "|");
    fprintf(out, ") ");
    switch (flag->kind) {
    case FLAG_FILE: fprintf(out, "COMPREPLY=($(compgen -f -- \"$word\"))"); break;
    case FLAG_DIR: fprintf(out, "COMPREPLY=($(compgen -d -- \"$word\"))"); break;
    case FLAG_CHOICE:
        fprintf(out, "COMPREPLY=($(compgen -W '");
        print_choices(out, flag->value);
        fprintf(out, "' -- \"$word\"))");
        break;
    default: fprintf(out, ":"); break; // a text or a number: no suggestions
    }
    fprintf(out, "; return ;;\n");
}

static void bash_command(FILE *out, const struct Command *command)
{
    fprintf(out, "    %s)\n        case $before in\n", command->name);
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++)
        if (takes(flag, command) && flag->kind != FLAG_SWITCH) bash_value(out, flag);
    fprintf(out, "        esac\n        flags='");
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++) {
        if (!takes(flag, command)) continue;
        print_names(out, flag, " ");
        fputc(' ', out);
    }
    fprintf(out, "' ;;\n");
}

static void print_bash(FILE *out)
{
    fprintf(out, "# bash completion of vkgpt\n_vkgpt() {\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags\n"
                 "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W 'help --help --version");
    for (const struct Command *command = COMMANDS; command->name; command++) fprintf(out, " %s", command->name);
    fprintf(out, "' -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for (const struct Command *command = COMMANDS; command->name; command++) bash_command(out, command);
    fprintf(
        out,
        "    esac\n    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n}\ncomplete -o filenames -F _vkgpt vkgpt\n");
}

// ------------------------------------------------------------------------------------------------- zsh

// Escapes text inside '...[...]': quotes would end the word, brackets and colons the description.
static void zsh_text(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", out);
        else if (strchr("[]:\\", *text)) fprintf(out, "\\%c", *text);
        else fputc(*text, out);
    }
}

static void zsh_action(FILE *out, const struct Flag *flag)
{
    switch (flag->kind) {
    case FLAG_SWITCH: return;
    case FLAG_FILE: fprintf(out, ":file:_files"); return;
    case FLAG_DIR: fprintf(out, ":directory:_files -/"); return;
    case FLAG_CHOICE:
        fprintf(out, ":value:(");
        print_choices(out, flag->value);
        fprintf(out, ")");
        return;
    default: fprintf(out, ":value: "); return;
    }
}

static void zsh_flag(FILE *out, const struct Flag *flag)
{
    for (int i = 0; i < FLAG_MAX_NAMES && flag->names[i]; i++) {
        bool again = flag->kind == FLAG_STOP || flag->kind == FLAG_FIELD || flag->kind == FLAG_CONTINUATION ||
                     flag->kind == FLAG_ANSWER || flag->kind == FLAG_LIST;
        fprintf(out, " \\\n            '%s%s[", again ? "*" : "", flag->names[i]);
        zsh_text(out, flag->help);
        fprintf(out, "]");
        zsh_action(out, flag);
        fprintf(out, "'");
    }
}

static void print_zsh(FILE *out)
{
    fprintf(out,
            "#compdef vkgpt\n_vkgpt() {\n    if ((CURRENT == 2)); then\n        local -a commands=('help:the manual'");
    for (const struct Command *command = COMMANDS; command->name; command++) {
        fprintf(out, " '%s:", command->name);
        zsh_text(out, command->summary);
        fprintf(out, "'");
    }
    fprintf(out, ")\n        _describe command commands\n        return\n    fi\n"
                 "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n");
    for (const struct Command *command = COMMANDS; command->name; command++) {
        fprintf(out, "    %s)\n        _arguments", command->name);
        for (const struct Flag *flag = FLAGS; flag->names[0]; flag++)
            if (takes(flag, command)) zsh_flag(out, flag);
        fprintf(out, " ;;\n");
    }
    fprintf(out, "    esac\n}\n_vkgpt \"$@\"\n");
}

// ------------------------------------------------------------------------------------------------ fish

static void fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') fputc('\\', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void fish_flag(FILE *out, const struct Command *command, const struct Flag *flag)
{
    fprintf(out, "complete -c vkgpt -n '__fish_seen_subcommand_from %s'", command->name);
    for (int i = 0; i < FLAG_MAX_NAMES && flag->names[i]; i++) {
        const char *name = flag->names[i];
        if (name[1] == '-') fprintf(out, " -l %s", name + 2);
        else fprintf(out, " -%c %s", name[2] ? 'o' : 's', name + 1);
    }
    if (flag->kind == FLAG_FILE) fprintf(out, " -r -F");
    else if (flag->kind == FLAG_DIR) fprintf(out, " -x -a '(__fish_complete_directories)'");
    else if (flag->kind != FLAG_SWITCH) fprintf(out, " -x");
    if (flag->kind == FLAG_CHOICE) {
        fprintf(out, " -a '");
        print_choices(out, flag->value);
        fprintf(out, "'");
    }
    fprintf(out, " -d ");
    fish_text(out, flag->help);
    fprintf(out, "\n");
}

static void print_fish(FILE *out)
{
    fprintf(out, "# fish completion of vkgpt\ncomplete -c vkgpt -f\n"
                 "complete -c vkgpt -n __fish_use_subcommand -a help -d 'the manual'\n");
    for (const struct Command *command = COMMANDS; command->name; command++) {
        fprintf(out, "complete -c vkgpt -n __fish_use_subcommand -a %s -d ", command->name);
        fish_text(out, command->summary);
        fprintf(out, "\n");
        for (const struct Flag *flag = FLAGS; flag->names[0]; flag++)
            if (takes(flag, command)) fish_flag(out, command, flag);
    }
}

bool completion_print(FILE *out, const char *shell)
{
    if (strcmp(shell, "bash") == 0) print_bash(out);
    else if (strcmp(shell, "zsh") == 0) print_zsh(out);
    else if (strcmp(shell, "fish") == 0) print_fish(out);
    else return false;
    return true;
}
