#include "serve/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "serve/json_out.h"

static const struct Kind {
    int status;
    const char *type;
} KINDS[] = {
    {401, "authentication_error"},
    {429, "rate_limit_error"},
    {500, "server_error"},
    {503, "service_unavailable_error"},
};

static const char *type_of(int status)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++)
        if (KINDS[i].status == status) return KINDS[i].type;
    return "invalid_request_error";
}

int refuse(struct Refusal *refusal, int status, const char *param, const char *code, const char *format, ...)
{
    va_list args;
    *refusal = (struct Refusal){.status = status, .code = code};
    snprintf(refusal->param, sizeof refusal->param, "%s", param ? param : "");
    va_start(args, format);
    vsnprintf(refusal->message, sizeof refusal->message, format, args);
    va_end(args);
    clean_sentence(refusal->message);
    return status;
}

int refuse_memory(struct Refusal *refusal, const char *what)
{
    return refuse(refusal, 503, NULL, NULL, "no host memory for %s", what);
}

int refuse_error(struct Refusal *refusal, int status, const char *param, const vkgpt_error *err)
{
    return refuse(refusal, err->code == VKGPT_OUT_OF_MEMORY ? 503 : status, param, NULL, "%s", err->text);
}

void refusal_json(const struct Refusal *refusal, struct Buffer *out)
{
    buffer_text(out, "{\"error\":{\"message\":");
    json_out_text(out, refusal->message);
    buffer_text(out, ",\"type\":");
    json_out_text(out, type_of(refusal->status));
    buffer_text(out, ",\"param\":");
    json_out_text(out, *refusal->param ? refusal->param : NULL);
    buffer_text(out, ",\"code\":");
    json_out_text(out, refusal->code);
    buffer_text(out, "}}");
}
