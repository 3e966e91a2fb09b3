// The end of a command: its sentence on stderr and its exit status.
#include <stdarg.h>

#include "cli/cli.h"

int failed(const vkgpt_error *err)
{
    fflush(stdout);
    fprintf(stderr, "vkgpt: %s\n", err->text);
    return err->code == VKGPT_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_FAILED;
}

int wrong_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "vkgpt: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    return EXIT_USAGE;
}

int finish_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    fprintf(stderr, "vkgpt: stdout: cannot write all of the output\n");
    return EXIT_FAILED;
}
