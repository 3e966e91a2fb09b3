// The program: finds the command, reads its flags, and runs it.
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan_core.h>

#include "base/os.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/ranks/under_mpi.h"

#define ONE_DEVICE (QUALITY | EXPLAIN | TUNE | SELFTEST) // these commands

static int print_version(void)
{
#ifdef __clang__
    const char *compiler = "";
#else
    const char *compiler = "gcc ";
#endif
    printf("vkgpt %s, Vulkan headers %d.%d.%d, %s%s\n", VKGPT_VERSION, VK_VERSION_MAJOR(VK_HEADER_VERSION_COMPLETE),
           VK_VERSION_MINOR(VK_HEADER_VERSION_COMPLETE), VK_HEADER_VERSION, compiler, __VERSION__);
    return finish_output(EXIT_OK);
}

// `vkgpt help`, `vkgpt help COMMAND`, `vkgpt help --man`, `vkgpt help --completions bash|zsh|fish`
static int help_main(int argc, char **argv)
{
    if (argc == 0) {
        help_program(stdout);
    } else if (strcmp(argv[0], "--man") == 0 && argc == 1) {
        help_man(stdout);
    } else if (strcmp(argv[0], "--completions") == 0 && argc == 2) {
        if (!completion_print(stdout, argv[1]))
            return wrong_usage("--completions is '%s', it has to be one of bash|zsh|fish", argv[1]);
    } else if (argc == 1 && commands_find(argv[0])) {
        help_command(stdout, commands_find(argv[0]));
    } else {
        char hint[96];
        return wrong_usage("help takes a command, --man, or --completions bash|zsh|fish%s",
                           commands_nearest(argv[0], hint));
    }
    return finish_output(EXIT_OK);
}

// Reports flags of llama.cpp that have no effect here.
static void tell_ignored(const struct Options *options)
{
    for (const struct Flag *flag = FLAGS; flag->names[0]; flag++)
        if (flag->kind == FLAG_IGNORED && options->given[flag - FLAGS])
            fprintf(stderr, "vkgpt: %s has no effect: %s\n", flag->names[0], flag->help);
}

// 0, unless the flags that name devices do not go together. The ranks of MPI are devices too.
static int check_devices(const struct Options *options, const struct Ranks *ranks)
{
    if (options->device && options->devices)
        return wrong_usage("--device is %s and --devices is %s: only one of them can be given", options->device,
                           options->devices);
    if (options->split.count && !options->devices && !ranks)
        return wrong_usage("--split needs --devices, which names the devices that get the layers");
    return 0;
}

// The command of a command line, with its flags. NULL: nothing is left to run, and `status` is the exit status.
static const struct Command *read_command(int argc, char **argv, struct Options *options, int *status)
{
    const struct Command *command = commands_find(argv[1]);
    char sentence[512], hint[96];
    if (!command) {
        *status = wrong_usage("there is no command '%s'%s (vkgpt --help shows them)", argv[1],
                              commands_nearest(argv[1], hint));
        return NULL;
    }
    bool good = options_parse(command->bit, argc - 2, argv + 2, options, sentence, sizeof sentence);
    if (good && !options->help) {
        tell_ignored(options);
        return command;
    }
    if (options->help) {
        help_command(stdout, command);
        *status = finish_output(EXIT_OK);
    } else {
        *status = wrong_usage("%s (vkgpt %s --help shows the flags)", sentence, command->name);
    }
    return NULL;
}

// The same for a command line that may have no command.
static const struct Command *find_command(int argc, char **argv, struct Options *options, int *status)
{
    *status = EXIT_USAGE;
    if (argc < 2) {
        if (os_is_terminal(2)) help_first(stderr);
        else help_program(stderr);
        return NULL;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) *status = print_version();
    else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        *status = help_main(argc - 2, argv + 2);
    else return read_command(argc, argv, options, status);
    return NULL;
}

int main(int argc, char **argv)
{
    end_without_memory();
    os_end_on_signals();
    struct Ranks *ranks = NULL;
#ifdef VKGPT_WITH_MPI
    if (ranks_launched()) ranks = under_mpi(argc, argv);
#endif
    struct Options options;
    int status;
    const struct Command *command = find_command(argc, argv, &options, &status);
    if (command && ranks && command->bit & ONE_DEVICE) {
        status = wrong_usage("%s runs on one device, not over the ranks of mpirun", command->name);
    } else if (command) {
        options.ranks = ranks;
        status = check_devices(&options, ranks);
        if (!status) status = command->run(&options);
    }
#ifdef VKGPT_WITH_MPI
    if (ranks) ranks_end(ranks, status);
#endif
    return status;
}
