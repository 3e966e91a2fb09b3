#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

void clean_sentence(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        bool c1 = *c == 0xC2 && c[1] >= 0x80 && c[1] <= 0x9F; // U+0080 to U+009F
        if (*c < ' ' || *c == 127 || c1) *c = '?';
        if (c1) *++c = '?';
    }
}

int fail(vkgpt_error *err, vkgpt_code code, const char *format, ...)
{
    if (err) {
        err->code = code;
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        clean_sentence(err->text);
    }
    return code;
}

int fail_memory(vkgpt_error *err, const char *what, size_t bytes)
{
    if (!bytes) return fail(err, VKGPT_OUT_OF_MEMORY, "%s: no host memory", what);
    return fail(err, VKGPT_OUT_OF_MEMORY, "%s: no host memory for %zu bytes", what, bytes);
}
