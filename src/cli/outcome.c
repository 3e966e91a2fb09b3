// The end of a command: its sentence on stderr and its exit status.
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "tasks/buffer.h"

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
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    if (errno == EPIPE) return EXIT_CLOSED_PIPE;
    fprintf(stderr, "vkgpt: stdout: cannot write all of the output\n");
    return EXIT_FAILED;
}

static void no_memory(size_t bytes)
{
    fprintf(stderr, "vkgpt: no host memory for %zu bytes\n", bytes);
    exit(EXIT_FAILED);
}

void end_without_memory(void)
{
    buffer_no_memory = no_memory;
    cJSON_InitHooks(&(cJSON_Hooks){allocate, free});
}
