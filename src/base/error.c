#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

int fail(vkgpt_error *err, vkgpt_code code, const char *format, ...)
{
    if (err) {
        err->code = code;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return code;
}

int fail_memory(vkgpt_error *err, const char *what, size_t bytes)
{
    return fail(err, VKGPT_OUT_OF_MEMORY, "%s: no host memory for %zu bytes", what, bytes);
}
